"""Persons inside: a keyed pseudonym in the place of a number, sealed texts in the place of names and addresses.

The pseudonym is an HMAC under the installation's secret: without that secret nobody can try numbers until one
fits. A person's texts are sealed under a key of that person's own; when the key is destroyed they are erased
wherever they stand, in ledger, facts and backups. Sealing is deterministic (AES-SIV, RFC 5297), so that a
decision can compare a name with the register without opening either.

What law obliges an authority to keep of a decision (its grounds, findings) is *evidence*: sealed under an evidence key
of that person, which an erasure does not destroy. Queries open it as long as the person was not erased; afterwards only
a recorded look at the evidence does.

Names of persons in free texts about enterprises are sealed part by part, under a key of that enterprise (`seal_names`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from schemas.errors import VerificationError
from schemas.identifiers import compare, looks_personal

SEALED: Final = "sealed:"
EVIDENCE: Final = "evidence:"
NAMED: Final = "named:"
_PART: Final = re.compile(
    rf"(?:{SEALED}|{EVIDENCE}|{NAMED})[A-Za-z0-9_-]{{32,}}"
)  # 8 bytes of tag, 16 of SIV
SECRET_LENGTH: Final = 32  # bytes of the installation's secret
KEY_LENGTH: Final = 64  # bytes of a person's key: AES-256-SIV takes two halves
_TAG_LENGTH: Final = 8


class Persons(Protocol):
    """The operations on persons that stages may use; `infra.persons.keys` keeps the keys."""

    def pseudonym(self, compared_id: str) -> str:
        """Return the ledger key of a person: `p:` and 32 hex digits. `compared_id` is the compared form."""
        ...

    def seal(self, pseudonym: str, text: str) -> str:
        """Return the sealed text, the same each time for the same person and text; a blank one stays as it is."""
        ...

    def seal_evidence(self, pseudonym: str, text: str) -> str:
        """Return a text sealed as evidence, the same each time; a blank one stays as it is."""
        ...

    def seal_name(self, holder: str, name: str) -> str:
        """Return the name of a person in a text about an enterprise, sealed, the same each time."""
        ...

    def names_given(self, holder: str, names: Collection[str]) -> Collection[str]:
        """Remember the persons whom an enterprise's application names; return all whom one of its applications named."""
        ...

    def open(self, pseudonym: str, sealed: str) -> str | None:
        """Return the text again, None when the person was erased; what is not sealed is given back as it is."""
        ...

    def open_object(self, pseudonym: str, stored: bytes) -> bytes | None:
        """Return an object of the store as it was issued, None when the person was erased; others as they are."""
        ...


PSEUDONYM: Final = "p:"  # the ledger key of every person begins so, and no compared USCC does


def is_pseudonym(key: str) -> bool:
    """Tell whether a ledger key stands for a person."""
    return key.startswith(PSEUDONYM)


def holder_key(number: str, kind: str, persons: Persons) -> str:
    """Return the ledger key of a holder: a compared USCC, or the pseudonym of a person."""
    compared = compare(number)
    if kind == "person" or looks_personal(compared):
        return persons.pseudonym(compared)
    return compared


def keys_of(number: str, persons: Persons) -> tuple[str, ...]:
    """Return the ledger keys under which a holder may stand whom a query names by number."""
    compared = compare(number)
    return tuple(dict.fromkeys((holder_key(number, "enterprise", persons), persons.pseudonym(compared))))


def pseudonym(secret: bytes, compared_id: str) -> str:
    """Return the keyed pseudonym of a person's number."""
    digest = hmac.digest(secret, b"zhengzhao pseudonym\0" + compared_id.encode(), "sha256")
    return f"{PSEUDONYM}{digest.hex()[:32]}"


def subkey(secret: bytes, purpose: str, length: int = KEY_LENGTH) -> bytes:
    """Return a key of at most 64 bytes for one purpose, derived from the secret."""
    return hmac.digest(secret, b"zhengzhao key\0" + purpose.encode(), "sha512")[:length]


def is_sealed(text: str) -> bool:
    """Tell whether a text is the result of `seal`."""
    return text.startswith(SEALED)


def is_named(text: str) -> bool:
    """Tell whether a text is the result of `seal_name`."""
    return text.startswith(NAMED)


def has_sealed(text: str) -> bool:
    """Tell whether a text holds a sealed part."""
    return _PART.search(text) is not None


def open_parts(text: str, open_one: Callable[[str], str | None], absent: str) -> str:
    """Return a text with its sealed parts opened; `absent` stands in the place of one that cannot be opened."""

    def opened(part: re.Match[str]) -> str:
        try:
            found = open_one(part[0])
        except VerificationError:  # a sender wrote something that looks sealed
            return part[0]
        return absent if found is None else found

    return _PART.sub(opened, text)


