"""Notices: written into the outbox with the change they tell of. `delivery` sends them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from vaultcore.errors import NotFoundError
from vaultcore.ids import new_id
from vaultcore.rows import policy_from_json
from worker.domain.notice_kinds import NoticeKind
from worker.domain.notices import digest_key
from worker.domain.recipients import WHOLE
from worker.rows import addressees as addressee_rows
from worker.rows import deliveries as delivery_rows
from worker.rows import outbox as outbox_rows
from worker.rows.addressees import StoredRoute
from worker.rows.deliveries import Key
from worker.services.notices.recipients import NOBODY, Hearer, Recipients
from worker.services.notices.wording import Wording

_TOGETHER: Final = 200
"""Digests that are posted by the same statements."""


class Outbox:
    """Posts notices to owners, and takes back what is resolved before it has left."""

    def __init__(self, *, recipients: Recipients, wording: Wording, clock: Callable[[], datetime]) -> None:
        self._recipients = recipients
        self._wording = wording
        self._clock = clock

    def post(
        self,
        connection: Connection,
        owner_id: str,
        *,
        kind: NoticeKind,
        dedupe_key: str,
        data: Mapping[str, Any],
        urgent: bool = False,
        about: str | None = None,
        pickup_id: str | None = None,
    ) -> str | None:
        """Writes the notice into the outbox, in the transaction of what it tells of.

        None: a notice of that key is there already. It waits for the end of the owner's quiet hours unless it
        is urgent. Who hears for an owner without a route: `Addressing.find_reachable`. `about`: see `withdraw`.
        """
        hearer = self._recipients.find_hearer(connection, owner_id)
        message = self._wording.write(connection, kind, {"owner": hearer.name, **data}, zone=hearer.zone)
        return self._insert(
            connection,
            hearer,
            kind=kind,
            dedupe_key=dedupe_key,
            subject=message.subject,
            body=message.body,
            urgent=urgent,
            about=about,
            pickup_id=pickup_id,
        )

    def post_digest(self, connection: Connection, owner_id: str, night: datetime) -> str | None:
        """A notice without a body: what it says is put together when it leaves."""
        hearer = self._recipients.find_hearer(connection, owner_id)
        return self._insert(connection, hearer, **_digest_of(hearer, night))

    def post_digests(self, connection: Connection, owner_ids: Sequence[str], night: datetime) -> int:
        """One for each of these owners; how many. Those who have a route get theirs together: a thousand of
        them are some statements.
        """
        return sum(
            self._post_page(connection, owner_ids[start : start + _TOGETHER], night)
            for start in range(0, len(owner_ids), _TOGETHER)
        )

    def tell_owners(
        self,
        connection: Connection,
        item_id: str | None,
        *,
        kind: NoticeKind,
        dedupe_key: str,
        data: Mapping[str, Any],
        about: str | None = None,
        pickup_id: str | None = None,
        but: str | None = None,
    ) -> list[str]:
        """A notice for each owner of the item (without the one named `but`), or for the operators: their ids.

        The policy of the item says whether it is urgent.
        """
        urgent = _is_urgent(connection, item_id)
        told = self._recipients.find_owners(connection, item_id, but=but)
        for owner_id in told:
            self.post(
                connection,
                owner_id,
                kind=kind,
                dedupe_key=f"{dedupe_key}:{owner_id}",
                data=data,
                urgent=urgent,
                about=about,
                pickup_id=pickup_id,
            )
        return told

    def tell_operators(
        self, connection: Connection, *, kind: NoticeKind, dedupe_key: str, data: Mapping[str, Any]
    ) -> None:
        """What went wrong with a whole night, whatever the hour."""
        operators = self._recipients.find_operators(connection)
        self.post(connection, operators, kind=kind, dedupe_key=dedupe_key, data=data, urgent=True)

    def withdraw(self, connection: Connection, about: str) -> None:
        """What a notice asked for is resolved: where it has not left yet, it does not."""
        for notice_id in outbox_rows.list_about(connection, about):
            self.withdraw_notice(connection, notice_id)

    def withdraw_notice(self, connection: Connection, notice_id: str) -> None:
        """By none of its routes, unless it has left by one; nor by any that its owner gets."""
        outbox_rows.mark_routed(connection, notice_id)
        delivery_rows.withdraw_waiting(connection, notice_id)

    def find_late(self, connection: Connection) -> list[str]:
        """Owners with notices that were written before there was a route for them, and who have one now."""
        return [
            owner_id
            for owner_id in outbox_rows.list_unrouted_owners(connection, [NOBODY])
            if self._recipients.is_reachable(connection, owner_id)
        ]

    def route_late(self, connection: Connection, owner_id: str, *, limit: int) -> int:
        """The notices of such an owner are not lost. How many have got their routes: no more than `limit`. One
        that none of us wrote so needs none.
        """
        late = outbox_rows.list_unrouted(connection, owner_id, limit=limit)
        hearer = self._recipients.find_reachable(connection, owner_id)
        for notice in late:
            if notice.is_ours:
                self._route(connection, notice.id, hearer, urgent=notice.urgent)
            else:
                outbox_rows.mark_routed(connection, notice.id)
        return len(late)

    def route_again(self, connection: Connection, notice_id: str) -> None:
        """By the routes that its owner has now, and that were not tried before. `TamperedError` if none of us
        wrote it so.
        """
        notice = outbox_rows.find_whole(connection, notice_id)
        if notice is not None:
            hearer = self._recipients.find_reachable(connection, notice.owner_id)
            self._route(connection, notice_id, hearer, urgent=notice.urgent)

    def stand_in(self, connection: Connection, notice_id: str) -> None:
        """None of the owner's routes took it: their deputy and the operators get it. `TamperedError` if none of
        us wrote it so.
        """
        notice = outbox_rows.find_whole(connection, notice_id)
        if notice is None:
            raise NotFoundError(f"no notice {notice_id}")
        owner = self._recipients.find_hearer(connection, notice.owner_id)
        for one in dict.fromkeys((owner.deputy_id, self._recipients.find_operators(connection))):
            if one is not None and one != owner.id:
                hearer = self._recipients.find_hearer(connection, one)
                self._route(connection, notice_id, hearer, urgent=notice.urgent, stands_in=True)

    # Inside

    def _insert(
        self,
        connection: Connection,
        hearer: Hearer,
        *,
        kind: NoticeKind,
        urgent: bool = False,
        **values: Any,  # noqa: ANN401  # columns
    ) -> str | None:
        values = _values_of(hearer, kind=kind, urgent=urgent, **values)
        posted = self._add(connection, values)
        # one that none of us wrote takes the place of none
        if posted is None and outbox_rows.is_forged(connection, values["dedupe_key"]):
            posted = self._add(connection, values | {"dedupe_key": f"{values['dedupe_key']}:anew"})
        if posted is not None:
            self._route(
                connection, posted, self._recipients.find_reachable(connection, hearer.id), urgent=urgent
            )
        return posted

    def _post_page(self, connection: Connection, owner_ids: Sequence[str], night: datetime) -> int:
        hearers = self._recipients.find_hearers(connection, owner_ids)
        routes = self._recipients.find_routes_of_each(connection, owner_ids)
        now = self._clock()
        new = {
            new_id("ntc", now): hearer
            for owner_id in owner_ids
            if routes[owner_id] and (hearer := hearers.get(owner_id)) is not None
        }
        added = outbox_rows.add_each(
            connection,
            [
                _values_of(hearer, **_digest_of(hearer, night)) | {"id": one, "created_at": now, "routed": True}
                for one, hearer in new.items()
            ],
        )
        delivery_rows.add_waiting(
            connection,
            [
                delivery
                for one, hearer in new.items()
                if one in added
                for delivery in _plan_deliveries(one, hearer, routes[hearer.id], now, urgent=False)
            ],
        )
        posted = {new[one].id for one in added}
        alone = [one for one in owner_ids if one in hearers and one not in posted]  # nobody tells who is gone
        return len(posted) + sum(self.post_digest(connection, one, night) is not None for one in alone)

    def _add(self, connection: Connection, values: Mapping[str, Any]) -> str | None:
        """None: there is one of that key."""
        now = self._clock()
        return outbox_rows.add(connection, new_id("ntc", now), created_at=now, **values)

    def _route(
        self, connection: Connection, notice_id: str, hearer: Hearer, *, urgent: bool, stands_in: bool = False
    ) -> None:
        """To each recipient of each of their routes; not by a route that the notice has been given before."""
        before = delivery_rows.list_routes_of(connection, notice_id)
        routes = [one for one in self._recipients.find_routes(connection, hearer.id) if one.id not in before]
        new = _plan_deliveries(notice_id, hearer, routes, self._clock(), urgent=urgent)
        if new:
            delivery_rows.add_waiting(connection, new, stands_in=stands_in)
            outbox_rows.mark_routed(connection, notice_id)


def _digest_of(hearer: Hearer, night: datetime) -> dict[str, Any]:
    return {
        "kind": NoticeKind.DIGEST,
        "dedupe_key": digest_key(hearer.id, night),
        "subject": f"Nightkey: the night of {night:%Y-%m-%d} ({hearer.name})",
        "body": None,
        "night": night,
    }


def _values_of(hearer: Hearer, *, kind: NoticeKind, urgent: bool = False, **values: Any) -> dict[str, Any]:  # noqa: ANN401  # columns
    return values | {"owner_id": hearer.id, "owner": hearer.name, "kind": kind.value, "urgent": urgent}


def _plan_deliveries(
    notice_id: str, hearer: Hearer, routes: Sequence[StoredRoute], now: datetime, *, urgent: bool
) -> list[tuple[Key, str, datetime]]:
    """As the rows have them: which, by what route as it is shown, and when."""
    next_at = hearer.may_be_told(now, urgent=urgent)
    return [
        (Key(notice_id, route.id, recipient), route.shown, next_at)
        for route in routes
        for recipient in route.recipients or [WHOLE]
    ]


def _is_urgent(connection: Connection, item_id: str | None) -> bool:
    """By the item's policy, where there is one; one that cannot be read makes no notice wait."""
    found = addressee_rows.find_policy(connection, item_id)
    try:
        return found is not None and (found.policy is None or policy_from_json(found.policy).urgent)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        return True
