"""The rotators that change nothing outside, and how rotators are found and their settings checked."""

import re
import tomllib
from copy import deepcopy
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ways_out import HTTP, NETWORK
from vaultcore.crypto import apikeys
from vaultcore.errors import Cause, ConfigurationError, InvalidInputError, TargetError
from vaultcore.forms import VALUE_MAX
from vaultcore.model import Kind, Mode, Policy
from vaultcore.rules import check_value
from vaultcore.secret import Secret
from worker.rotators import catalog
from worker.rotators.base import Job
from worker.rotators.catalog import load_rotator, parse_settings, rotator_names
from worker.rotators.random import ALPHABETS

REQUEST = {"url": "https://example.test/"}
SAMPLE = Path(__file__).parents[2] / "deploy" / "demo" / "nightkey_demo" / "sample"
HTTP_SETTINGS = {"issue": REQUEST, "verify": REQUEST, "revoke": REQUEST}


def make_job(name, settings=None, **given_):
    return Job(
        **{
            "label": "nightkey-rot_1",
            "item": "prod-crm-token",
            "settings": parse_settings(name, settings or {}),
            "old": Secret("old-value"),
            "new": None,
            "old_external": {},
            "new_external": {},
            "values": {},
            "http": HTTP,
            "network": NETWORK,
            **given_,
        }
    )


def draw(**settings):
    return load_rotator("random").create(make_job("random", settings)).value.expose()


# Found and checked


def test_the_rotators_that_are_installed_are_found_by_name():
    assert {"http", "random", "workflow-api-key"} <= set(rotator_names())
    assert rotator_names() == sorted(rotator_names())


@pytest.mark.parametrize(
    ("name", "kind", "issues"),
    [("http", Kind.SECRET, True), ("random", Kind.SECRET, False), ("workflow-api-key", Kind.API_KEY, False)],
)
def test_a_rotator_says_what_it_is_for_and_who_makes_the_value(name, kind, issues):
    rotator = load_rotator(name)
    assert (rotator.kind, rotator.issues) == (kind, issues)
    assert all(callable(getattr(rotator, step)) for step in ("create", "install", "verify", "revoke", "undo"))
    assert load_rotator(name) is not rotator


def test_a_rotator_that_there_is_not_is_refused_with_those_there_are():
    with pytest.raises(InvalidInputError) as caught:
        load_rotator("smtp")
    assert str(caught.value) == f"no rotator 'smtp': there are {', '.join(rotator_names())}"


