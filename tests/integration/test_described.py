"""What `/openapi.json` says of each call, held against a real server, with a token of each role.

By chance, but the same chance each time: no answer is a 5xx, or has a status, a kind or a shape that is not
documented.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.desk import Desk, add_rotated, open_desk
from vaultcore.access import Role
from vaultcore.model import Item, Kind, PrincipalKind
from worker.web.api.asking import ACTION, ONCE

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
OTHERS = [role for role in Role if role is not Role.ADMIN]
GOOD = {200, 201, 202, 204}
DOCUMENT = {
    "name": "described",
    "nodes": [
        {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
        {"id": "say", "data": {"componentId": "text_transform", "text": "{{ webhook_payload.a }}"}},
    ],
    "edges": [{"source": "start", "target": "say"}],
}


@contextmanager
def furnish(folder: Path, database_url: str = "") -> Iterator[Desk]:
    """With something of each noun, so that ids in paths may lead somewhere."""
    with open_desk(folder, database_url) as opened:
        with opened.services.database.write() as connection:
            opened.services.owners.create(connection, "platform", actor="test")
        opened.services.access.principals.create(
            "trial-bot", kind=PrincipalKind.SERVICE, roles=[Role.VIEWER], owners=[], actor="test"
        )
        for number in range(3):
            item = add_rotated(opened, f"prod-described-token-{number}", four_eyes=number == 0)
            opened.ask(Role.ADMIN, "POST", "/nightkey/rotations", {"item": item})
        add_rotated(opened, "prod-crm-token")
        assert opened.ask(Role.ADMIN, "POST", "/workflows", DOCUMENT).status == 201
        for payload in range(3):
            body = {"context": {"webhook_payload": {"a": payload}}}
            opened.ask(Role.ADMIN, "POST", "/workflows/described/execute", body)
        opened.services.night.inline_night.run_night(lambda _: None, wait=False)
        yield opened


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with furnish(tmp_path_factory.mktemp("described")) as furnished:
        yield furnished


def find_ids(desk: Desk) -> dict[str, list[str]]:
    """What a parameter of a path may be, of what there is now."""

    def ids(path: str, name: str = "id") -> list[str]:
        found = desk.ask(Role.ADMIN, "GET", path).body
        return [str(one[name]) for one in (found["data"] if isinstance(found, dict) else found)][:5]

    found = [one for one in desk.services.lookup.views.list_items() if isinstance(one, Item)]
    items = [one.id for one in found if one.kind is not Kind.API_KEY]  # those are the tokens of who asks
    workflows = ids("/workflows")
    return {
        "vault_id": items,
        "item": items,
        "workflow_id": workflows,
        "workflow": workflows,
        "run_id": ids("/workflows/described/executions"),
        "node_id": ["start", "say"],
        "rotation_id": ids("/nightkey/rotations"),
        "finding_id": ids("/nightkey/findings"),
        "notice_id": ids("/nightkey/notices"),
        "name": ["team", "others"],
        "kind": ["digest", "pickup"],
        "leaver": ["others"],
        "principal": ["trial-bot"],
        "route_id": ["none"],
        "token": ["none"],
        "slot": ids("/nightkey/nights", "slot"),
    }


def operations(desk: Desk) -> list[Any]:
    schema: Any = schemathesis.openapi.from_url(f"{desk.front.url}/openapi.json")
    return [found.ok() for found in schema.get_all_operations()]


@dataclass
class Trial:
    """`known`: what a parameter of a path may be; `seen`: which statuses a call has had."""

    desk: Desk
    known: dict[str, list[str]]
    seen: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def ask(self, case: Any, role: Role) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {self.desk.tokens[role]}"}
        answered = case.call(base_url=self.desk.front.url)
        case.validate_response(answered, checks=CHECKS)
        self.seen[case.operation.label].add(answered.status_code)

    def try_call(self, operation: Any, mode: GenerationMode, *, number: int, examples: int, roles: int) -> None:
        """With what is made up, and an id that there is in two of three times."""

        @seed(number)
        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=operation.as_strategy(generation_mode=mode),
            real=st.sampled_from([True, True, False]),
            chosen=st.randoms(use_true_random=False),
        )
        def try_one(case: Any, real: bool, chosen: Any) -> None:
            if real:
                for name in case.path_parameters or {}:
                    case.path_parameters[name] = chosen.choice(self.known.get(name) or ["none"])
            for role in (Role.ADMIN, *chosen.sample(OTHERS, roles - 1)):
                self.ask(case, role)

        try:
            try_one()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label  # nothing that is sent could be wrong

    def good(self) -> set[str]:
        return {label for label, statuses in self.seen.items() if statuses & GOOD}


def try_all(desk: Desk, *, examples: int, roles: int) -> None:
    trial = Trial(desk, find_ids(desk))
    for number, operation in enumerate(operations(desk)):
        trial.try_call(operation, GenerationMode.POSITIVE, number=number, examples=examples, roles=roles)
        if operation.body or operation.query:
            trial.try_call(operation, GenerationMode.NEGATIVE, number=number, examples=examples, roles=roles)
    assert len(trial.good()) > len(trial.seen) / 3, "the ids and bodies that are made up lead somewhere"


def try_examples(desk: Desk) -> None:
    """With real ids, in the order of the document, for each role; what deletes comes last."""
    trial = Trial(desk, find_ids(desk))
    for operation in sorted(operations(desk), key=lambda one: one.method == "delete"):
        content = operation.definition.raw.get("requestBody", {}).get("content", {}).values()
        names = re.findall(r"\{(\w+)\}", operation.path)
        ids = {name: (trial.known.get(name) or ["none"])[0] for name in names}
        for role in (*OTHERS, Role.ADMIN):
            case = operation.Case(path_parameters=ids)
            for kind in content:
                case.body, case.media_type = kind["example"], "application/json"
            trial.ask(case, role)
    assert len(trial.good()) > len(trial.seen) / 2, "what the examples name is there"


def test_each_documented_example_is_answered_as_it_is_documented(desk: Desk) -> None:
    try_examples(desk)


def test_no_call_answers_what_is_not_documented(desk: Desk) -> None:
    try_all(desk, examples=1, roles=1)


@pytest.mark.long
def test_no_call_answers_what_is_not_documented_however_often_it_is_tried(
    tmp_path: Path, database_url: str
) -> None:
    with furnish(tmp_path, "" if database_url.startswith("sqlite") else database_url) as desk:
        try_examples(desk)
        try_all(desk, examples=6, roles=3)


def test_every_body_has_an_example_that_fits_its_schema(desk: Desk) -> None:
    document = desk.front.ask("GET", "/openapi.json").body
    bodies = 0
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            content = call.get("requestBody", {}).get("content", {})
            for kind in content.values():
                bodies += 1
                schema = {**kind["schema"], "components": document["components"]}
                jsonschema_rs.validate(schema, kind["example"])
                assert kind["example"] != {}, (method, path)
    assert bodies > 25


def test_every_error_is_documented_in_the_form_of_its_path(desk: Desk) -> None:
    document = desk.front.ask("GET", "/openapi.json").body
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            if ACTION not in call:
                continue
            forms = "application/problem+json" if path.startswith("/nightkey/") else "application/json"
            errors = {status: one for status, one in call["responses"].items() if status >= "400"}
            assert {"401", "403", "500", "503"} <= errors.keys(), (method, path)
            assert all(list(one["content"]) == [forms] for one in errors.values()), (method, path)
            if re.search(r"\{", path):
                assert "404" in errors, (method, path)
            if call.get(ONCE):
                assert "Idempotency-Key" in [one["name"] for one in call["parameters"]], (method, path)
