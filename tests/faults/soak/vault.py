"""The vault of a soak: the settings that its machines go by, and items that are due in every night."""

import os
from pathlib import Path
from typing import Any

from nightkey_demo.target_systems import TargetSystems
from tests.faults.fault_injection import PATIENCE_SECONDS, FaultySink, FaultyTokens
from tests.faults.soak.troubles import LEASE_SECONDS, NIGHT_SECONDS
from tests.organisation import Organisation
from worker.bootstrap import Services

ITEMS = 12
_LIFE = {"lifetime": "24h", "lead": "23h59m50s", "spread": "0s", "overlap": "3s"}
"""Due as soon as the overlap is over, and far from its expiry."""
_PRODUCTION: dict[str, Any] = {"schedule_type": "interval", "schedule_value": "8 seconds"}


class KnownTokens(FaultyTokens):
    """Knows each value that it gave, so that they can be looked for."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.values: set[str] = set()

    def _issue(self, *given: Any, **more: Any) -> Any:
        issued = super()._issue(*given, **more)
        if issued is not None:
            self.values.add(issued[1])
        return issued


def make_environment(home: Path, *, database_url: str, broker_url: str) -> dict[str, str]:
    """Hours are seconds in it: `troubles.py` says what that means."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    given = {
        "HOME": home.parent,
        "NIGHTKEY_HOME": home,
        "NIGHTKEY_DATABASE_URL": database_url,
        "NIGHTKEY_BROKER_URL": broker_url,
        "NIGHTKEY_LISTEN": "",
        "NIGHTKEY_OUTBOUND_PRIVATE": '["127.0.0.0/8"]',
        "NIGHTKEY_NIGHT_AT": f"*/{NIGHT_SECONDS} * * * * *",
        "NIGHTKEY_RING_SECONDS": 1,
        "NIGHTKEY_LEASE_SECONDS": LEASE_SECONDS,
        "NIGHTKEY_RETRY_SECONDS": 0.5,
        "NIGHTKEY_RETRY_MAX_SECONDS": 5,
        "NIGHTKEY_FAILED_HOLD_HOURS": 0.001,
        "NIGHTKEY_DELIVERY_RETRY_SECONDS": 0.5,
        "NIGHTKEY_DELIVERY_TRIES": 20,
        "NIGHTKEY_HTTP_TIMEOUT_SECONDS": PATIENCE_SECONDS,
    }
    return kept | {name: str(value) for name, value in given.items()}


def furnish(services: Services, tokens: KnownTokens, sink: FaultySink) -> dict[str, str]:
    """Items that the token service issued, each used by a workflow that runs by schedule: their accounts."""
    tokens.values.add(tokens.admin_token)
    targets = TargetSystems(token_service=tokens, mail=None, sink=sink, mail_user="", mail_password="")
    organisation = Organisation(services, targets)
    organisation.add_owner("support")
    accounts = {f"prod-service{number:02}-api-token": f"account{number:02}" for number in range(ITEMS)}
    for name, account in accounts.items():
        organisation.add_token(name, account, days=0.9, **_LIFE)
        tokens.add_foreign(account)
        organisation.add_workflow(
            workflow_of(name), name, path="/v1/tickets", trigger="schedule_trigger", **_PRODUCTION
        )
    return accounts


def workflow_of(item: str) -> str:
    return f"sync-{item}"
