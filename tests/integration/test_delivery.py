"""Notices on their way: real sinks that take, refuse, hang, drip and break off, and a process that dies."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from nightkey_demo.http_sink import HttpSink
from nightkey_demo.loopback import Answer, Incoming
from nightkey_demo.mail_server import MailServer
from tests.conftest import Clock
from tests.integration.outbox import TOO_LONG, Outbox
from vaultcore.secret import Secret
from worker.bootstrap import Services, utc_now
from worker.config import load_settings
from worker.domain.notice_kinds import NoticeKind
from worker.installation import initialise
from worker.outbound import sessions
from worker.outbound.transport import HttpLine
from worker.rows.problems import read_undelivered
from worker.wording.problems import describe

PATIENCE = 120.0


def json_route(sink: HttpSink, path: str = "") -> str:
    return f"json://{sink.url[7:]}/{path}"


def test_a_notice_arrives_once_by_every_route_of_its_owner(outbox: Outbox, sink: HttpSink) -> None:
    outbox.add_owner("ann", json_route(sink, "a"), json_route(sink, "b"))
    notice = outbox.post("ann")
    outbox.deliver()
    outbox.deliver()
    assert sorted(post.path for post in sink.requests) == ["/a", "/b"]
    titles = {post.body["title"] for post in sink.requests}
    assert titles == {f"Nightkey: a test for ann [{notice[-8:]}]"}
    assert outbox.states() == {"ann": [("sent", 1), ("sent", 1)]}


def test_mail_goes_over_tls_as_html_and_text_to_a_server_that_the_machine_trusts(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MailServer({"robot": "a-password"}, tls=True) as server:
        route = f"mailtos://robot:a-password@localhost:{server.port}/?from=n@example.org&to=ann@example.org"
        outbox.add_owner("ann", route)
        outbox.post("ann")
        outbox.deliver()
        assert outbox.states() == {"ann": [("waiting", 1)]}, "nobody vouches for it"
        assert server.messages == []
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate_path))
        outbox.services.clock.advance(timedelta(hours=1))  # type: ignore[attr-defined]  # the tests' clock
        outbox.deliver()
        (mail,) = server.wait_for(1, PATIENCE)
    assert outbox.states() == {"ann": [("sent", 2)]}
    assert str(mail.message["Subject"]).startswith("Nightkey: a test for ann [")
    forms = {part.get_content_type(): part.get_content() for part in mail.message.walk() if part.get_payload()
             and not part.is_multipart()}  # fmt: skip
    assert forms["text/html"].startswith("<p>This is what a message from Nightkey looks like here.")
    assert "<p>" not in forms["text/plain"]


def test_a_route_that_answers_500_is_tried_four_times_with_growing_pauses_and_then_others_hear_of_it(
    outbox: Outbox, sink: HttpSink, clock: Clock
) -> None:
    with HttpSink() as broken:
        broken.answer(500, times=100)
        outbox.add_owner("operators", json_route(sink, "operators"))
        outbox.add_owner("bob", json_route(sink, "bob"))
        outbox.add_owner("ann", json_route(broken), deputy="bob")
        outbox.post("ann")
        began, pauses = clock(), []
        for _ in range(4):
            outbox.deliver()
            until = outbox.services.notices.delivery.next_try()
            if until is not None:
                pauses.append((until - clock()).total_seconds())
                clock.advance(until - clock())
        assert pauses == [60, 120, 240]
        assert len(broken.requests) == 4
    assert sorted(post.path for post in sink.requests) == ["/bob", "/operators"]
    for post in sink.requests:
        assert post.body["message"].startswith("This is for ann, whom it did not reach")
    (failed,) = outbox.notices(failed=True)
    assert (failed.owner, failed.state, failed.error) == ("ann", "failed", "the service answered 500")
    assert [(one.state, one.stands_in) for one in failed.deliveries].count(("sent", True)) == 2
    with outbox.services.database.read() as connection:
        (problem,) = read_undelivered(connection, since=began, now=clock())
    assert describe(problem).startswith("ann could not be told 'Nightkey: a test for ann' by json://127.0.0.1")


def test_a_mistake_is_not_tried_again_and_may_be_mended(outbox: Outbox, sink: HttpSink) -> None:
    sink.answer(404)
    outbox.add_owner("ann", json_route(sink))
    notice = outbox.post("ann")
    outbox.deliver()
    assert outbox.states() == {"ann": [("failed", 1)]}
    assert outbox.services.notices.delivery.retry(notice) == 1
    outbox.deliver()
    assert outbox.states() == {"ann": [("sent", 1)]}
    assert outbox.notices(failed=True) == []


def test_a_notice_that_its_service_cannot_take_fails_no_other(
    outbox: Outbox, sink: HttpSink, clock: Clock
) -> None:
    outbox.add_owner("operators", json_route(sink, "operators"))
    outbox.add_owner("ann", json_route(sink, "ann"))
    for key in range(3):
        outbox.post("ann", key=str(key))
    sink.answer(500)  # to the first of them
    outbox.deliver()
    clock.advance(timedelta(minutes=2))
    outbox.deliver()
    assert [one.deliveries[0].attempts for one in sorted(outbox.notices(), key=lambda one: one.id)] == [2, 1, 1]
    assert {one.state for one in outbox.notices()} == {"sent"}


def test_one_route_that_takes_it_is_enough(outbox: Outbox, sink: HttpSink) -> None:
    with HttpSink() as broken:
        broken.answer(403, times=10)
        outbox.add_owner("operators", json_route(sink, "operators"))
        outbox.add_owner("ann", json_route(broken), json_route(sink, "ann"))
        outbox.post("ann")
        outbox.deliver()
    assert [post.path for post in sink.requests] == ["/ann"]
    assert outbox.states()["ann"] == [("failed", 1), ("sent", 1)]


class RawSink:
    """Takes connections, and does with each what it is told to."""

    def __init__(self, behaviour: str) -> None:
        self._behaviour = behaviour
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self.port = self._listening.getsockname()[1]
        self.connections = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listening.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client:
            client.recv(20 if self._behaviour == "breaks off the request" else 65_536)
            if self._behaviour == "breaks off the answer":
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            elif self._behaviour == "hangs":
                self._over.wait(2 * PATIENCE)
            elif self._behaviour == "drips":
                client.sendall(b"HTTP/1.1 200 OK\r\nX-Filler: ")
                while not self._over.wait(0.05):
                    try:
                        client.sendall(b"x")
                    except OSError:
                        return


@pytest.mark.parametrize("behaviour", ["hangs", "drips", "breaks off the request", "breaks off the answer"])
def test_a_route_that_does_not_answer_holds_up_no_other(outbox: Outbox, sink: HttpSink, behaviour: str) -> None:
    with RawSink(behaviour) as bad:
        for number in range(20):
            outbox.add_owner(f"owner-{number}", json_route(sink, str(number)))
        outbox.add_owner("ann", f"json://127.0.0.1:{bad.port}/")
        for key in range(3):
            outbox.post("ann", key=str(key))
        for number in range(20):
            outbox.post(f"owner-{number}")
        began = time.monotonic()
        outbox.deliver()
        took = time.monotonic() - began
    assert len(sink.requests) == 20
    assert took < TOO_LONG + PATIENCE
    assert bad.connections == 1, "what waits behind it is away, too"
    mine = [notice for notice in outbox.notices() if notice.owner == "ann"]
    assert [one.deliveries[0].attempts for one in mine] == [1, 1, 1]
    assert {one.state for one in mine} == {"waiting"}


def test_a_route_that_is_replaced_while_a_notice_waits_is_not_waited_for(
    outbox: Outbox, sink: HttpSink, clock: Clock
) -> None:
    outbox.add_owner("operators", json_route(sink, "operators"))
    outbox.add_owner("ann", json_route(sink, "old"), quiet="01:00-09:00")
    outbox.post("ann")
    services = outbox.services
    with services.database.write() as connection:
        owner = services.owners.get(connection, "ann")
        services.owners.remove_route(connection, owner, owner.routes[0].id, actor="test")
    outbox.add_owner("ann", json_route(sink, "new"))
    clock.advance(timedelta(hours=8))
    outbox.deliver()
    assert [post.path for post in sink.requests] == ["/new"]


def test_notices_without_a_route_hold_up_no_others_and_are_withdrawn_when_they_are_resolved(
    outbox: Outbox, sink: HttpSink
) -> None:
    services = outbox.services
    outbox.add_owner("ann")
    outbox.add_owner("bob")
    for key in range(30):
        outbox.post("ann", key=str(key))
    outbox.post("bob")
    with services.database.write() as connection:
        bob = services.owners.get(connection, "bob")
        services.notices.outbox.post(
            connection, bob.id, kind=NoticeKind.TEST, dedupe_key="resolved", data={}, about="rot_1"
        )
        services.notices.outbox.withdraw(connection, "rot_1")
    assert not services.notices.delivery.is_due()
    outbox.add_owner("bob", json_route(sink, "bob"))
    assert services.notices.delivery.is_due()
    outbox.deliver()
    assert [post.path for post in sink.requests] == ["/bob"]
    assert not services.notices.delivery.is_due()
    states = [notice.state for notice in outbox.notices() if notice.owner == "bob"]
    assert sorted(states) == ["sent", "withdrawn"]


def test_a_message_that_is_too_long_for_the_service_comes_in_parts(outbox: Outbox, sink: HttpSink) -> None:
    services = outbox.services
    outbox.add_owner("ann", f"mmost://{sink.url[7:]}/a-token-of-the-service")
    with services.database.write() as connection:
        services.notices.outbox.tell_operators(connection, kind=NoticeKind.NIGHT_FAILED, dedupe_key="x", data={
            "night": services.clock(), "problems": [f"item number {n} was not replaced" for n in range(400)],
        })  # fmt: skip
        operators = services.owners.get(connection, "operators")
        url = Secret(f"mmost://{sink.url[7:]}/a-token-of-the-service")
        services.owners.add_route(connection, operators, url, shown="mmost://", actor="test")
    outbox.deliver()
    assert len(sink.requests) > 2
    assert "item number 399 was not replaced" in str(sink.requests[-1].body)
    assert all(len(str(post.body)) < 5_000 for post in sink.requests)


def test_a_retry_keeps_quiet_hours(outbox: Outbox, sink: HttpSink, clock: Clock) -> None:
    sink.answer(503)
    outbox.add_owner("ann", json_route(sink), quiet="02:01-07:00")  # it is 02:00
    outbox.post("ann")
    outbox.deliver()
    until = outbox.services.notices.delivery.next_try()
    assert until is not None
    assert until - clock() == timedelta(hours=5)


class MeetingPoint(HttpSink):
    """Answers its first callers when all of them are there; `missed` where one waited in vain."""

    def __init__(self, callers: int) -> None:
        super().__init__()
        self._meeting = threading.Barrier(callers)
        self._seats = iter(range(callers))
        self.missed = False

    def respond(self, incoming: Incoming) -> Answer | None:
        if next(self._seats, None) is not None:
            try:
                self._meeting.wait(PATIENCE)
            except threading.BrokenBarrierError:
                self.missed = True
        return super().respond(incoming)


def test_many_routes_are_served_at_once(patient_outbox: Outbox) -> None:
    """The first eight are answered once all eight are there."""
    outbox = patient_outbox
    with MeetingPoint(8) as met:
        for number in range(60):
            outbox.add_owner(f"owner-{number}", json_route(met, str(number)))
            outbox.post(f"owner-{number}")
        outbox.deliver()
    assert not met.missed
    assert len(met.requests) == 60


class Switchboard(HttpSink):
    """Knows what came on one connection: a thread serves each. It hangs up where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[threading.Thread, list[str]] = {}
        self.hangs_up_on: set[int] = set()

    def respond(self, incoming: Incoming) -> Answer | None:
        said = self.lines.setdefault(threading.current_thread(), [])
        said.append(incoming.headers.get("authorization", ""))
        answer = super().respond(incoming)
        return None if len(self.requests) in self.hangs_up_on else answer


