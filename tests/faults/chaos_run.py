"""The chaos itself: items that are rotated while time passes, and what must hold whenever it rests."""

import random
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Self, TextIO

from sqlalchemy import func, select

from nightkey_demo.faces import Face
from nightkey_demo.target_systems import TargetSystems
from tests.faults.broker import Broker
from tests.faults.chaos_worker import Message
from tests.faults.clock import make_clock
from tests.faults.fault_injection import FaultInjection, FaultySink, FaultyTokens
from tests.faults.invariants import find_audit_violations, find_vault_violations, find_violations, look
from tests.faults.vault_copy import Vault, let_leases_lapse, let_sweep_lapse, open_services
from tests.faults.worker_pool import PATIENCE, WorkerPool
from tests.organisation import Organisation
from worker.domain import saga
from worker.domain.rotation import Rotation
from worker.rows.rotations import rotation_from_row
from worker.rows.tables import rotations
from worker.wording.reasons import say

ITEMS = 14
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)

JUMPED, SPOILED, CHANGED_FACE = 0.03, 0.2, 0.3
"""Chances, per quiet moment."""
_RESTS = 60
_RETRIES = 3
"""How often a person lets a stuck rotation try again before its item leaves the game."""


class ChaosRun:
    """A vault with its items, a crew that works on them, and the broker and the clock between them."""

    def __init__(
        self,
        folder: Path,
        server: str | None,
        *,
        dice: random.Random,
        without: tuple[str, ...] = (),
        log: TextIO | None = None,
    ) -> None:
        self.finished = 0
        self.needs_persons = False
        self._log = log
        self._audit_at = 0
        self.faults: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.strange: Counter[str] = Counter()
        self._dice = dice
        self._stops = "stopped" not in without
        self._faces = [face for face in Face if face.value not in without]
        self._unseen = self._dice.sample(self._faces, len(self._faces))
        self.trouble = FaultInjection(random.Random(dice.random()), without=without, note=self._note)
        self._clock_file = folder / "clock"
        self.clock = make_clock(self._clock_file)
        self._vault = Vault(folder, server, "chaos", self.clock)
        self._broker = Broker(dice, self._count)
        self._accounts: dict[str, str] = {}
        self._out: set[str] = set()
        self._retried: Counter[str] = Counter()
        self._violations: set[str] = set()
        self._next_night = self.clock()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.callback(self._vault.remove)
        self.services = open_services(self._vault.place, self.clock)
        self._stack.callback(self.services.close)
        self.tokens, sink = FaultyTokens(clock=self.clock), FaultySink()
        self.tokens.trouble = sink.trouble = self.trouble
        self.tokens.soon = 2 * DAY
        self._stack.enter_context(self.tokens)
        self._stack.enter_context(sink)
        targets = TargetSystems(token_service=self.tokens, mail=None, sink=sink, mail_user="", mail_password="")
        self._organisation = Organisation(self.services, targets)
        self._organisation.add_owner("support")
        for _ in range(ITEMS):
            self._enrol()
        self._crew = WorkerPool(
            self._vault.place,
            self._clock_file,
            self._dice,
            stops=self._stops,
            lapse=lambda row_id: let_leases_lapse(self.services, row_id),
            count=self._count,
        )
        self._stack.callback(self._crew.dismiss)
        self.trouble.kill = self._crew.kill_somebody
        self._set_peace(peace=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.trouble.on = False
        self._stack.close()

    # What is asked of it

    def turn(self) -> None:
        """Gives out what there is to do and hears what was done; if there is nothing, time goes on."""
        self._go_on()
        if self._crew.is_busy():
            self._hear()
        elif not self._broker:
            self._let_time_pass()

    def rest_and_look(self, *, last: bool = False) -> list[str]:
        """All faults stop, everything comes to rest, and every item is looked at: new violations."""
        self._set_peace(peace=True)
        self.needs_persons = False
        self._drain()
        assert self.trouble.is_over(PATIENCE), "a request is being served for ever"
        let_leases_lapse(self.services)
        self.tokens.default_scopes.clear()
        self.tokens.faces = frozenset()
        self.clock.advance(HOUR)  # what it asked for while it was busy is over
        for _ in range(_RESTS):
            self._broker.ring(Message(bell="resume"))
            for name in self._find_lapsed():  # who jumps over nights has passed its date by
                self._broker.ring(Message(bell="request", about=name))
            self._drain()
            self._decide_for_persons()
            moving = [rotation for rotation in self._open_rotations() if not _waits_for_a_person(rotation)]
            if not moving and not self._find_lapsed():
                break
            for rotation in moving:
                self._broker.ring(Message(bell="start", about=_workflow(rotation.item)))
            self._drain()
            self.clock.advance(HOUR)
        self._count_finished()
        found = [problem for problem in self._look(last=last) if problem not in self._violations]
        self._violations.update(found)
        for problem in found:
            self._note(f"VIOLATION {problem}")
        self.tokens.forget_revoked()
        self._set_peace(peace=False)
        return found

    def has_unseen_faces(self) -> bool:
        return bool(self._unseen)

    def _count_finished(self) -> None:
        finished = select(func.count()).select_from(rotations).where(rotations.c.finished_at.is_not(None))
        with self.services.database.read() as connection:
            self.finished = int(connection.execute(finished).scalar_one())

    def ended(self) -> Counter[str]:
        """How many rotations are in which state."""
        with self.services.database.read() as connection:
            return Counter(connection.execute(select(rotations.c.state)).scalars())

    # Time and items

    def _let_time_pass(self) -> None:
        dice = self._dice
        self._count_finished()
        if not self.trouble.is_over(0.05):
            # What comes late comes within a minute or two, in which a try or two may be made: not hours later.
            if dice.random() < 0.2:
                self.clock.advance(MINUTE / 4)
                self._broker.ring(Message(bell="resume"))
            return
        self.clock.advance(dice.uniform(1, 90) * MINUTE)
        let_sweep_lapse(self.services)
        if dice.random() < JUMPED:
            self._count("clock jumped", None)
            self.clock.advance(dice.choice([-1, 1]) * DAY)
        if self.clock() >= self._next_night:
            self._broker.ring(Message(bell="night", about=self.clock().isoformat()))
            self._next_night = self.clock() + DAY
        self._broker.ring(Message(bell="resume"))
        waiting = self._open_rotations()
        self.needs_persons = sum(map(_waits_for_a_person, waiting)) >= ITEMS // 2
        opened = {rotation.item for rotation in waiting}
        for name in dice.sample(sorted(opened - self._out), min(3, len(opened - self._out))):
            self._broker.ring(Message(bell="start", about=_workflow(name)))
        resting = sorted(set(self._accounts) - opened - self._out)
        for name in dice.sample(resting, min(3, len(resting))):
            self._broker.ring(Message(bell="request", about=name))
        if dice.random() < SPOILED:
            self._count("replacements spoiled", None)
            self.tokens.default_scopes[dice.choice(sorted(self._accounts.values()))] = ["nothing"]
        elif self.tokens.default_scopes and dice.random() < 0.2:
            self.tokens.default_scopes.clear()
        if self._faces and dice.random() < CHANGED_FACE:
            self._change_face()

    def _change_face(self) -> None:
        """The service becomes what it is expected to be, or something else: each face once, then any."""
        if self.tokens.faces:
            self.tokens.faces = frozenset()
            return
        face = self._unseen.pop() if self._unseen else self._dice.choice(self._faces)
        self.tokens.faces = frozenset({face})
        self._count(f"face: {face}", None)

    def _enrol(self) -> None:
        number = len(self._accounts) + 1
        name, account = f"prod-service{number:02}-api-token", f"account{number:02}"
        self._organisation.add_token(
            name, account, days=self._dice.uniform(1, 5), lifetime="30d", lead="28d", overlap="1h"
        )
        self.tokens.add_foreign(account)
        self._organisation.add_workflow(_workflow(name), name, path="/v1/tickets")
        self._accounts[name] = account

    def _open_rotations(self) -> list[Rotation]:
        with self.services.database.read() as connection:
            rows = connection.execute(
                select(rotations).where(rotations.c.finished_at.is_(None)).order_by(rotations.c.id)
            ).all()
        return [rotation_from_row(row) for row in rows]

    def _find_lapsed(self) -> list[str]:
        """Items whose value has lapsed, and that nothing is replacing."""
        opened = {rotation.item for rotation in self._open_rotations()}
        with self.services.database.read() as connection:
            ends = {
                name: self.services.vault.get(connection, name).expires_at
                for name in sorted(set(self._accounts) - opened - self._out)
            }
        return [name for name, ends_at in ends.items() if ends_at is not None and ends_at <= self.clock()]

    def _decide_for_persons(self) -> None:
        for rotation in self._open_rotations():
            if _waits_for_a_person(rotation) and rotation.item not in self._out:
                self._note(f"{rotation.id} is {rotation.state}: {say(rotation.last_error)}")
                self._retried[rotation.id] += 1
                if self._retried[rotation.id] <= _RETRIES:
                    self._retry(rotation)
                    continue
                self._out.add(rotation.item)
                self._enrol()

    def _retry(self, rotation: Rotation) -> None:
        """The same value again; where that did not help, and there is no way back from it, another one."""
        refused = rotation.stuck_in in saga.BEFORE_ACTIVATION and self._retried[rotation.id] > 1
        self.services.rotation.decisions.retry(rotation.id, another=refused, actor="test")

    # Rest

    def _drain(self) -> None:
        """Until every message was worked off and every worker is free."""
        while True:
            self._go_on()
            if self._crew.is_busy(asleep=True):
                self._hear()
            elif not self._broker:
                return

    def _go_on(self) -> None:
        self._crew.go_on()
        self._broker.go_on()
        while self._broker and self._crew.is_free():
            message = self._broker.take()
            self._note(f"to do: {message.bell} {message.about}")
            self._crew.give(message)

    def _hear(self) -> None:
        for answer in self._crew.hear():
            for message in answer.rings:
                self._broker.ring(message)
            if answer.error:
                (self.errors if answer.ours else self.strange)[answer.error] += 1

    def _set_peace(self, *, peace: bool) -> None:
        self._broker.honest = self._crew.spared = peace
        self.trouble.on = not peace

    def _look(self, *, last: bool) -> list[str]:
        found = find_vault_violations(self.services) + [f"outside: {one}" for one in self.tokens.wrongs]
        if self.finished >= self._audit_at or last:
            found += find_audit_violations(self.services)
            self._audit_at = 2 * self.finished  # a log that grows is not walked for every few rows more
        for name, account in self._accounts.items():
            at_rest = name not in self._out
            run = ""
            if at_rest:
                ran = self.services.runs.runs.start(_workflow(name), actor="test")
                run = ran.status if ran.status == "completed" else f"{ran.status}: {ran.error_message}"
            known = look(self.services, name, run=run)
            found += find_violations(known, self.tokens.accepted(account), at_rest=at_rest)
        return found

    def _count(self, fault: str, message: Message | None) -> None:
        self.faults[fault] += 1
        self._note(f"{fault}: {message}")

    def _note(self, text: str) -> None:
        if self._log is not None:
            self._log.write(f"{self.clock():%m-%d %H:%M:%S} {text}\n")


def _workflow(item: str) -> str:
    return f"sync-{item}"


def _waits_for_a_person(rotation: Rotation) -> bool:
    return rotation.finished_at is None and rotation.next_at is None