def test_a_rotator_whose_package_is_missing_says_which(monkeypatch):
    broken = EntryPoint(name="ldap", value="nightkey_no_such_package:Rotator", group=catalog.GROUP)
    monkeypatch.setattr(catalog, "_found", lambda: {"ldap": broken})
    with pytest.raises(ConfigurationError) as caught:
        load_rotator("ldap")
    assert str(caught.value) == "rotator ldap cannot be loaded: nightkey_no_such_package is not installed"


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("random", {"length": 7}, "length: Input should be greater than or equal to 8"),
        ("random", {"length": VALUE_MAX + 1}, "length: Input should be less than or equal to 2000"),
        (
            "random",
            {"length": "s3cr3t"},
            "length: write a whole number",
        ),
        (
            "random",
            {"alphabet": "s3cr3t"},
            "alphabet: Input should be 'base62', 'hex', 'digits' or 'printable'",
        ),
        ("random", {"characters": "x"}, "characters: String should have at least 2 characters"),
        (
            "random",
            {"characters": "xxx"},
            "characters: one character over and over is no secret: give 2 or more different ones",
        ),
        ("random", {"lenght": 40}, "lenght: there is no such setting"),
        ("workflow-api-key", {"length": 40}, "length: there is no such setting"),
        ("http", {}, "issue: it is required, and missing"),
        (
            "http",
            HTTP_SETTINGS | {"issue": "s3cr3t"},
            "issue: it has parts: write it as an object in a file, --policy FILE",
        ),
        ("http", HTTP_SETTINGS | {"verify": {}}, "verify.url: it is required, and missing"),
        ("http", HTTP_SETTINGS | {"revoke": REQUEST | {"method": "BREW"}}, "revoke.method: Input should be"),
        (
            "http",
            HTTP_SETTINGS | {"find": REQUEST | {"headers": {"X": 5}}},
            "find.headers.X: write a text",
        ),
        ("http", HTTP_SETTINGS | {"token": "s3cr3t"}, "token: there is no such setting"),
        ("http", HTTP_SETTINGS | {"value": 5}, "value: write a text"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_their_name_and_without_what_was_given(
    name, settings, problem
):
    with pytest.raises(InvalidInputError) as caught:
        parse_settings(name, settings)
    assert str(caught.value).startswith(f"rotator {name}, setting {problem}")
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_search_that_could_not_tell_the_new_credential_from_the_late_ones_is_refused():
    with pytest.raises(InvalidInputError, match="find needs id or verify_id"):
        parse_settings("http", HTTP_SETTINGS | {"find": REQUEST})
    for known in ("id", "verify_id"):
        assert parse_settings("http", HTTP_SETTINGS | {"find": REQUEST, known: "id"})


def test_the_settings_of_a_policy_are_parsed_once():
    first = parse_settings("http", HTTP_SETTINGS)
    assert parse_settings("http", deepcopy(HTTP_SETTINGS)) is first
    assert parse_settings("http", HTTP_SETTINGS | {"overlaps": False}) is not first
    random = parse_settings("random", {})
    assert parse_settings("random", {}) is random
    assert parse_settings("workflow-api-key", {}) is not random


def test_settings_that_fit_are_taken_with_their_defaults():
    settings = parse_settings("http", HTTP_SETTINGS).model_dump()
    assert (settings["value"], settings["id"], settings["find"], settings["find_ids"]) == (
        "token",
        None,
        None,
        "*.id",
    )
    assert settings["issue"] == {
        "method": "POST",
        "url": "https://example.test/",
        "headers": {},
        "body": None,
        "expect": None,
    }
    assert settings["overlaps"] is True


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": "token"}, "id: it takes what value takes"),
        ({"id": "header:X-Token", "value": "header:x-token"}, "id: it takes what value takes"),
        ({"verify_id": "token"}, "verify_id: it takes what value takes"),
        ({"id": "id", "find": REQUEST, "find_ids": "tokens.*.token"}, "find_ids: it takes what value takes"),
        ({"id": "id", "find": REQUEST, "find_ids": "token"}, "find_ids: it takes what value takes"),
        ({"find_cursor": "page"}, "find_cursor needs find_next"),
        (
            {"inventory": {"url": "https://example.test/?page={{ rotation.cursor }}"}},
            "inventory: rotation.cursor needs find_next",
        ),
        ({"verify": REQUEST | {"expect": {}}}, "verify.expect: name at least one"),
        ({"verify": REQUEST | {"expect": {"hue": "blue"}}}, "verify.expect.hue: there is no such setting"),
    ],
)
def test_settings_that_would_keep_a_value_as_an_id_or_lead_nowhere_are_refused(changes, problem):
    with pytest.raises(InvalidInputError) as caught:
        parse_settings("http", HTTP_SETTINGS | changes)
    assert str(caught.value).startswith(f"rotator http, setting {problem}")


def test_a_policy_says_that_the_old_value_ends_with_the_issue_of_the_new():
    rotator = load_rotator("http")
    assert rotator.overlaps(parse_settings("http", HTTP_SETTINGS))
    assert not rotator.overlaps(parse_settings("http", HTTP_SETTINGS | {"overlaps": False}))


# Random


@given(st.integers(8, 200), st.sampled_from(sorted(ALPHABETS)))
def test_a_drawn_value_has_the_length_and_the_characters_that_were_asked_for(length, alphabet):
    value = draw(length=length, alphabet=alphabet)
    assert len(value) == length
    assert set(value) <= set(ALPHABETS[alphabet])
    assert check_value(value, name="x") == value


@given(st.lists(st.characters(exclude_categories=["Cs"]), min_size=2, max_size=200, unique=True).map("".join))
def test_characters_of_ones_own_are_drawn_from_alone(characters):
    assert set(draw(length=50, characters=characters)) <= set(characters)