@pytest.fixture
def switchboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Switchboard]:
    """However slow this machine is, no connection is idle for too long."""
    monkeypatch.setattr(HttpLine, "idle_seconds", 10 * PATIENCE)
    monkeypatch.setattr(sessions, "AGE_MAX_SECONDS", 10 * PATIENCE)
    with Switchboard() as started:
        yield started


def test_connections_serve_many_routes_to_a_host_but_each_login_by_itself_until_all_is_sent(
    patient_outbox: Outbox, switchboard: Switchboard
) -> None:
    outbox = patient_outbox
    for number in range(60):
        login = "robot:a-password@" if number % 3 else ""
        outbox.add_owner(f"owner-{number}", f"json://{login}{switchboard.url[7:]}/{number}")
        outbox.post(f"owner-{number}")
    outbox.deliver()
    said = list(switchboard.lines.values())
    assert sum(map(len, said)) == 60
    assert all(len(set(line)) == 1 for line in said)
    assert len({line[0] for line in said}) == 2
    assert len(said) <= 2 * 8, "as many for each login as there are sends at a time"
    for line in switchboard.lines:
        line.join(PATIENCE)
        assert not line.is_alive()


def test_a_notice_is_sent_anew_at_once_where_its_host_hangs_up_on_an_open_connection(
    patient_outbox: Outbox, switchboard: Switchboard
) -> None:
    outbox = patient_outbox
    outbox.add_owner("ann", json_route(switchboard))
    for key in range(3):
        outbox.post("ann", key=str(key))
    switchboard.hangs_up_on = {2}
    outbox.deliver()
    titles = [post.body["title"] for post in switchboard.requests]
    assert len(titles) == 4
    assert titles[1] == titles[2]
    assert [len(line) for line in switchboard.lines.values()] == [2, 2]
    assert {one.deliveries[0].attempts for one in outbox.notices()} == {1}
    assert {one.state for one in outbox.notices()} == {"sent"}


