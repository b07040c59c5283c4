"""Notices and deliveries, edited or forged behind the vault's back: they do not leave, and hold up no other."""

import pytest
from sqlalchemy import delete, insert, text, update

from nightkey_demo.http_sink import HttpSink
from nightkey_demo.loopback import Answer, Incoming
from tests.organisation import Organisation
from tests.services.spoiling import find, forge, spoil, write, wrong
from tests.services.staging import add_route, what_is_wrong
from tests.services.test_tampered import behind, read, tampered
from vaultcore.errors import TamperedError
from vaultcore.row_macs import MAC
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.domain.notice_kinds import NoticeKind
from worker.rows.tables import deliveries, notices

pytestmark = pytest.mark.rules


@pytest.fixture
def organisation(with_operators: Organisation) -> Organisation:
    return with_operators


def post(services: Services, what: str, owner: str = "support") -> str | None:
    with services.database.write() as connection:
        return services.notices.outbox.post(
            connection,
            services.owners.get(connection, owner).id,
            kind=NoticeKind.NIGHT_FAILED,
            dedupe_key=what,
            data={"night": services.clock(), "problems": [what]},
        )


def key_of_delivery(services: Services, notice: str | None) -> str:
    row = read(services, deliveries.c.route_id, deliveries.c.recipient, where=deliveries.c.notice_id == notice)
    return f"{notice} {row.route_id} {row.recipient}"


def heard(organisation: Organisation, what: str) -> list[str]:
    """By which paths."""
    return [one.path for one in organisation.targets.sink.requests if f"{what}." in str(one.body)]


@pytest.mark.both
def test_an_edited_notice_does_not_leave_and_stops_no_other(organisation: Organisation) -> None:
    services = organisation.services
    for name in notices.info["decides"]:
        first, _ = post(services, f"first-{name}."), post(services, f"second-{name}.")
        before = spoil(services, notices, str(first), name)
        organisation.deliver()
        assert heard(organisation, f"first-{name}") == [], name
        assert heard(organisation, f"second-{name}") == ["/support"], name
        assert not services.notices.delivery.is_due(), "nothing waits"
        assert wrong(services) == ["notices"], name
        assert f"notices {first}" in tampered(services), "at once"
        assert any("accept-row notices" in one for one in what_is_wrong(services)), name
        with pytest.raises(TamperedError):
            services.notices.delivery.retry(str(first))
        write(services, notices, before, **before)
        services.notices.delivery.retry(str(first))
        organisation.deliver()
        assert heard(organisation, f"first-{name}") == ["/support"], "put right, it goes"
    services.upkeep.row_verification.check_some()
    assert tampered(services) == []


def test_an_edited_delivery_does_not_leave_and_others_hear_of_it(organisation: Organisation) -> None:
    services = organisation.services
    for name in ("route_id", "recipient", "stands_in", "draft", MAC):
        first, _ = post(services, f"first-{name}."), post(services, f"second-{name}.")
        row = find(services, deliveries, key_of_delivery(services, first))
        changed = {"route_id": "rte_x", "recipient": "x", "stands_in": True, MAC: bytes(32)}
        changed["draft"] = {"subject": "x", "body": "of somebody else"}
        write(services, deliveries, row, **{name: changed[name]})
        organisation.deliver()
        others = "/support" if name == "route_id" else "/operators"
        assert heard(organisation, f"first-{name}") == [others], "as of any that failed"
        assert heard(organisation, f"second-{name}") == ["/support"], name
        assert not any("of somebody else" in str(one.body) for one in organisation.targets.sink.requests)
        assert not services.notices.delivery.is_due(), "nothing waits"
        assert wrong(services) == ["deliveries"], name
        assert len(tampered(services)) == 1, name
        with behind(services) as connection:
            connection.execute(delete(deliveries))
        services.upkeep.row_verification.check_some()
        assert tampered(services) == []


