"""Rows to data and back: the one place that knows how an item and its policy are stored."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select, update

from vaultcore import rules
from vaultcore.errors import UnreadableError
from vaultcore.model import ConsumerKind, Consumers, Item, Kind, Label, Mode, Policy, Reference, Stage, Version
from vaultcore.names import fold, skeleton
from vaultcore.row_macs import check_mac
from vaultcore.stored import check_row, unreadable_fields
from vaultcore.tables import item_owners, items, owners, references, versions

_DEFAULT = Policy()


def policy_to_json(policy: Policy) -> dict[str, Any]:
    return {
        "mode": policy.mode.value,
        "stated": policy.stated,
        "rotator": policy.rotator,
        "settings": dict(policy.settings),
        "lifetime_seconds": None if policy.lifetime is None else _seconds(policy.lifetime),
        "lead_seconds": _seconds(policy.lead),
        "spread_seconds": None if policy.spread is None else _seconds(policy.spread),
        "overlap_seconds": _seconds(policy.overlap),
        "idle_after_seconds": _seconds(policy.idle_after),
        "thresholds": list(policy.thresholds),
        "windows": list(policy.windows),
        "freezes": list(policy.freezes),
        "expiry_first": policy.expiry_first,
        "canary": policy.canary,
        "four_eyes": policy.four_eyes,
        "approval_seconds": _seconds(policy.approval),
        "pickup_seconds": _seconds(policy.pickup),
        "urgent": policy.urgent,
        "propagation_seconds": _seconds(policy.propagation),
        "answers": policy.answers,
        "renew": policy.renew,
        "target": policy.target,
        "consumers": policy.consumers.value,
        "copy_of": policy.copy_of,
        "named": policy.named,
    }


def policy_from_json(stored: Mapping[str, Any]) -> Policy:
    """The policy; what an earlier release did not store is what it did: the default, and three good answers."""
    default = _DEFAULT
    lifetime, spread = stored["lifetime_seconds"], stored.get("spread_seconds")
    return Policy(
        mode=Mode(stored["mode"]),
        stated=stored["stated"],
        rotator=stored["rotator"],
        settings=stored["settings"],
        lifetime=None if lifetime is None else timedelta(seconds=lifetime),
        lead=timedelta(seconds=stored["lead_seconds"]),
        spread=None if spread is None else timedelta(seconds=spread),
        overlap=timedelta(seconds=stored["overlap_seconds"]),
        idle_after=timedelta(seconds=stored["idle_after_seconds"]),
        thresholds=tuple(stored["thresholds"]),
        windows=tuple(stored.get("windows", default.windows)),
        freezes=tuple(stored.get("freezes", default.freezes)),
        expiry_first=stored.get("expiry_first", default.expiry_first),
        canary=stored.get("canary", default.canary),
        four_eyes=stored.get("four_eyes", default.four_eyes),
        approval=timedelta(seconds=stored.get("approval_seconds", _seconds(default.approval))),
        pickup=timedelta(seconds=_former(stored, "pickup_seconds", "claim_seconds", _seconds(default.pickup))),
        urgent=stored.get("urgent", default.urgent),
        propagation=timedelta(
            seconds=_former(stored, "propagation_seconds", "settle_seconds", _seconds(default.propagation))
        ),
        answers=stored.get("answers", 3),
        renew=stored.get("renew", default.renew),
        target=_former(stored, "target", "counterpart", default.target),
        consumers=Consumers(stored.get("consumers", default.consumers)),
        copy_of=stored.get("copy_of", default.copy_of),
        named=stored.get("named", default.named),
    )


def _former(stored: Mapping[str, Any], name: str, former: str, default: Any) -> Any:  # noqa: ANN401  # any part
    """A part of a policy that had another name when it was stored."""
    return stored.get(name, stored.get(former, default))


def derived_columns(
    item_id: str,
    name: str,
    kind: Kind,
    *,
    owned: bool,
    policy: Policy,
    expires_at: datetime | None,
    waits: bool = False,
    issued_at: datetime | None = None,
) -> dict[str, Any]:
    """The columns that follow from the others, written together wherever one of those changes.

    `waits`: the item has no value yet, so that its expiry is no version's. `issued_at`: when a rotation made
    its current version, which is then taken to live from there to its expiry.
    """
    life = None if issued_at is None or expires_at is None else max(expires_at - issued_at, timedelta(0))
    return {
        "skeleton": skeleton(name),
        "sought": fold(name),
        "mode": policy.mode.value,
        "rotator": policy.rotator,
        "policy": policy_to_json(policy),
        "overlap_seconds": _seconds(rules.overlap_of(policy, life)),
        "life_seconds": None if life is None else _seconds(life),
        "idle_seconds": int(policy.idle_after.total_seconds()),
        "hygiene": " ".join(
            rules.hygiene(
                name=name,
                owned=owned,
                expires=expires_at is not None,
                policy=policy,
                kind=kind,
                waits=waits,
                life=life,
            )
        ),
        "copy_of": policy.copy_of,
        "expires_at": expires_at,
        "due_at": rules.due_at(policy, expires_at, item_id=item_id, waits=waits, life=life),
    }


_OWNERS_MAX = 20
_TOGETHER = 500


def select_items() -> Select[*tuple[Any, ...]]:
    """Items with the number of their current version, and the digest of its row."""
    return (
        select(items, versions.c.number.label("current_number"), versions.c.mac.label("current_mac"))
        .select_from(items)
        .outerjoin(
            versions,
            (versions.c.item_id == items.c.id) & (versions.c.stage == Stage.CURRENT.value),
        )
    )


def owner_columns(connection: Connection, owner_ids: Collection[str]) -> dict[str, str | None]:
    """The columns of an item that follow from who answers for it, written wherever that changes."""
    return {"first_owner": _find_first(connection, owner_ids), "owned_by": join_owners(owner_ids)}


def renew_first_owners(connection: Connection, owner_id: str) -> None:
    """After an owner got another name: the column of their items that lists are sorted by."""
    theirs = select(item_owners.c.item_id).where(item_owners.c.owner_id == owner_id)
    rows = connection.execute(
        select(item_owners.c.item_id, item_owners.c.owner_id).where(item_owners.c.item_id.in_(theirs))
    )
    answering: dict[str, set[str]] = {}
    for row in rows:
        answering.setdefault(row.item_id, set()).add(row.owner_id)
    alike: dict[frozenset[str], list[str]] = {}
    for item_id, owner_ids in answering.items():
        alike.setdefault(frozenset(owner_ids), []).append(item_id)
    for together, item_ids in alike.items():
        first = _find_first(connection, together)
        for start in range(0, len(item_ids), _TOGETHER):
            some = item_ids[start : start + _TOGETHER]
            connection.execute(update(items).where(items.c.id.in_(some)).values(first_owner=first))


def join_owners(owner_ids: Collection[str]) -> str | None:
    """None: too many to be kept in an index."""
    return " ".join(sorted(set(owner_ids))) if len(set(owner_ids)) <= _OWNERS_MAX else None


def _find_first(connection: Connection, owner_ids: Collection[str]) -> str | None:
    query = select(owners.c.name).where(owners.c.id.in_(sorted(set(owner_ids))))
    names = [row.name for row in connection.execute(query) if not unreadable_fields(row)]
    return min(names, default=None)


_OWNERS = (
    select(item_owners.c.item_id, owners.c.name)
    .join(owners, owners.c.id == item_owners.c.owner_id)
    .where(item_owners.c.item_id.in_(bindparam("items", expanding=True)))
    .order_by(owners.c.name)
)


def owners_of(connection: Connection, item_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The names of the owners of each of these items, in order."""
    names: dict[str, tuple[str, ...]] = dict.fromkeys(item_ids, ())
    for row in connection.execute(_OWNERS, {"items": list(item_ids)}):
        names[row.item_id] += (row.name,)
    return names