def test_two_processes_send_each_notice_once(
    tmp_path: Path, outbox: Outbox, sink: HttpSink, clock: Any
) -> None:
    for number in range(30):
        outbox.add_owner(f"owner-{number}", json_route(sink, str(number)))
        outbox.post(f"owner-{number}")
    other = Services(outbox.services.settings, clock)
    threads = [
        threading.Thread(target=services.notices.delivery.deliver) for services in (outbox.services, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    other.close()
    assert sorted(int(post.path[1:]) for post in sink.requests) == list(range(30))


_CHILD = """
from pathlib import Path
import sys
from worker.bootstrap import Services
from worker.config import load_settings
Services(load_settings(Path(sys.argv[1]))).notices.delivery.deliver()
"""


def test_a_process_killed_between_the_send_and_its_mark_sends_the_same_notice_again(
    tmp_path: Path,
    sink: HttpSink,
    loopback: None,  # where the sink is
) -> None:
    """SIGKILL as soon as the sink has it; another process takes it up when the lease is over."""
    settings = load_settings(tmp_path / "home")
    initialise(settings)
    services = Services(settings)
    outbox = Outbox(services)
    outbox.add_owner("ann", json_route(sink))
    outbox.post("ann")
    sink.hang()
    with _child(settings.home) as process:
        (first,) = sink.wait_for(1, PATIENCE)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
    outbox.deliver()
    assert len(sink.requests) == 1, "its holder may still live"
    services.close()
    later = Services(settings, lambda: utc_now() + timedelta(minutes=6))
    later.notices.delivery.deliver()
    later.notices.delivery.deliver()
    assert Outbox(later).states() == {"ann": [("sent", 2)]}
    later.close()
    _, second = sink.requests
    assert first.body == second.body
    assert first.body["title"].endswith("]")


@contextmanager
def _child(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", _CHILD, str(home)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()
