"""Each recipient of a route by itself: real mail and HTTP servers that take some and refuse others."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select, update

from nightkey_demo.http_sink import HttpSink
from nightkey_demo.mail_server import MailServer
from tests.conftest import Clock
from tests.integration.outbox import Outbox
from vaultcore.secret import Secret
from vaultcore.tables import routes
from worker.bootstrap import Services
from worker.domain.notice_kinds import NoticeKind
from worker.rows.notices import StoredDelivery, get_notice
from worker.rows.tables import deliveries

PATIENCE = 120.0
ANN, BOB, EVE = "ann@example.org", "bob@example.org", "eve@example.org"
PASSWORD = "pässwörd-of-robot"  # "ä" and "ö" are what mail servers call UTF-8


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer({"robot": PASSWORD}) as started:
        yield started


def mail_route(server: MailServer, rest: str, *, password: str = PASSWORD) -> str:
    return f"mailto://robot:{quote(password)}@localhost:{server.port}/?smtp=localhost&from=n@example.org&{rest}"


def three(server: MailServer) -> str:
    return mail_route(server, f"to={ANN}&cc={BOB}&bcc={EVE}")


def by_recipient(outbox: Outbox, notice: str) -> dict[str, StoredDelivery]:
    with outbox.services.database.read() as connection:
        return {one.recipient: one for one in get_notice(connection, notice).deliveries}


def states(outbox: Outbox, notice: str) -> dict[str, tuple[str, int]]:
    return {name: (one.state, one.attempts) for name, one in by_recipient(outbox, notice).items()}


def taken(server: MailServer) -> list[str]:
    """Who was mailed, each mail by itself."""
    return sorted(recipient for mail in server.messages for recipient in mail.recipients)


def test_a_recipient_that_does_not_exist_fails_alone_and_the_others_hear_once(
    outbox: Outbox, server: MailServer, clock: Clock
) -> None:
    outbox.add_owner("ann", three(server))
    server.answer_recipient(BOB, "550 5.1.1 No such user here")
    notice = outbox.post("ann")
    for _ in range(5):
        outbox.deliver()
        clock.advance(timedelta(hours=1))
    assert taken(server) == [ANN, EVE]
    assert states(outbox, notice) == {ANN: ("sent", 1), BOB: ("failed", 1), EVE: ("sent", 1)}
    assert by_recipient(outbox, notice)[BOB].error == (f"localhost does not take mail for {BOB} (550 5.1.1)")
    (failed,) = outbox.notices(failed=True)
    assert failed.state == "failed"

    server.answer_recipient(BOB, "250 2.1.5 OK")
    assert outbox.services.notices.delivery.retry(notice) == 1
    outbox.deliver()
    assert taken(server) == [ANN, BOB, EVE]
    assert outbox.notices(failed=True) == []


def test_a_recipient_that_is_put_off_is_tried_again_alone(
    outbox: Outbox, server: MailServer, clock: Clock
) -> None:
    outbox.add_owner("ann", three(server))
    server.answer_recipient(ANN, "451 4.7.1 Greylisted, come back later", times=2)
    notice = outbox.post("ann")
    outbox.deliver()
    assert states(outbox, notice) == {ANN: ("waiting", 1), BOB: ("sent", 1), EVE: ("sent", 1)}
    for _ in range(2):
        clock.advance(timedelta(minutes=10))
        outbox.deliver()
    assert taken(server) == [ANN, BOB, EVE]
    assert states(outbox, notice)[ANN] == ("sent", 3)


def test_every_reader_sees_to_and_cc_and_nobody_bcc(outbox: Outbox, server: MailServer) -> None:
    outbox.add_owner("ann", three(server))
    outbox.post("ann")
    outbox.deliver()
    mails = server.wait_for(3, PATIENCE)
    assert {(str(mail.message["To"]), str(mail.message["Cc"])) for mail in mails} == {(ANN, BOB)}
    assert EVE not in "".join(mail.message.as_string() for mail in mails)
    assert all(mail.message["X-Application"] == "Nightkey" for mail in mails)


def test_an_internationalised_domain_is_encoded_and_reached(outbox: Outbox, server: MailServer) -> None:
    outbox.add_owner("ann", mail_route(server, "to=jos@exämple.org,o'brien@example.org"))
    notice = outbox.post("ann")
    outbox.deliver()
    assert taken(server) == ["jos@xn--exmple-cua.org", "o'brien@example.org"]
    assert {state for state, _ in states(outbox, notice).values()} == {"sent"}
    assert {str(mail.message["To"]) for mail in server.messages} == set(taken(server))


def test_what_cannot_be_an_address_is_never_called_sent(outbox: Outbox, server: MailServer) -> None:
    """A route from before such routes were refused."""
    outbox.add_owner("ann", mail_route(server, f"to={ANN},b@r,jös@example.org"))
    notice = outbox.post("ann")
    outbox.deliver()
    assert taken(server) == [ANN]
    found = by_recipient(outbox, notice)
    assert {name: one.state for name, one in found.items()} == {
        ANN: "sent", "b@r": "failed", "jös@example.org": "failed",
    }  # fmt: skip
    assert found["b@r"].error == "'b@r' is not a mail address"


@pytest.mark.parametrize("written", [PASSWORD, quote(PASSWORD)])
def test_a_password_in_any_script_logs_in(outbox: Outbox, server: MailServer, written: str) -> None:
    route = f"mailto://robot:{written}@localhost:{server.port}/?from=n@example.org&to={ANN}"
    outbox.add_owner("ann", route)
    outbox.post("ann")
    outbox.deliver()
    assert taken(server) == [ANN]


def test_a_refused_login_fails_at_once_and_others_hear_of_it(
    outbox: Outbox,
    sink: HttpSink,
    server: MailServer,
) -> None:
    outbox.add_owner("operators", f"json://{sink.url[7:]}/operators")
    outbox.add_owner("ann", mail_route(server, f"to={ANN}&cc={BOB}", password="wröng"))
    notice = outbox.post("ann")
    outbox.deliver()
    found = by_recipient(outbox, notice)
    assert {found[name].error for name in (ANN, BOB)} == {f"localhost:{server.port} refuses the login (535)"}
    assert {found[name].state for name in (ANN, BOB)} == {"failed"}
    assert [post.path for post in sink.requests] == ["/operators"], "once, when the last had failed"
    assert "wröng" not in repr(found)


def test_a_server_that_is_away_counts_as_tried_for_all_its_recipients(
    outbox: Outbox, server: MailServer, clock: Clock
) -> None:
    outbox.add_owner("ann", three(server))
    port = server.port
    notice = outbox.post("ann")
    server.stop()
    outbox.deliver()
    assert states(outbox, notice) == dict.fromkeys((ANN, BOB, EVE), ("waiting", 1))
    assert by_recipient(outbox, notice)[EVE].error == f"localhost:{port} cannot be reached"


@contextmanager
def drops_the_mail() -> Iterator[int]:
    """A server that takes a mail and breaks off without saying so; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    with client, client.makefile("rwb") as lines:
                        lines.write(b"220 here\r\n")
                        lines.flush()
                        for line in lines:
                            if line == b".\r\n":
                                break
                            word = line[:4].upper()
                            if word in (b"EHLO", b"MAIL", b"RCPT", b"DATA"):
                                lines.write(b"354 go on\r\n" if word == b"DATA" else b"250 ok\r\n")
                                lines.flush()

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