def test_without_settings_a_value_has_forty_characters_of_base62():
    assert re.fullmatch("[0-9A-Za-z]{40}", draw())


def test_a_character_named_twice_is_not_drawn_twice_as_often():
    drawn = draw(length=VALUE_MAX, characters="a" * 199 + "b")
    # Even odds: more than 700 of 2,000 fails once in 10^40 draws; odds of 1 to 199 give 10.
    assert drawn.count("b") > 700


def test_every_character_of_an_alphabet_comes_up():
    assert set(draw(length=VALUE_MAX, alphabet="hex")) == set("0123456789abcdef")


def test_no_two_drawn_values_are_the_same():
    assert len({draw() for _ in range(1000)}) == 1000


# Our own keys


def test_a_new_key_is_one_of_ours_and_no_two_are_the_same():
    rotator = load_rotator("workflow-api-key")
    job = make_job("workflow-api-key")
    made = [rotator.create(job) for _ in range(200)]
    assert len({candidate.value.expose() for candidate in made}) == 200
    assert all(apikeys.looks_real(candidate.value.expose()) for candidate in made)
    assert all((candidate.external, candidate.expires_at) == ({}, None) for candidate in made)
    assert rotator.verify(job, made[0].value) == "the key's checksum holds"


@pytest.mark.parametrize(
    "change", [lambda key: key[:-1], lambda key: key.swapcase(), lambda _: "", lambda key: f"{key}a"]
)
def test_a_key_whose_checksum_is_wrong_is_rejected_without_being_said(change):
    rotator = load_rotator("workflow-api-key")
    job = make_job("workflow-api-key")
    key = change(rotator.create(job).value.expose())
    with pytest.raises(TargetError) as caught:
        rotator.verify(job, Secret(key))
    assert (str(caught.value), caught.value.cause) == ("the key's checksum is wrong", Cause.REJECTED)


@pytest.mark.parametrize("name", ["random", "workflow-api-key"])
def test_what_changes_nothing_outside_may_be_repeated_and_undone_at_any_time(name):
    rotator = load_rotator(name)
    job = make_job(name, new=None, old=None)
    for _ in range(2):
        for step in (rotator.install, rotator.revoke, rotator.undo):
            said = step(job)
            assert said.isprintable()
            assert said


@pytest.mark.parametrize(
    ("request_changes", "says"),
    [
        ({"body": "{% for %}"}, "setting issue: body: line 1"),
        ({"url": "https://x/{{ vault.prod-x | slice: 1 }}"}, "setting issue: url: filter 'slice'"),
        ({"headers": {"X": "{{ vault[name] }}"}}, "setting issue: headers.X: line 1"),
    ],
)
def test_a_request_that_is_no_template_is_refused_when_the_settings_are_given(request_changes, says):
    call = {"url": "https://tokens.example.org/v1"}
    with pytest.raises(InvalidInputError) as caught:
        parse_settings("http", {"issue": call | request_changes, "verify": call, "revoke": call})
    assert f"rotator http, {says}" in str(caught.value)


def call(**fields):
    return REQUEST | fields


def put(**fields):
    return {"componentId": "webhook", "url": "https://example.test/"} | fields


