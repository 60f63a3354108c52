"""Every error that zhengzhao raises on purpose.

::

    ZhengzhaoError                  message, hint, where
     ├─ UsageError                  wrong use or unusable input: exit 2
     │   ├─ ItemError               a service item file is wrong
     │   ├─ KeysMissing             no key that can sign here, or the passphrase is wrong
     │   └─ TrustError              no trust folder, or one that cannot be trusted
     ├─ Rejected                    an inbound event breaks a rule of the contract; it leaves no trace
     │   └─ OtherContent            its source and id came before with other content
     ├─ NotFound                    unknown number, case, holder: exit 1
     ├─ LintError                   what was to be signed breaks a rule; nothing was signed
     ├─ VerificationError           an artefact is not what it claims to be
     │   └─ NotJudged               an artefact has no form that can be judged
     ├─ DrawError                   a register, plan, announcement or transcript breaks a rule
     └─ TransientError              the store, broker or disk failed; retried, never a dead letter
         ├─ StoreUnavailable
         ├─ BrokerUnavailable
         └─ FolderHeld              another process decides in the data folder
    ObjectDiffers(ZhengzhaoError)   a write-once key holds other bytes

Refusing an application is never an error: it is a fact.
"""

from __future__ import annotations


class ZhengzhaoError(Exception):
    """Base of all. `message` says what is wrong, `where` the file, line or field, `hint` what to do."""

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class UsageError(ZhengzhaoError):
    """Wrong use or unusable input; the command exits with 2."""


class ItemError(UsageError):
    """A service item file breaks a rule; `where` names file, line or key."""


class KeysMissing(UsageError):
    """No key that could sign here, or the passphrase does not open it."""


class TrustError(UsageError):
    """There is no trust folder, or what lies in it cannot be trusted."""


class Rejected(ZhengzhaoError):
    """An inbound event breaks a rule of the contract; it leaves no trace and may come again."""


class OtherContent(Rejected):
    """An event whose source and id came before with other content."""


class NotFound(ZhengzhaoError):
    """Unknown number, case or holder; the command exits with 1."""


class LintError(ZhengzhaoError):
    """A record that was to be signed breaks a rule; nothing was signed."""


class VerificationError(ZhengzhaoError):
    """An artefact is not what it claims to be."""


class NotJudged(VerificationError):
    """An artefact has no form that can be judged: neither true nor false can be said of it."""


class DrawError(ZhengzhaoError):
    """A register, plan, announcement, reveal or transcript breaks a rule."""


class ObjectDiffers(ZhengzhaoError):
    """A write-once key holds other bytes already."""


class TransientError(ZhengzhaoError):
    """The store, the broker or the disk failed; the work is retried and holds its partition."""


class StoreUnavailable(TransientError):
    """The object store did not answer, or had no room."""


class BrokerUnavailable(TransientError):
    """The broker did not answer."""


class FolderHeld(TransientError):
    """Another process decides in this data folder."""