def test_what_was_sent_or_withdrawn_is_not_sent_because_its_row_says_so(organisation: Organisation) -> None:
    services = organisation.services
    sent, withdrawn = post(services, "sent."), post(services, "withdrawn.")
    with services.database.write() as connection:
        services.notices.outbox.withdraw_notice(connection, str(withdrawn))
    organisation.deliver()
    with behind(services) as connection:
        connection.execute(text("UPDATE deliveries SET state = 'waiting'"))
        connection.execute(update(deliveries).values(next_at=services.clock()))
    organisation.deliver()
    assert heard(organisation, "sent") == ["/support", "/operators"], "once, and that it was forged"
    assert "/support" not in heard(organisation, "withdrawn")
    assert wrong(services) == ["deliveries"] * 2
    assert sent is not None


def test_a_delivery_of_another_notice_is_none_of_it(organisation: Organisation) -> None:
    services = organisation.services
    first, second = post(services, "first."), post(services, "second.")
    with behind(services) as connection:
        connection.execute(delete(deliveries).where(deliveries.c.notice_id == second))
        connection.execute(update(deliveries).values(notice_id=second))
    organisation.deliver()
    assert heard(organisation, "second") == ["/operators"]
    assert heard(organisation, "first") == []
    assert first is not None


@pytest.mark.both
def test_forged_notices_that_wait_for_a_route_hold_up_nobody(organisation: Organisation) -> None:
    services = organisation.services
    with services.database.write() as connection:
        services.owners.create(connection, "lonely", actor="test")
        connection.execute(text("DELETE FROM routes"))
    genuine = post(services, "genuine.", "lonely")
    row = find(services, notices, str(genuine))
    forged = [
        {**row, "id": f"ntc_0{number:03}", "dedupe_key": f"f{number}", MAC: None} for number in range(501)
    ]
    forged.append({**row, "id": "ntc_nobodys", "dedupe_key": "x", "owner_id": "own_x", MAC: None})
    with behind(services) as connection:
        connection.execute(insert(notices), forged)
    add_route(organisation, "lonely")
    assert services.notices.delivery.is_due()
    organisation.deliver()
    assert not services.notices.delivery.is_due()
    assert heard(organisation, "genuine") == ["/lonely"]


def test_a_notice_that_was_forged_takes_the_place_of_none(organisation: Organisation) -> None:
    services = organisation.services
    before = post(services, "before.")
    forge(services, notices, str(before), id="ntc_forged", dedupe_key="stuck.")
    assert post(services, "stuck.") is not None
    assert post(services, "stuck.") is None, "once, as always"
    organisation.deliver()
    assert heard(organisation, "stuck") == ["/support"]


def test_an_edited_delivery_stops_nobody_who_withdraws_its_notice(organisation: Organisation) -> None:
    services = organisation.services
    notice = post(services, "asked.")
    with behind(services) as connection:
        connection.execute(update(deliveries).values(stands_in=True))
    with services.database.write() as connection:
        services.notices.outbox.withdraw_notice(connection, str(notice))
    assert read(services, deliveries.c.state, where=deliveries.c.notice_id == notice).state == "withdrawn"
    assert wrong(services) == ["deliveries"], "and it became nobody's"


class _Meanwhile(HttpSink):
    """Edits the row of whatever arrives, before it answers."""

    def __init__(self, services: Services) -> None:
        super().__init__()
        self._services = services

    def respond(self, incoming: Incoming) -> Answer | None:
        with behind(self._services) as connection:
            connection.execute(update(deliveries).values(stands_in=True))
        return super().respond(incoming)


def test_what_is_sent_while_its_row_is_edited_does_not_make_that_ours(organisation: Organisation) -> None:
    services = organisation.services
    with _Meanwhile(services) as sink:
        with services.database.write() as connection:
            owner = services.owners.create(connection, "ann", actor="test")
            url = Secret(f"json://{sink.url[7:]}/ann")
            services.owners.add_route(connection, owner, url, shown="json://sink", actor="test")
        notice = post(services, "asked.", "ann")
        organisation.deliver()
        assert len(sink.requests) == 1
    assert wrong(services) == ["deliveries"]
    assert read(services, deliveries.c.state, where=deliveries.c.notice_id == notice).state == "sent"