RECIPE = {"install": [put()], "verify": [put(body="{{ rotation.new }}")], "undo": [put()]}
SEES = "will not be there: this template sees"
OF_RECIPE = "rotation.item, rotation.label, rotation.new, rotation.old"


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        (
            "http",
            HTTP_SETTINGS | {"revoke": call(url="https://example.test/{{ rotation.id }}")},
            "revoke.url: rotation.id is not known without id or verify_id: set one of them",
        ),
        (
            "http",
            HTTP_SETTINGS | {"revoke": call(body={"ids": ["{{ rotation.id | upcase }}"]})},
            "revoke.body: rotation.id is not known without id or verify_id: set one of them",
        ),
        (
            "http",
            HTTP_SETTINGS | {"id": "id", "revoke": call(headers={"X": "{{ rotation.ident }}"})},
            (
                f"revoke.headers.X: rotation.ident {SEES} rotation.id, rotation.item, rotation.label, "
                "rotation.value, vault.NAME"
            ),
        ),
        (
            "http",
            HTTP_SETTINGS | {"verify": call(headers={"Authorization": "Bearer {{ rotation.vaule }}"})},
            (
                f"verify.headers.Authorization: rotation.vaule {SEES} rotation.item, rotation.label, "
                "rotation.value, vault.NAME"
            ),
        ),
        (
            "http",
            HTTP_SETTINGS | {"id": "id", "verify": call(url="https://example.test/{{ rotation.id }}")},
            f"verify.url: rotation.id {SEES} rotation.item, rotation.label, rotation.value, vault.NAME",
        ),
        (
            "http",
            HTTP_SETTINGS | {"issue": call(body="{{ rotation.value }}")},
            f"issue.body: rotation.value {SEES} rotation.item, rotation.label, vault.NAME",
        ),
        (
            "http",
            HTTP_SETTINGS | {"issue": call(body={"a": ["{{ rotation.id }}"]})},
            f"issue.body: rotation.id {SEES} rotation.item, rotation.label, vault.NAME",
        ),
        (
            "http",
            HTTP_SETTINGS | {"issue": call(headers={"X": "{{ gone }}"})},
            f"issue.headers.X: gone {SEES} rotation.item, rotation.label, vault.NAME",
        ),
        (
            "http",
            HTTP_SETTINGS | {"id": "id", "find": call(url="https://example.test/{{ rotation.lable }}")},
            f"find.url: rotation.lable {SEES} rotation.item, rotation.label, vault.NAME",
        ),
        (
            "recipe",
            RECIPE | {"install": [put(body={"password": "{{ rotation.nwe }}"})]},
            (
                f"install: node install_1, field data.body.password: rotation.nwe {SEES} {OF_RECIPE}, "
                "install_start, vault.NAME"
            ),
        ),
        (
            "recipe",
            RECIPE | {"verify": [put(headers={"X": "{{ webhook_payload.x }}"})]},
            (
                f"verify: node verify_1, field data.headers.X: webhook_payload.x {SEES} {OF_RECIPE}, "
                "verify_start, vault.NAME"
            ),
        ),
        (
            "recipe",
            RECIPE | {"undo": [put(), put(body="{{ undo_2.status }}")]},
            (
                f"undo: node undo_2, field data.body: undo_2.status {SEES} {OF_RECIPE}, undo_start, undo_1, "
                "vault.NAME"
            ),
        ),
        (
            "recipe",
            RECIPE | {"revoke": [put(url="https://example.test/{{ rotation.value }}")]},
            (
                f"revoke: node revoke_1, field data.url: rotation.value {SEES} {OF_RECIPE}, revoke_start, "
                "vault.NAME"
            ),
        ),
    ],
)
def test_a_template_that_needs_what_it_will_not_see_is_refused_by_its_field(name, settings, problem):
    with pytest.raises(InvalidInputError) as caught:
        parse_settings(name, settings)
    assert str(caught.value) == f"rotator {name}, setting {problem}"


VALUE_IN_HOST = "may stand in the path or the query of a URL, and not where its host could be made of it"
IN_HOST = [
    "{{ @ }}", "{{@}}", "{{- @ -}}", "{{ @ | url_encode }}", "https://{{ @ }}",
    "https://{{ @ }}.example.test/x", "https://{{ @ }}/v1", "//{{ @ }}/x", "https:/{{ @ }}/x",
    "https:///{{ @ }}/x", "{{ @ }}://example.test/",
    "https://example.test{{ @ }}/x", "https://example.test:{{ @ }}/x", "https://example.test\\{{ @ }}/x",
    "https://me@{{ @ }}/x", "https://{{ vault.prod-x }}{{ @ }}/x",
    "https://{{ @ | base64_encode }}@example.test/",
    "{% if true %}https://{{ @ }}/x{% endif %}", "{% assign x = @ %}https://{{ x }}/", "{{ @ | default: 'x' }}",
    "{% capture x %}{{ @ }}{% endcapture %}https://{{ x }}/x", "https://{{ rotation }}/x",
    "https://{% if @ %}a{% else %}b{% endif %}.example.test/x", "{{ 'https://' | append: @ }}",
    "https://x.test{% comment %}/{% endcomment %}{{ @ }}/", "https://x.test{% raw %}/{% endraw %}{{ @ }}/",
]  # fmt: skip
IN_PATH = [
    "https://example.test/{{ @ }}", "https://example.test?x={{ @ }}", "https://example.test/#{{ @ }}",
    "https://{{ vault.prod-x }}.example.test/{{ @ }}", "{{ vault.prod-x }}/v1/{{ @ | base64_encode }}",
    "https://{{ rotation.item | downcase }}.example.test/{% if true %}{{ @ }}{% endif %}",
    "https://me:{{ @ | url_encode }}@example.test/x",
]  # fmt: skip


