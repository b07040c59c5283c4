"""A server whose keyring opens nothing: it shows what the vault says, and says which calls need a key."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Clock
from tests.ingress import Front, serve
from tests.services.staging import make_services
from vaultcore.access import Role
from vaultcore.crypto.keyring import Keyring
from vaultcore.errors import ConfigurationError, NoKeyError
from vaultcore.model import PrincipalKind
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.config import load_settings
from worker.domain.policies import PolicyChange

VALUE = "the-value-of-the-secret"


@pytest.fixture
def restricted(tmp_path: Path, clock: Clock) -> Iterator[tuple[Front, str, Services]]:
    """Where it serves, a token of an admin, and the services of the machine that has the whole keyring."""
    whole = make_services(tmp_path / "home", "", clock)
    whole.items.creation.create(
        "prod-crm-token",
        read_value=lambda: Secret(VALUE),
        owners=(),
        expires_at=None,
        policy=PolicyChange(),
        actor="test",
    )
    whole.access.principals.create(
        "boss", kind=PrincipalKind.PERSON, roles=[Role.ADMIN], owners=[], actor="test"
    )
    first = whole.access.principals.issue_token("boss", actor="test")[1]
    assert first is not None
    file = tmp_path / "other" / "keyring.json"
    whole.keyring.write_restricted(file)
    services = Services(load_settings(tmp_path / "home", keyring=file), clock)
    services.check(needs_key=False)
    with serve(services) as front:
        yield front, first.key.expose(), whole
    services.close()
    whole.close()


def test_what_the_vault_says_is_shown(restricted: tuple[Front, str, Services]) -> None:
    front, token, _ = restricted
    listed = front.ask("GET", "/workflows/vault", key=token)
    assert (listed.status, "prod-crm-token" in {one["name"] for one in listed.body}) == (200, True)
    for path in ("/workflows", "/nightkey/rotations", "/nightkey/findings", "/nightkey/audit/verify"):
        assert front.ask("GET", path, key=token).status in (200, 405), path


def test_what_needs_a_key_is_refused_and_says_so(restricted: tuple[Front, str, Services]) -> None:
    front, token, whole = restricted
    item = whole.lookup.views.get_item("prod-crm-token")
    place = f"/workflows/vault/{item.id}"
    calls = [
        ("POST", "/workflows/vault", {"name": "prod-mail-token", "secret": "another-value"}),
        ("PUT", place, {"secret": "another-value"}),
        ("POST", "/workflows/sync/orders", {}),
        ("POST", "/workflows/webhooks", {}),
    ]
    for method, path, body in calls:
        refused = front.ask(method, path, body, key=token)
        assert (refused.status, refused.body["code"]) == (503, "needs_key"), path
        assert "another-value" not in str(refused.body)
    assert front.ask("PUT", place, {"name": "prod-crm-key"}, key=token).status == 200
    assert whole.lookup.views.get_item(item.id).version == 1


def test_the_interface_lists_them(restricted: tuple[Front, str, Services]) -> None:
    front, _, _ = restricted
    paths = front.ask("GET", "/openapi.json").body["paths"]
    marked = {
        (method, path)
        for path, methods in paths.items()
        for method, said in methods.items()
        if said.get("x-nightkey-needs-key")
    }
    assert ("post", "/workflows/vault") in marked
    assert ("get", "/workflows/vault") not in marked


def test_nobody_works_with_it(tmp_path: Path, clock: Clock) -> None:
    whole = make_services(tmp_path / "home", "", clock)
    file = tmp_path / "other" / "keyring.json"
    whole.keyring.write_restricted(file)
    whole.close()
    keyring = Keyring.load(file)
    assert keyring.is_restricted
    assert "material" in file.read_text()
    for use in (lambda: keyring.active, lambda: keyring.key("0" * 32)):
        with pytest.raises(NoKeyError, match="whole keyring"):
            use()
    services = Services(load_settings(tmp_path / "home", keyring=file), clock)
    with pytest.raises(NoKeyError):
        services.check()
    services.close()
    with pytest.raises(ConfigurationError, match="is there already"):
        keyring.write_restricted(file)
