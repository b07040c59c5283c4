"""Signing keys through a whole rotation: what was signed before it holds until the key before is retired."""

import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwk
from joserfc import jwt as joserfc_jwt
from joserfc.errors import InvalidKeyIdError

from nightkey_demo.loopback import Answer, Incoming, LoopbackServer
from tests.organisation import Organisation
from tests.services.staging import Staged, begin_by_hand, drive_on, get_rotation, step_to, turn_to_next
from tests.stepping import advance
from vaultcore.errors import ConfigurationError, RefusedError, TargetError
from vaultcore.secret import Secret
from vaultcore.versions import Purpose
from worker.domain.saga import State
from worker.signing.keys import ALGORITHMS, generate, read_key
from worker.signing.tokens import sign
from worker.wording.reasons import say_each

KEY = "prod-orders-signing-key"
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


@pytest.fixture
def organisation(on_file: Staged) -> Organisation:
    return on_file[0]


def add_key(organisation: Organisation, value: Secret, **settings: Any) -> None:
    organisation.add_item(
        KEY, value.expose(), days=60, mode="auto", rotator="signing-key", settings=settings, lifetime="90d",
        overlap="1h",
    )  # fmt: skip
    for name, node in (
        ("issue", {"operation": "sign", "subject": "anna", "claims": {"plan": "{{ webhook_payload.plan }}"}}),
        (
            "enter",
            {
                "operation": "check",
                "token": "{{ webhook_payload.token }}",
                "issuer": "us",
                "sample": {"sub": "a customer"},
            },
        ),
    ):
        document = {
            "name": name,
            "nodes": [
                {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
                {
                    "id": "guard",
                    "type": "action",
                    "data": {"componentId": "authorizer", "key": f"{{{{ vault.{KEY} }}}}", **node},
                },
                {
                    "id": "door",
                    "type": "action",
                    "data": {"componentId": "text_transform", "operation": "upper", "text": "open"},
                },
            ],
            "edges": [
                {"id": "e1", "source": "start", "target": "guard"},
                {"id": "e2", "source": "guard", "target": "door"},
            ],
            "sample_context": {"webhook_payload": {"plan": "gold", "token": "none"}},
        }
        organisation.services.runs.documents.apply([(f"{name}.json", json.dumps(document))], actor="test")


def token_of(value: Secret) -> str:
    """As somebody signs who holds the key, with the time that tokens go by."""
    return sign(read_key(value), {"iss": "us", "exp": int(time.time()) + 3600})


def enters(organisation: Organisation, token: str) -> bool:
    ran = organisation.services.runs.runs.start("enter", payload={"token": token}, actor="test")
    assert ran.status == "completed" or "the token" in (ran.error_message or ""), ran
    return ran.status == "completed"


def value_of(organisation: Organisation, number: int) -> Secret:
    services = organisation.services
    with services.database.write() as connection:
        item = services.vault.get(connection, KEY)
        return services.versions.reveal(connection, item.id, number, purpose=Purpose.ROTATION, actor="test")


def kids(organisation: Organisation) -> list[str]:
    return [key["kid"] for key in organisation.services.runs.key_sets.jwks(KEY)["keys"]]


def is_valid_elsewhere(organisation: Organisation, token: str, algorithm: str) -> bool:
    """To those who read the key set: with PyJWT, and with joserfc, which must agree."""
    keys: Any = organisation.services.runs.key_sets.jwks(KEY)
    by_kid = {key.key_id: key.key for key in pyjwt.PyJWKSet.from_dict(keys).keys}
    public = by_kid.get(pyjwt.get_unverified_header(token)["kid"])
    valid = public is not None and bool(pyjwt.decode(token, public, algorithms=[algorithm]))
    try:
        joserfc_jwt.decode(token, jwk.KeySet.import_key_set(keys), algorithms=[algorithm])
    except InvalidKeyIdError:
        assert not valid
    else:
        assert valid
    return valid


def test_nobody_waits_for_the_database_while_a_key_is_made(
    organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long one takes seconds where the machine is slow."""
    add_key(organisation, generate("RS256"), algorithm="RS256")
    make, made = rsa.generate_private_key, []

    def make_beside_a_writer(**given: Any) -> Any:
        other = sqlite3.connect(organisation.services.database.engine.url.database or "", timeout=0)
        with closing(other):
            other.execute("BEGIN IMMEDIATE")
            other.rollback()
        made.append(given)
        return make(**given)

    monkeypatch.setattr(rsa, "generate_private_key", make_beside_a_writer)
    organisation.services.rotation.rotations.drive(begin_by_hand(organisation, KEY))
    assert len(made) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])
def test_what_was_signed_before_a_rotation_holds_until_the_key_before_is_retired(
    organisation: Organisation, clock: Any, algorithm: str
) -> None:
    first = generate(algorithm)
    add_key(organisation, first, algorithm=algorithm)
    before = token_of(first)
    (old,) = kids(organisation)
    rotation_id = organisation.services.rotation.opening.request(KEY, asked_by="test").id
    step_to(organisation, clock, rotation_id, State.CREATED)
    new, *others = kids(organisation)
    assert (others, new) == ([old], read_key(value_of(organisation, 2)).kid), "the next key is listed first"
    step_to(organisation, clock, rotation_id, State.WATCHING)
    assert kids(organisation) == [new, old]
    after = token_of(value_of(organisation, 2))
    for token in (before, after):
        assert enters(organisation, token)
        assert is_valid_elsewhere(organisation, token, algorithm)
    assert (
        organisation.services.runs.runs.start("issue", payload={"plan": "x"}, actor="test").status
        == "completed"
    )
    clock.advance(timedelta(hours=2))
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.DONE
    assert kids(organisation) == [new]
    assert [enters(organisation, token) for token in (before, after)] == [False, True]
    assert [is_valid_elsewhere(organisation, token, algorithm) for token in (before, after)] == [False, True]


def test_a_shared_key_has_no_key_set_and_is_checked_by_both_versions_all_the_same(
    organisation: Organisation, clock: Any
) -> None:
    first = generate("HS256")
    add_key(organisation, first, algorithm="HS256")
    before = token_of(first)
    rotation_id = organisation.services.rotation.opening.request(KEY, asked_by="test").id
    step_to(organisation, clock, rotation_id, State.WATCHING)
    second = value_of(organisation, 2)
    theirs = pyjwt.encode({"iss": "us", "exp": int(time.time()) + 60}, second.expose(), algorithm="HS256")
    assert enters(organisation, before)
    assert enters(organisation, theirs)
    with pytest.raises(RefusedError, match="has no key set: it holds a shared key"):
        organisation.services.runs.key_sets.jwks(KEY)
    organisation.services.runs.runs.start("issue", payload={"plan": "x"}, actor="test")
    clock.advance(timedelta(hours=2))
    drive_on(organisation, clock)
    assert [enters(organisation, token) for token in (before, theirs)] == [False, True]


def test_the_token_that_a_workflow_signs_is_hidden_in_its_record_and_given_on(
    organisation: Organisation, clock: Any
) -> None:
    add_key(organisation, generate("ES256"), algorithm="ES256")
    services = organisation.services
    with services.database.read() as connection:
        issue = services.runs.definitions.get(connection, "issue")
    tested = services.runs.workflow_tests.test_workflow(issue, overrides={}, actor="test")
    assert tested.status == "completed"
    services.runs.documents.apply(
        [
            (
                "echo.json",
                json.dumps(
                    {
                        "name": "echo",
                        "nodes": [
                            {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
                            {"id": "guard", "type": "action", "data": {
                                "componentId": "authorizer", "operation": "sign",
                                "key": f"{{{{ vault.{KEY} }}}}"}},
                            {"id": "enter", "type": "action", "data": {
                                "componentId": "authorizer", "operation": "check",
                                "key": f"{{{{ vault.{KEY} }}}}", "token": "{{ guard.token }}"}},
                            {"id": "say", "type": "action", "data": {
                                "componentId": "text_transform", "operation": "upper",
                                "text": "{{ guard.token }}"}},
                        ],
                        "edges": [
                            {"id": "e1", "source": "start", "target": "guard"},
                            {"id": "e2", "source": "guard", "target": "enter"},
                            {"id": "e3", "source": "enter", "target": "say"},
                        ],
                    },
                ),
            ),
        ],
        actor="test",
    )  # fmt: skip
    ran = services.runs.runs.start("echo", actor="test")
    assert (ran.status, ran.error_message) == ("completed", None)
    assert "EYJ" not in json.dumps(ran.output)
    with services.database.read() as connection:
        for table in ("run_logs",):
            rows = connection.exec_driver_sql(f"SELECT output FROM {table}").all()  # a name of ours
            assert rows
            assert "eyJ" not in str(rows)


@pytest.mark.parametrize("kind", ["ES256", "HS256", "no key"])
def test_asking_for_a_key_set_again_writes_nothing_whatever_the_value_is(
    organisation: Organisation, clock: Any, kind: str
) -> None:
    """What is revealed for it is revealed once, and the audit says so even where it was no key."""
    value = Secret("no-key-at-all") if kind == "no key" else generate(kind)
    add_key(organisation, value, algorithm="HS256" if kind == "HS256" else "ES256")
    for _ in range(3):
        shown = organisation.services.runs.key_sets.published(KEY)
        assert (shown is not None) == (kind == "ES256")
    assert reveals(organisation) == 1
    with organisation.services.database.write():  # nobody else can write now
        asked = [organisation.services.runs.key_sets.published(name) for name in (KEY, "prod-nothing")]
    assert asked == [shown, None]


def test_a_key_that_was_made_here_is_published_without_being_revealed(
    organisation: Organisation, clock: Any
) -> None:
    add_key(organisation, generate("ES256"), algorithm="ES256")
    organisation.services.runs.key_sets.published(KEY)
    rotation_id = organisation.services.rotation.opening.request(KEY, asked_by="test").id
    step_to(organisation, clock, rotation_id, State.CREATED)
    before = reveals(organisation)
    shown = organisation.services.runs.key_sets.published(KEY)
    assert shown is not None
    assert len(shown["keys"]) == 2
    assert reveals(organisation) == before == 1


def test_without_the_package_it_is_named_and_nothing_is_revealed(
    organisation: Organisation, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = generate("ES256")
    add_key(organisation, key, algorithm="ES256")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "joserfc", None)
        with pytest.raises(
            ConfigurationError, match=r"signing keys need joserfc: pip install 'nightkey\[jwt\]'"
        ):
            organisation.services.runs.key_sets.jwks(KEY)
        assert organisation.services.runs.key_sets.published(KEY) is None
        with pytest.raises(TargetError, match="signing keys need joserfc"):
            read_key(key)
    assert reveals(organisation) == 0
    assert kids(organisation) == [read_key(key).kid]


def reveals(organisation: Organisation) -> int:
    """How often a value was revealed for a key set."""
    with organisation.services.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT details FROM audit WHERE action = 'version.reveal'").all()
    return sum("publish" in str(row) for row in rows)


def test_a_value_that_signs_nothing_has_no_key_set(organisation: Organisation, clock: Any) -> None:
    organisation.add_item("prod-mail-password", "x" * 12, days=30)
    with pytest.raises(RefusedError, match="prod-mail-password has no key set: the signing key cannot be read"):
        organisation.services.runs.key_sets.jwks("prod-mail-password")


def test_a_new_key_is_listed_for_as_long_as_key_sets_are_cached_before_it_signs(
    organisation: Organisation, clock: Any
) -> None:
    add_key(organisation, generate("ES256"), algorithm="ES256", ahead=3600)
    rotation_id = organisation.services.rotation.opening.request(KEY, asked_by="test").id
    step_to(organisation, clock, rotation_id, State.INSTALLED)
    advance(organisation.services, rotation_id)
    waiting = get_rotation(organisation, rotation_id)
    assert waiting.state is State.INSTALLED
    assert "may not have read the new key before" in say_each(waiting.waits_for)[0]
    assert waiting.next_at is not None
    assert waiting.next_at.timestamp() > time.time() + 3000
    assert len(kids(organisation)) == 2


class KeySetFile(LoopbackServer):
    """Serves the key set as it was when it was last written, as a web server or a cache does."""

    def __init__(self, organisation: Organisation) -> None:
        super().__init__()
        self._organisation = organisation
        self.keys: dict[str, Any] = {"keys": []}

    def respond(self, incoming: Incoming) -> Answer:
        return Answer(status=200, body=self.keys)

    def write(self) -> None:
        self.keys = self._organisation.services.runs.key_sets.jwks(KEY)


@pytest.fixture
def published(organisation: Organisation) -> Iterator[KeySetFile]:
    """Of an item whose key is listed there."""
    with KeySetFile(organisation) as file:
        add_key(organisation, generate("ES256"), algorithm="ES256", published=f"{file.url}/keys.json")
        file.write()
        yield file


def begin_waiting(organisation: Organisation, clock: Any) -> str:
    """A rotation whose new key is not found yet."""
    rotation_id = organisation.services.rotation.opening.request(KEY, asked_by="test").id
    step_to(organisation, clock, rotation_id, State.INSTALLED)
    advance(organisation.services, rotation_id)
    assert get_rotation(organisation, rotation_id).outages == 1
    return rotation_id


@pytest.mark.parametrize("minutes", [5, 60, 24 * 60], ids=["cron", "hourly", "daily"])
def test_a_key_set_that_is_written_now_and_then_is_waited_for_with_the_same_key(
    organisation: Organisation, clock: Any, published: KeySetFile, minutes: int
) -> None:
    rotation_id = begin_waiting(organisation, clock)
    (next_key, _) = kids(organisation)
    written_at = clock.now + timedelta(minutes=minutes)
    while clock.now < written_at:
        turn_to_next(organisation, clock)
        if clock.now < written_at:
            advance(organisation.services, rotation_id)
            waiting = get_rotation(organisation, rotation_id)
            assert (waiting.state, waiting.candidates) == (State.INSTALLED, 0)
    assert "does not list the new key yet" in say_each(waiting.waits_for)[0]
    published.write()
    found = step_to(organisation, clock, rotation_id, State.WATCHING)
    assert found.candidates == 0
    assert kids(organisation)[0] == next_key
    assert clock.now - written_at < timedelta(hours=1)


def test_a_key_that_is_never_published_is_a_persons_to_look_into(
    organisation: Organisation, clock: Any, published: KeySetFile
) -> None:
    rotation_id = begin_waiting(organisation, clock)
    begun = clock.now
    step_to(organisation, clock, rotation_id, State.STUCK)
    assert clock.now - begun >= timedelta(hours=72)
    assert len(kids(organisation)) == 2, "both are kept"


def test_a_key_in_use_that_is_no_longer_listed_is_given_up_for_the_one_before(
    organisation: Organisation, clock: Any, published: KeySetFile
) -> None:
    before = dict(published.keys)
    old = kids(organisation)
    rotation_id = begin_waiting(organisation, clock)
    published.write()
    step_to(organisation, clock, rotation_id, State.WATCHING)
    organisation.services.runs.runs.start("issue", payload={"plan": "x"}, actor="test")
    assert enters(organisation, token_of(value_of(organisation, 2)))
    published.keys = before  # an old copy was brought back
    clock.advance(timedelta(hours=2))
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.ROLLED_BACK
    assert kids(organisation) == old