_SEALED_OBJECT: Final = b"zhengzhao sealed object 1\n"


class Sealer:
    """Sealing and opening over a lookup of keys.

    `key_of(pseudonym, create)` gives a person's key; None where there is none and none is to be made. `evidence` is
    the key (64 bytes) from which the persons' evidence keys derive.
    """

    def __init__(self, key_of: Callable[[str, bool], bytes | None], evidence: bytes) -> None:
        self._key_of = key_of
        self._evidence = evidence

    def seal(self, pseudonym: str, text: str) -> str:
        """Seal a text as `Persons.seal` says."""
        return self._sealed(pseudonym, text, SEALED)

    def seal_evidence(self, pseudonym: str, text: str) -> str:
        """Seal a text as `Persons.seal_evidence` says."""
        return self._sealed(pseudonym, text, EVIDENCE)

    def seal_name(self, holder: str, name: str) -> str:
        """Seal a name as `Persons.seal_name` says."""
        key = self._names_key(holder)
        return _written(NAMED, _tag(key) + AESSIV(key).encrypt(name.encode(), [holder.encode()]))

    def open(self, pseudonym: str, sealed: str) -> str | None:
        """Open a text as `Persons.open` says. Raises VerificationError for one that was changed, or is another person's."""
        if sealed.startswith(NAMED):
            return _opened(self._names_key(pseudonym), _raw(sealed.removeprefix(NAMED)), pseudonym)
        kind = next((kind for kind in (SEALED, EVIDENCE) if sealed.startswith(kind)), "")
        if not kind:
            return sealed
        raw = _raw(sealed.removeprefix(kind))
        key = self._key_of(pseudonym, False)
        if key is None or raw[:_TAG_LENGTH] != _tag(key):
            return None  # erased; a person who came back has another key
        return _opened(key if kind == SEALED else self._evidence_key(pseudonym), raw, pseudonym)

    def open_evidence(self, pseudonym: str, sealed: str) -> str | None:
        """Open evidence, also of a person who was erased; None for a text of another kind.

        Raises VerificationError for one that was changed, or is another person's.
        """
        if sealed.startswith(NAMED):
            return self.open(pseudonym, sealed)
        if not sealed.startswith(EVIDENCE):
            return None
        return _opened(self._evidence_key(pseudonym), _raw(sealed.removeprefix(EVIDENCE)), pseudonym)

    def _sealed(self, pseudonym: str, text: str, kind: str) -> str:
        if not text.strip():
            return text
        own = self._key_of(pseudonym, True)
        assert own is not None  # it was to be made
        key = own if kind == SEALED else self._evidence_key(pseudonym)
        return _written(kind, _tag(own) + AESSIV(key).encrypt(text.encode(), [pseudonym.encode()]))

    def _names_key(self, holder: str) -> bytes:
        return hmac.digest(self._evidence, b"names\0" + holder.encode(), "sha512")

    def _evidence_key(self, pseudonym: str) -> bytes:
        return hmac.digest(self._evidence, pseudonym.encode(), "sha512")

    def seal_object(self, pseudonym: str, content: bytes) -> bytes:
        """Return an object of a person as it lies in the store; the same content gives the same bytes."""
        key = self._key_of(pseudonym, True)
        assert key is not None  # it was to be made
        sealed = AESSIV(_object_key(key)).encrypt(content, [pseudonym.encode()])
        return _SEALED_OBJECT + _tag(key) + sealed

    def open_object(self, pseudonym: str, stored: bytes) -> bytes | None:
        """Return an object again, None when the person was erased; what is not sealed is given back as it is.

        Raises VerificationError for a sealed object that was changed, or is another person's.
        """
        if not is_sealed_object(stored):
            return stored
        raw = stored.removeprefix(_SEALED_OBJECT)
        key = self._key_of(pseudonym, False)
        if key is None or raw[:_TAG_LENGTH] != _tag(key):
            return None
        try:
            return AESSIV(_object_key(key)).decrypt(raw[_TAG_LENGTH:], [pseudonym.encode()])
        except (InvalidTag, ValueError):
            raise VerificationError("封存的对象被改动 / a sealed object was changed") from None


def is_sealed_object(stored: bytes) -> bool:
    """Tell if the bytes of an object are the result of `seal_object`."""
    return stored.startswith(_SEALED_OBJECT)