def test_a_mail_whose_answer_is_lost_is_said_to_come_twice(outbox: Outbox) -> None:
    with drops_the_mail() as port:
        outbox.add_owner("ann", f"mailto://localhost:{port}/?from=n@example.org&to={ANN}")
        notice = outbox.post("ann")
        outbox.deliver()
    found = by_recipient(outbox, notice)[ANN]
    assert found.state == "waiting"
    assert found.error == "the server broke off while it took the mail: should it have it, it comes twice"


def services_names(outbox: Outbox) -> list[str]:
    with outbox.services.database.read() as connection:
        (route,) = outbox.services.owners.get(connection, "ann").routes
    return list(route.recipients)


def test_one_topic_that_is_refused_fails_alone_and_its_name_is_not_shown(
    outbox: Outbox,
    sink: HttpSink,
) -> None:
    outbox.add_owner("ann", f"ntfy://{sink.url[7:]}/a-secret-topic/another-topic")
    sink.answer(403)
    notice = outbox.post("ann")
    outbox.deliver()
    assert states(outbox, notice) == {"topic 1": ("failed", 1), "topic 2": ("sent", 1)}
    assert len(sink.requests) == 2
    assert "another-topic" in str(sink.requests[1].body)
    names = services_names(outbox)
    assert names == ["topic 1", "topic 2"]


def long_notice(outbox: Outbox, sink: HttpSink) -> tuple[str, str]:
    """A notice that Mattermost takes in four parts: its id, and its key."""
    outbox.add_owner("operators", f"mmost://{sink.url[7:]}/a-token-of-the-service")
    services = outbox.services
    with services.database.write() as connection:
        services.notices.outbox.tell_operators(connection, kind=NoticeKind.NIGHT_FAILED, dedupe_key="x", data={
            "night": services.clock(), "problems": [f"item number {n:03} was not replaced" for n in range(400)],
        })  # fmt: skip
    (notice,) = outbox.notices()
    return notice.id, notice.id[-8:]


def numbers_of(sink: HttpSink) -> list[str]:
    """Which part each request was."""
    return [str(post.body["text"]).split("(", 1)[1].split(")", 1)[0] for post in sink.requests]