@pytest.mark.parametrize("url", IN_HOST)
@pytest.mark.parametrize(
    ("request_name", "path"),
    [
        ("verify", "rotation.value"), ("revoke", "rotation.value"), ("revoke", "rotation.id"),
        ("find", "rotation.cursor"), ("inventory", "rotation.cursor"),
    ],
)  # fmt: skip
def test_what_is_secret_or_another_s_choice_is_never_a_host(request_name, path, url):
    settings = HTTP_SETTINGS | {"id": "id", "find_next": "next", request_name: call(url=_name(url, path))}
    with pytest.raises(InvalidInputError) as caught:
        parse_settings("http", settings)
    said = str(caught.value)
    assert VALUE_IN_HOST in said or "rotation will not be there" in said
    assert said.startswith(f"rotator http, setting {request_name}.url: ")


@pytest.mark.parametrize("url", [*IN_PATH, "https://me:{{ @ }}@example.test/x"])
def test_what_is_secret_may_stand_in_the_path_and_the_query(url):
    assert parse_settings("http", HTTP_SETTINGS | {"verify": call(url=_name(url, "rotation.value"))})


@pytest.mark.parametrize("name", ["install", "verify", "revoke", "undo"])
@pytest.mark.parametrize("url", [*IN_HOST, "https://me:{{ @ }}@example.test/x"])
def test_no_node_of_a_recipe_calls_a_host_that_is_made_of_a_value(name, url):
    for value in ("rotation.new", "rotation.old"):
        with pytest.raises(InvalidInputError) as caught:
            parse_settings("recipe", RECIPE | {name: [put(url=_name(url, value), body="{{ rotation.new }}")]})
        assert f"{name}: node {name}_1, field data.url: " in str(caught.value)
        assert VALUE_IN_HOST in str(caught.value)


@pytest.mark.parametrize("url", IN_PATH)
def test_a_node_of_a_recipe_may_have_a_value_in_its_path(url):
    assert parse_settings("recipe", RECIPE | {"verify": [put(url=_name(url, "rotation.new"))]})


@pytest.mark.parametrize(
    ("node", "field"),
    [
        ({"componentId": "soap", "wsdl": "https://x.test/{{ rotation.new }}", "operation": "set"}, "wsdl"),
        (
            {
                "componentId": "soap",
                "wsdl": "https://x.test/",
                "endpoint": "https://{{ rotation.old }}/",
                "operation": "set",
            },
            "endpoint",
        ),
        (
            {
                "componentId": "smtp",
                "host": "{{ rotation.new }}.example.test",
                "from": "a@example.test",
                "to": "b@example.test",
            },
            "host",
        ),
    ],
)
def test_no_node_of_a_recipe_is_told_whom_to_talk_to_by_a_value(node, field):
    with pytest.raises(InvalidInputError) as caught:
        parse_settings("recipe", RECIPE | {"install": [node]})
    assert f"install: node install_1, field data.{field}: rotation." in str(caught.value)
    assert "may not stand where a node is told whom to talk to" in str(caught.value)


def _name(url, path):
    """The URL with that path in the place of @, but the one before a host."""
    return url.replace(" @", f" {path}").replace("{@", "{" + path)