def _written(kind: str, sealed: bytes) -> str:
    return kind + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def _raw(text: str) -> bytes:
    try:
        return base64.b64decode(_padded(text), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise VerificationError("a sealed text that is no base64url") from None


def _opened(key: bytes, raw: bytes, pseudonym: str) -> str:
    try:
        return AESSIV(key).decrypt(raw[_TAG_LENGTH:], [pseudonym.encode()]).decode()
    except (InvalidTag, ValueError):
        raise VerificationError("a sealed text that was changed") from None


def _object_key(key: bytes) -> bytes:
    return hmac.digest(key, b"zhengzhao objects", "sha512")


def _tag(key: bytes) -> bytes:
    """Return what tells a person's keys before and after an erasure apart."""
    return hashlib.sha256(b"zhengzhao key tag\0" + key).digest()[:_TAG_LENGTH]


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)


_SURNAMES: Final = (
    "欧阳|太史|上官|夏侯|诸葛|东方|皇甫|尉迟|公孙|慕容|令狐|司徒|司空|司马|端木|长孙|宇文|呼延|南宫|"
    "[王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾"
    "夏付傅方邹熊白孟秦邱江尹薛闫阎段雷侯龙史黎贺顾毛郝龚邵万钱覃武戴孔汤庞樊兰殷施洪翟安颜倪严牛温芦季俞章鲁葛伍申尤毕聂柴焦向柳邢"
    "岳齐梅莫庄辛管祝左涂谷祁时舒耿牟卜路詹关苗凌费纪靳盛童欧甄项曲成游阳裴席卫查屈鲍位覃霍翁隋植甘景薄单包司柏宁柯阮桂闵解强柴华车"
    "冉房边辜吉饶刁瞿戚丘古米池滕晋苑邬臧畅宫来嵺苟全褚廉简娄盖符奚木穆党燕郎邸冀谈姬屠连郜晏栾郁商蒙计喻揭窦迟宇敖糜鄢冷卓花仇艾蓝都巩稽井练仲乐虞卞封竺冼原官衣楚佟栗匡宗应台巫鞠僧桑荆谌银扬明沙薄伏岑习胥保和蔺]"
)
_LABELLED: Final = re.compile(
    r"(?:法定代表人|法人代表|法人|实际控制人|控股股东|股东|负责人|经营者|投资人|合伙人|签署人|签字人|签名人|联系人|经办人|代办人|代理人|"
    r"委托人|当事人|举报人|投诉人|证人|业主|厂长|经理|董事长|监事)(?:姓名)?\s*[:：为是]?\s*"
    rf"(?P<han>(?:{_SURNAMES})[\u3400-\u9fff](?:[\u3400-\u9fff](?<![伪提隐欺骗与和及在称说未已不拒要将因被是的承诺签于对向所有系等就曾无擅虚造]))?)"
    r"|(?i:legal representative|signatory|signed by|contact|director|manager)\s*:?\s*(?P<latin>[A-Z][a-z]+(?: [A-Z][a-z]+){1,3})"
    r"|(?P<dotted>[\u4e00-\u9fff]{2,8}(?:[·•・‧][\u4e00-\u9fff]{2,8})+)"
)
_NAME_FIELDS: Final = re.compile(
    r"(?:legal|authori[sz]ed)[-_. ]?representative|signatory|contact(?:[-_. ]?(?:name|person))?|person[-_. ]in[-_. ]charge|manager"
)


def names_in(data: Any, field: str = "") -> Iterator[str]:
    """Yield the names of persons that the fields of an event give: legal representative, signatory, contact, manager."""
    if isinstance(data, dict):
        for name, value in data.items():
            yield from names_in(value, name)
    elif isinstance(data, list):
        for one in data:
            yield from names_in(one, field)
    elif isinstance(data, str) and _NAME_FIELDS.fullmatch(field.lower()):
        name = " ".join(data.split())
        if 2 <= len(name) <= 60 and not any(map(str.isdigit, name)):
            yield name


def names_sealed(text: str, given: Collection[str], seal_name: Callable[[str], str]) -> str:
    """Return a free text with names of persons sealed: those `given`, and what stands after a word such as 法定代表人."""
    known = "|".join(
        r"[\s·•・‧]*".join(map(re.escape, (c for c in name if not c.isspace() and c not in "·•・‧")))
        for name in sorted(given, key=len, reverse=True)
    )
    if known:
        text = re.sub(known, lambda found: seal_name(found[0]), text)

    def labelled(found: re.Match[str]) -> str:
        name = found["han"] or found["latin"] or found["dotted"]
        return found[0].removesuffix(name) + seal_name(name)

    return _LABELLED.sub(labelled, text)
