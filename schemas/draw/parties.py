"""The parties of a draw are known: the rules about their keys.

A key belongs to one party. It is neither a supervisor's nor an authority's, and where the trust folder lists keys of
that party, it is one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time

from cryptography.hazmat.primitives.asymmetric import ec

from schemas.calendar import CHINA, moment
from schemas.draw.documents import Commitment, Deposit
from schemas.draw.plan import Plan, day
from schemas.draw.seed import public_key, public_pem
from schemas.errors import DrawError
from schemas.trust import TrustStore, key_id


def end_of_period(plan: Plan) -> datetime:
    """Return the last second of a plan's period, in China."""
    return datetime.combine(day(plan.period[1], "period"), time(23, 59, 59), CHINA)


def check_parties(
    commitments: Sequence[Commitment], plan: Plan, trust: TrustStore, now: datetime | None = None
) -> list[str]:
    """Return the parties without a registered key. Raise DrawError where a key breaks a rule.

    At an announcement (`now`) a registered party must use a key in force. A verification takes any key of the party
    that was not revoked, and counts a party that was registered only after the plan's period as unregistered.
    """
    owners: dict[str, str] = {}
    for commitment in commitments:
        pem = public_pem(public_key(commitment.key))
        if pem in owners:
            raise DrawError(
                f"两方使用同一密钥 / {owners[pem]} and {commitment.party} have one key",
                hint="每方用自己的密钥 / each party makes its own: zhengzhao draw commit",
            )
        owners[pem] = commitment.party
    for commitment in commitments:
        _check_deposit(commitment, plan, owners)
    return [c.party for c in commitments if not _registered(c, plan, trust, now)]


def _check_deposit(commitment: Commitment, plan: Plan, owners: dict[str, str]) -> None:
    deposit = commitment.deposit
    if not isinstance(deposit, Deposit):
        if plan.seed.deposits is True:
            raise DrawError(
                f"{commitment.party} 未作托管 / {commitment.party} made no deposit, which the plan requires",
                hint="zhengzhao draw commit --deposit SUPERVISOR.pem",
            )
        return
    owner = owners.get(public_pem(public_key(deposit.supervisor)))
    if owner is not None:
        raise DrawError(
            f"监督方的密钥不得作为参与方的密钥 / the key of {owner} is the supervisor's of {commitment.party}"
        )


def _registered(commitment: Commitment, plan: Plan, trust: TrustStore, now: datetime | None) -> bool:
    """Return True for a registered key of this party, False where the party is not registered."""
    key = public_key(commitment.key)
    listed = _listed_kid(key, trust)
    found = None if listed is None else trust.keys[listed]
    if found is not None and (found.use, found.authority) != ("party", commitment.party):
        raise DrawError(
            f"{commitment.party} 的密钥已登记为他用（{found.use}）/ the key of {commitment.party} is listed as {found.use} "
            f"of {found.authority}"
        )
    own = trust.keys_of(commitment.party, "party")
    if now is not None:
        own = [k for k in own if k.signed_in_time(now)]
        good = found is not None and found in own
    else:
        own = [k for k in own if k.revoked_since is None]
        good = found is not None and found in own
        if not good and all(moment(k.signs_from) > end_of_period(plan) for k in own):
            return False
    if own and not good:
        raise DrawError(
            f"{commitment.party} 的密钥不是已登记的密钥 / the key of {commitment.party} is not the registered one",
            hint="zhengzhao draw commit --key，用登记的密钥 / with the registered key; zhengzhao draw party list",
        )
    return good


def _listed_kid(key: ec.EllipticCurvePublicKey, trust: TrustStore) -> str | None:
    """Return the id under which the trust folder lists a key; ids are short, so whole keys are compared."""
    kid = key_id(key)
    if kid in trust.keys and public_pem(trust.public_key(kid)) == public_pem(key):
        return kid
    return None