@pytest.mark.parametrize(
    "node",
    [
        {"componentId": "delay", "duration": 1, "unit": "seconds"},
        {"componentId": "trigger_workflow", "workflowId": "other"},
        {"componentId": "iterator", "workflowId": "other", "array": []},
    ],
    ids=lambda node: node["componentId"],
)
def test_a_node_that_only_a_workflow_can_have_is_refused_in_a_recipe(node):
    with pytest.raises(InvalidInputError) as caught:
        parse_settings("recipe", RECIPE | {"install": [put(), node]})
    assert str(caught.value) == (
        "rotator recipe, setting install: node install_2, field data.componentId: "
        f"{node['componentId']} cannot stand in a recipe: only a workflow can wait, or start another"
    )


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("http", HTTP_SETTINGS | {"revoke": call(body="{{ rotation.id | default: rotation.value }}")}),
        ("http", HTTP_SETTINGS | {"verify_id": "id", "revoke": call(body="{{ rotation.id }}")}),
        ("http", HTTP_SETTINGS | {"revoke": call(headers={"X": "{{ rotation.value }}{{ vault.prod-x }}"})}),
        (
            "http",
            HTTP_SETTINGS | {"issue": call(body="{% assign a = rotation.label %}{{ a }}{{ rotation.item }}")},
        ),
        ("http", HTTP_SETTINGS | {"verify": call(body="{{ rotation.value.size }}")}),
        (
            "recipe",
            RECIPE
            | {
                "install": [
                    put(id="login") | {"body": "{{ rotation.label }}"},
                    put(body={"of": "{{ login.body.id }}", "new": "{{ rotation.new }}{{ rotation.old }}"}),
                    put(body="{{ login.status }}{{ install_2.status }}"),
                ]
            },
        ),
    ],
)
def test_a_template_that_needs_only_what_it_sees_is_taken(name, settings):
    assert parse_settings(name, settings)


@pytest.mark.parametrize("name", rotator_names())
def test_the_example_of_a_rotator_is_taken(name):
    assert parse_settings(name, catalog.find_rotator(name).example)


@pytest.mark.parametrize("name", ["token", "mail-password", "ledger-password"])
def test_the_templates_of_a_sample_need_only_what_they_see(name):
    path = SAMPLE / f"{name}-policy.toml"
    text = re.sub("@[A-Z_]*PORT@", "2525", path.read_text())
    policy = tomllib.loads(re.sub("@[A-Z_]+@", "https://example.test", text))
    assert parse_settings(policy["rotator"], policy.get("settings", {}))


SETTING = {"install": [{"componentId": "webhook", "method": "PUT", "url": "https://example.test/",
           "body": "{{ rotation.new }}"}]}  # fmt: skip
VERIFIES = [{"componentId": "webhook", "url": "https://example.test/", "headers": {"X": "{{ rotation.new }}"}}]
TAKES_AWAY = [{"componentId": "webhook", "url": "https://example.test/", "body": "{{ rotation.old }}"}]
ROLE = {"host": "db.example.test", "roles": ["orders"]}
BY_ADMIN = {"admin": "rotator", "admin_password": "{{ vault.prod-admin-password }}"}


@pytest.mark.parametrize(
    ("rotator", "settings", "can"),
    [
        ("http", HTTP_SETTINGS, True),
        ("postgres-role", ROLE | BY_ADMIN, True),
        ("postgres-role", ROLE, False),
        ("recipe", SETTING | {"verify": VERIFIES, "undo": VERIFIES}, True),
        ("recipe", SETTING | {"verify": VERIFIES, "undo": VERIFIES, "revoke": TAKES_AWAY}, False),
        ("ssh-key", dict(load_rotator("ssh-key").example), False),
        ("ssh-password", dict(load_rotator("ssh-password").example), True),
        (
            "ssh-password",
            dict(load_rotator("ssh-password").example) | {"stdin": "{{ rotation.old }}\n{{ rotation.new }}\n"},
            False,
        ),
        ("random", {}, False),
    ],
)
def test_whether_a_refused_value_can_be_set_anew_is_a_matter_of_whose_rights_do_it(rotator, settings, can):
    policy = Policy(mode=Mode.AUTO, rotator=rotator, settings=settings)
    assert catalog.can_set_anew(policy) is can
    assert not catalog.can_set_anew(replace(policy, mode=Mode.NOTIFY))
    assert catalog.can_ask(policy) is (rotator != "random")
