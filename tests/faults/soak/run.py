"""One soak: a vault whose items are due in every night, machines that work on it, and troubles by chance."""

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Select, func, select

from tests.faults.fault_injection import PATIENCE_SECONDS, FaultInjection, FaultySink
from tests.faults.invariants import find_audit_violations, find_vault_violations, find_violations, look
from tests.faults.scenarios import answer_bells
from tests.faults.soak.brokers import Broker
from tests.faults.soak.looking import find_log_violations, find_night_violations, find_values
from tests.faults.soak.machines import Machine, wait_until
from tests.faults.soak.troubles import Part, Scene, choose_trouble
from tests.faults.soak.vault import KnownTokens, furnish, make_environment, workflow_of
from tests.faults.vault_copy import VaultCopy
from tests.forged import Sealer
from tests.postgres import Server
from vaultcore.errors import NightkeyError
from worker.bootstrap import Services
from worker.domain.reasons import Code
from worker.domain.rotation import Rotation
from worker.installation import initialise
from worker.rows.nights import NIGHT_JOB
from worker.rows.rotations import rotation_from_row
from worker.rows.tables import deliveries, rotations, sweeps

REST = 300.0
"""Seconds in which all of it must have come to rest once the troubles are over."""
_PAUSE = (1.0, 8.0)
"""Seconds between the beginnings of two troubles."""
_TOLD_EVERY = 10.0
_NO_NIGHT = "0 0 1 1 *"
_HOURS = 2
_LEFT_OUT = ("401", "worker killed, took effect")
"""Of what a target may do: the first judges a value, which no engine does; workers are killed anyway."""


