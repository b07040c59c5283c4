"""Notices: written into the outbox with the change they tell of. `delivery` sends them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

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
from worker.rows.deliveries import Key
from worker.services.notices.recipients import NOBODY, Hearer, Recipients
from worker.services.notices.wording import Wording


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
        return self._insert(
            connection,
            hearer,
            kind=NoticeKind.DIGEST,
            dedupe_key=digest_key(owner_id, night),
            subject=f"Nightkey: the night of {night:%Y-%m-%d} ({hearer.name})",
            body=None,
            night=night,
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
        values |= {"owner_id": hearer.id, "owner": hearer.name, "kind": kind.value, "urgent": urgent}
        posted = self._add(connection, values)
        # one that none of us wrote takes the place of none
        if posted is None and outbox_rows.is_forged(connection, values["dedupe_key"]):
            posted = self._add(connection, values | {"dedupe_key": f"{values['dedupe_key']}:anew"})
        if posted is not None:
            self._route(
                connection, posted, self._recipients.find_reachable(connection, hearer.id), urgent=urgent
            )
        return posted

    def _add(self, connection: Connection, values: Mapping[str, Any]) -> str | None:
        """None: there is one of that key."""
        now = self._clock()
        return outbox_rows.add(connection, new_id("ntc", now), created_at=now, **values)

    def _route(
        self, connection: Connection, notice_id: str, hearer: Hearer, *, urgent: bool, stands_in: bool = False
    ) -> None:
        """To each recipient of each of their routes; not by a route that the notice has been given before."""
        before = delivery_rows.list_routes_of(connection, notice_id)
        next_at = hearer.may_be_told(self._clock(), urgent=urgent)
        new = [
            (Key(notice_id, route.id, recipient), route.shown)
            for route in self._recipients.find_routes(connection, hearer.id)
            if route.id not in before
            for recipient in route.recipients or [WHOLE]
        ]
        if new:
            delivery_rows.add_waiting(connection, new, stands_in=stands_in, next_at=next_at)
            outbox_rows.mark_routed(connection, notice_id)


def _is_urgent(connection: Connection, item_id: str | None) -> bool:
    """By the item's policy, where there is one; one that cannot be read makes no notice wait."""
    found = addressee_rows.find_policy(connection, item_id)
    try:
        return found is not None and (found.policy is None or policy_from_json(found.policy).urgent)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        return True