def test_a_message_in_parts_goes_on_after_the_part_that_failed(
    outbox: Outbox,
    sink: HttpSink,
    clock: Clock,
) -> None:
    notice, key = long_notice(outbox, sink)
    sink.answer(200, times=2)
    sink.answer(500, times=2)
    outbox.deliver()
    assert by_recipient(outbox, notice)[""].parts == 2
    clock.advance(timedelta(hours=1))
    outbox.deliver()
    assert states(outbox, notice)[""] == ("waiting", 2)
    clock.advance(timedelta(hours=1))
    outbox.deliver()
    numbers = numbers_of(sink)
    count = int(numbers[0].partition(" of ")[2])
    assert count > 3
    assert numbers == [f"{n} of {count}" for n in (1, 2, 3, 3, *range(3, count + 1))]
    assert states(outbox, notice)[""] == ("sent", 1)
    assert all(f"[{key}]" in post.body["text"] for post in sink.requests)
    text = "".join(post.body["text"] for post in sink.requests)
    told = [f"item number {n:03} was not replaced" in text for n in range(400)]
    assert all(told)
    assert max(len(post.body["text"]) for post in sink.requests) <= 4000


def test_a_part_is_marked_before_the_next_one_leaves(
    outbox: Outbox,
    sink: HttpSink,
    clock: Clock,
) -> None:
    """What a process that died had sent is known to the next, which goes on there when the lease is over."""
    notice, _ = long_notice(outbox, sink)
    services = outbox.services
    seen: list[object] = []

    class Died(BaseException):
        pass

    def record(connection: Any, result: Any) -> Any:
        seen.append(result)
        if len(seen) == 3:
            raise Died
        return kept(connection, result)

    kept = services.notices.delivery._record_one
    services.notices.delivery._record_one = record  # type: ignore[method-assign]  # the process ends here
    with pytest.raises(Died):
        outbox.deliver()
    assert by_recipient(outbox, notice)[""].parts == 2
    later = Services(services.settings, clock)
    later.notices.delivery.deliver()
    assert len(sink.requests) == 3, "its holder may still live"
    clock.advance(timedelta(minutes=6))
    later.notices.delivery.deliver()
    later.close()
    numbers = numbers_of(sink)
    assert [number[0] for number in numbers] == ["1", "2", "3", "3", "4"][: len(numbers)]
    assert states(outbox, notice)[""][0] == "sent"


def test_what_failed_for_good_in_the_middle_is_retried_from_there(
    outbox: Outbox,
    sink: HttpSink,
) -> None:
    notice, _ = long_notice(outbox, sink)
    sink.answer(200)
    sink.answer(400)
    outbox.deliver()
    assert (states(outbox, notice)[""], by_recipient(outbox, notice)[""].parts) == (("failed", 1), 1)
    assert outbox.services.notices.delivery.retry(notice) == 1
    outbox.deliver()
    assert [number[0] for number in numbers_of(sink)] == ["1", "2", "2", "3", "4"]
    with outbox.services.database.read() as connection:
        assert connection.execute(select(deliveries.c.draft)).scalars().all() == [None]


def test_a_notice_from_before_recipients_were_known_is_not_told_again(
    outbox: Outbox, server: MailServer
) -> None:
    """As the migration leaves it: sent by a route of which nobody had looked whom it leads to."""
    outbox.add_owner("ann", three(server))
    old, new = outbox.post("ann"), outbox.post("ann", key="2")
    with outbox.services.database.write() as connection:
        connection.execute(update(deliveries).where(deliveries.c.notice_id == old).values(state="sent"))
    outbox.deliver()
    assert taken(server) == [ANN, BOB, EVE]
    assert states(outbox, old) == {"": ("sent", 0)}
    assert set(states(outbox, new)) == {ANN, BOB, EVE}
    with outbox.services.database.write() as connection:
        outbox.services.notices.outbox.route_again(connection, old)
        found = connection.execute(select(routes.c.recipients)).scalar_one()
    assert found == [ANN, BOB, EVE]
    assert states(outbox, old) == {"": ("sent", 0)}


def test_routes_that_are_checked_tell_their_recipients(outbox: Outbox, server: MailServer) -> None:
    services = outbox.services
    url = Secret(three(server))
    names = services.notices.sender.check(url)
    assert names == (ANN, BOB, EVE)
    with services.database.write() as connection:
        owner = services.owners.create(connection, "ann", actor="test")
        services.owners.add_route(
            connection, owner, url, shown="mailto://localhost", recipients=names, actor="test"
        )
    notice = outbox.post("ann")
    assert set(states(outbox, notice)) == {ANN, BOB, EVE}
    server.answer_recipient(EVE, "550 No")
    checked = services.notices.route_test.check("ann")
    assert [(one.recipient, one.error) for one in checked] == [
        (ANN, None), (BOB, None), (EVE, f"localhost does not take mail for {EVE} (550)"),
    ]  # fmt: skip


def test_a_server_that_trusts_nobody_here_is_an_outage_that_says_so(outbox: Outbox, tmp_path: Path) -> None:
    with MailServer({"robot": PASSWORD}, tls=True) as server:
        outbox.add_owner("ann", mail_route(server, f"to={ANN}").replace("mailto://", "mailtos://"))
        notice = outbox.post("ann")
        outbox.deliver()
        assert by_recipient(outbox, notice)[ANN].error == (
            f"localhost:{server.port} has a certificate that does not verify"
        )
        assert server.messages == []