class SoakRun:
    """`tell` hears of what goes on; `counted`: troubles by name. `database`: the server that has the vault."""

    def __init__(
        self,
        folder: Path,
        broker: Broker,
        database: Server | None,
        database_url: str,
        *,
        dice: random.Random,
        tell: Callable[[str], None],
    ) -> None:
        self.counted: Counter[str] = Counter()
        self._dice = dice
        self._tell = tell
        self._folder = folder
        self._database_url = database_url
        self._began = self._told_at = time.monotonic()
        self._stack = ExitStack()
        self._open: list[tuple[float, Part, ExitStack]] = []
        self._last = "begun"
        self.trouble = FaultInjection(random.Random(dice.random()), without=_LEFT_OUT, note=lambda _: None)
        home = folder / "home"
        shares = database is not None and bool(broker.url)
        self.homes = [home, folder / "other"] if shares else [home]
        settings = make_environment(home, database_url=database_url, broker_url=broker.url)
        other = settings | {
            "NIGHTKEY_HOME": str(self.homes[-1]),
            "NIGHTKEY_KEYRING": str(home / "keyring" / "keyring.json"),
        }
        self.machines = (
            Machine("first", (), folder, settings),
            Machine("second", ("--only", "worker"), folder, other | {"NIGHTKEY_CONCURRENCY": "1"}),
            Machine("spare", ("--only", "beat"), folder, other),
        )
        self._broker = broker
        self._database = database

    def __enter__(self) -> Self:
        place = VaultCopy(home=self.homes[0], database_url=self._database_url)
        initialise(place.settings(), _now)
        self._services = Services(place.settings(http_timeout_seconds=PATIENCE_SECONDS), _now)
        self._stack.callback(self._services.close)
        first, second, spare = self.machines
        self._scene = Scene(
            first=first,
            second=second,
            spare=spare,
            broker=self._broker,
            database=self._database,
            vault=Sealer(self._services.keyring, self._services.deployment_id),
            dice=self._dice,
        )
        self.tokens, sink = KnownTokens(), FaultySink()
        self.tokens.trouble = sink.trouble = self.trouble
        self._stack.enter_context(self.tokens)
        self._stack.enter_context(sink)
        self._accounts = furnish(self._services, self.tokens, sink)
        for machine in self.machines:
            self._stack.callback(machine.end)
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.trouble.on = False
        while self._open:
            self._open.pop()[2].close()
        self._stack.close()

    def wait_until_at_work(self) -> None:
        """Before the first trouble: a slow machine takes its time until there is something to hurt."""
        assert self._wait(lambda: self.nights() > 0), f"no night was done in {REST:g} s without any trouble"

    def disturb(self, seconds: float) -> None:
        """Troubles of all kinds, some at the same time, for so long; then all of them end."""
        self.trouble.on = True
        until = time.monotonic() + seconds
        next_at = time.monotonic() + self._dice.uniform(*_PAUSE)
        while time.monotonic() < until:
            self._end_those_over(time.monotonic())
            if time.monotonic() >= next_at:
                self._begin_one()
                next_at = time.monotonic() + self._dice.uniform(*_PAUSE)
            self._look_around()
            time.sleep(0.2)
        self._end_those_over(None)
        self.trouble.on = False

    def rest_and_look(self) -> list[str]:
        """Nights must go on by themselves, and all of it must come to rest: what must not be."""
        self._note("troubles over")
        problems = []
        over = _now()
        if not self._wait(lambda: self._has_night_since(over)):
            problems.append(f"no night was done within {REST:g} s of the troubles' end")
        self._stop()
        self._begin(NIGHTKEY_NIGHT_AT=_NO_NIGHT)
        if not self._wait(self._is_at_rest):
            problems.append(f"it did not come to rest within {REST:g} s")
        self._note("at rest")
        self._stop()
        problems += self._look()
        self.tokens.forget_revoked()
        return problems

    def go_on(self) -> None:
        self._begin()

    def finished(self) -> int:
        return self._count(
            select(func.count()).select_from(rotations).where(rotations.c.finished_at.is_not(None))
        )

    def nights(self) -> int:
        done = select(func.count()).select_from(sweeps)
        return self._count(done.where(sweeps.c.job == NIGHT_JOB, sweeps.c.done_at.is_not(None)))

    def ended(self) -> Counter[str]:
        with self._services.database.read() as connection:
            return Counter(connection.execute(select(rotations.c.state)).scalars())

    # Troubles

    def _begin_one(self) -> None:
        busy = {part for _, part, _ in self._open}
        trouble = choose_trouble(self._dice, busy, has_server=self._database is not None)
        if trouble is None:
            return
        self._note(trouble.name)
        self.counted[trouble.name] += 1
        held = ExitStack()
        held.enter_context(trouble.happens(self._scene))
        self._open.append((time.monotonic() + self._dice.uniform(*trouble.seconds), trouble.part, held))

    def _end_those_over(self, now: float | None) -> None:
        """None: all of them."""
        over = [one for one in self._open if now is None or one[0] <= now]
        self._open = [one for one in self._open if one not in over]
        for _, _, held in over:
            held.close()

    def _look_around(self) -> None:
        for machine in (self._scene.first, self._scene.second):
            machine.look()
        if time.monotonic() - self._told_at >= _TOLD_EVERY:
            self._note(self._last)

    def _note(self, event: str) -> None:
        self._last, self._told_at = event, time.monotonic()
        try:
            done = f"{self.finished():4} rotations  {self.nights():3} nights"
        except NightkeyError:
            done = "the database is away"
        self._tell(f"  {time.monotonic() - self._began:5.0f} s  {done}  {event}")

    # Machines

    def _begin(self, **settings: str) -> None:
        self._scene.first.begin(**settings)
        self._scene.second.begin(**settings)

    def _stop(self) -> None:
        for machine in self.machines:
            machine.stop()

    # Rest

    def _wait(self, holds: Callable[[], bool]) -> bool:
        def look() -> bool:
            self._look_around()
            return holds()

        return wait_until(look, seconds=REST)

    def _has_night_since(self, since: datetime) -> bool:
        done = select(func.count()).select_from(sweeps)
        return self._count(done.where(sweeps.c.slot > since, sweeps.c.done_at.is_not(None))) > 0

    def _is_at_rest(self) -> bool:
        """But for what waits for a time that is far: that comes at the end, by a clock of our own."""
        untold = select(func.count()).select_from(deliveries).where(deliveries.c.state == "waiting")
        unclosed = (
            select(func.count())
            .select_from(sweeps)
            .where(sweeps.c.job == NIGHT_JOB, sweeps.c.scanned_at.is_not(None), sweeps.c.done_at.is_(None))
        )
        with self._services.database.read() as connection:
            rows = connection.execute(select(rotations).where(rotations.c.finished_at.is_(None))).all()
        moving = [row for row in rows if not _waits_for_long(rotation_from_row(row))]
        return not moving and not any(self._count(query) for query in (untold, unclosed))

    def _look(self) -> list[str]:
        """Hours later, when nothing that was asked of a target takes effect any more, and runs that were cut
        off with a worker have been given up.
        """
        later = timedelta()
        with closing(Services(self._services.settings, lambda: _now() + later)) as services:
            for _ in range(_HOURS):
                for name in self._accounts:
                    services.runs.runs.start(workflow_of(name), actor="test")
                answer_bells(services)
                later += timedelta(hours=1)
            answer_bells(services)
            return self._look_at(services)

    def _look_at(self, services: Services) -> list[str]:
        found = [f"outside: {one}" for one in self.tokens.wrongs]
        for machine in self.machines:
            found += machine.wrongs
            machine.wrongs.clear()
        found += find_vault_violations(services) + find_audit_violations(services)
        found += find_night_violations(services)
        for name, account in self._accounts.items():
            ran = services.runs.runs.start(workflow_of(name), actor="test")
            run = ran.status if ran.status == "completed" else f"{ran.status}: {ran.error_message}"
            found += find_violations(look(services, name, run=run), self.tokens.accepted(account))
        logs = [machine.log for machine in self.machines if machine.log.exists()]
        found += find_log_violations(logs)
        places = [*logs, *self.homes, self._broker.kept]
        places += [] if self._database is None else [self._database.folder]
        return found + find_values(self.tokens.values, places)

    def _count(self, query: Select[Any]) -> int:
        with self._services.database.read() as connection:
            return int(connection.execute(query).scalar_one())


def _waits_for_long(rotation: Rotation) -> bool:
    """For a request that a target may still serve, or for a run that was cut off: minutes, by the clock."""
    codes = {reason.code for reason in rotation.waits_for}
    return bool(codes) and codes <= {Code.LATE_EFFECT, Code.RUN_WITH_OLD}


def _now() -> datetime:
    return datetime.now(UTC)