def item_from_row(row: Row[*tuple[Any, ...]], owners: tuple[str, ...], labels: tuple[Label, ...]) -> Item:
    """The item; `UnreadableError`, naming it, if what is stored of it cannot be meant."""
    what = f"item {row.name}"
    check_row(row, what)
    if not row.name:
        raise UnreadableError(row.id, "name")
    problem = ""
    try:
        return _item(row, owners, labels)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        problem = type(error).__name__
    raise UnreadableError(what, problem)


def _item(row: Row[*tuple[Any, ...]], owners: tuple[str, ...], labels: tuple[Label, ...]) -> Item:
    return Item(
        id=row.id,
        name=row.name,
        kind=Kind(row.kind),
        owners=owners,
        policy=policy_from_json(row.policy),
        version=row.current_number,
        expires_at=row.expires_at,
        due_at=row.due_at,
        hold_until=row.hold_until,
        created_at=row.created_at,
        updated_at=row.updated_at,
        life=None if row.life_seconds is None else timedelta(seconds=row.life_seconds),
        labels=labels,
    )


def select_versions() -> Select[*tuple[Any, ...]]:
    """Versions without their sealed bytes: `filled` says whether there are any."""
    return select(
        versions.c.item_id,
        versions.c.number,
        versions.c.stage,
        versions.c.expires_at,
        versions.c.created_at,
        versions.c.activated_at,
        versions.c.superseded_at,
        versions.c.destroyed_at,
        versions.c.record.is_not(None).label("filled"),
        versions.c.external,
        versions.c.used_at,
        versions.c.last_used_at,
        versions.c.issued_at,
        versions.c.key_id,
        versions.c.digest,
        versions.c.mac,
    )


