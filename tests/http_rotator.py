"""Jobs for the rotator `http` at the token service, each with settings of a test's own."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.ways_out import NETWORK
from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.outbound import HttpClient
from worker.rotators.base import Job
from worker.rotators.catalog import load_rotator, parse_settings

ACCOUNT = "acme"
ADMIN = "prod-tokenhub-admin-token"
NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
ROTATOR: Any = load_rotator("http")  # with what it may have beside the rest


def describe(service, **changes: Any) -> dict[str, Any]:
    admin = {"Authorization": f"Bearer {{{{ vault.{ADMIN} }}}}"}
    described: dict[str, Any] = {
        "value": "token",
        "id": "id",
        "expires": "expires_at",
        "verify_id": "token_id",
        "find_ids": "tokens.*.id",
        "inventory_gone": "revoked",
        "issue": {
            "url": f"{service.url}/v1/tokens",
            "headers": admin,
            "body": {"account": ACCOUNT, "label": "{{ rotation.label }}"},
        },
        "verify": {
            "method": "GET",
            "url": f"{service.url}/v1/account",
            "headers": {"Authorization": "Bearer {{ rotation.value }}"},
        },
        "revoke": {
            "method": "DELETE",
            "url": f"{service.url}/v1/tokens/{{{{ rotation.id }}}}",
            "headers": admin,
        },
        "find": {
            "method": "GET",
            "url": f"{service.url}/v1/tokens?account={ACCOUNT}&label={{{{ rotation.label }}}}",
            "headers": admin,
        },
    }
    return {name: value for name, value in (described | changes).items() if value is not None}


def make_job(service, *, old=None, made=None, settings=None, external=None, label="nightkey-rot_1") -> Job:
    """A job of one rotation; `made` is the candidate that `create` gave."""
    return Job(
        label=label,
        item="prod-crm-token",
        settings=parse_settings("http", describe(service) if settings is None else settings),
        old=old,
        new=None if made is None else made.value,
        old_external=external or {},
        new_external={} if made is None else made.external,
        values={ADMIN: Secret(getattr(service, "admin_token", "admin"))},
        http=HttpClient(NETWORK, timeout=120),
        network=NETWORK,
    )


def fail(step, *given) -> tuple[str, Cause]:
    with pytest.raises(TargetError) as caught:
        step(*given)
    assert caught.value.__context__ is None
    job = given[0]
    for secret in (job.old, job.new, *job.values.values(), *given[1:]):
        assert secret is None or secret.expose() not in str(caught.value)
    return str(caught.value), caught.value.cause