def version_from_row(connection: Connection, row: Row[*tuple[Any, ...]]) -> Version:
    """Of `select_versions`; `TamperedError` if none of us wrote it so."""
    return _version(connection, row, filled=bool(row.filled))


def version_from_whole_row(connection: Connection, row: Row[*tuple[Any, ...]]) -> Version:
    """As `version_from_row`, of all columns: whoever opens the sealed ones finds what is wrong with those."""
    return _version(connection, row, filled=row.record is not None)


def _version(connection: Connection, row: Row[*tuple[Any, ...]], *, filled: bool) -> Version:
    what = f"version {row.number} of item {row.item_id}"
    check_row(row, what, besides=("wrapped_key", "record"))
    check_mac(connection, versions, row, what)
    return Version(
        item_id=row.item_id,
        number=row.number,
        stage=Stage(row.stage),
        expires_at=row.expires_at,
        created_at=row.created_at,
        activated_at=row.activated_at,
        superseded_at=row.superseded_at,
        destroyed_at=row.destroyed_at,
        filled=filled,
        external=row.external,
        used_at=row.used_at,
        last_used_at=row.last_used_at,
        issued_at=row.issued_at,
    )


def select_references() -> Select[*tuple[Any, ...]]:
    return select(references).order_by(references.c.consumer_name, references.c.node_id, references.c.written)


def reference_from_row(connection: Connection, row: Row[*tuple[Any, ...]]) -> Reference:
    """`TamperedError` if none of us wrote it so."""
    what = f"{row.written} in node {row.node_id} of {row.consumer_name}"
    check_row(row, what)
    check_mac(connection, references, row, what)
    return Reference(
        consumer=ConsumerKind(row.consumer),
        consumer_id=row.consumer_id,
        consumer_name=row.consumer_name,
        active=row.active,
        node_id=row.node_id,
        written=row.written,
        mentioned=row.mentioned,
        elsewhere=row.elsewhere,
        item_id=row.item_id,
        pinned=row.pinned,
        held_by=row.held_by,
        last_version=row.last_version,
        last_run_at=row.last_run_at,
        proven_version=row.proven_version,
        proven_at=row.proven_at,
    )


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())
