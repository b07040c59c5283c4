"""Messages by template: what is put in stays text, times are the reader's, and any of them can be replaced."""

import os
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.errors import ConfigurationError, NotFoundError
from worker.delivery import jinja_bounds
from worker.delivery.formats import to_html, to_text
from worker.delivery.letters import Letters
from worker.domain.findings import FindingKind
from worker.domain.notice_kinds import OF_FAILED, NoticeKind
from worker.domain.notices import PICKUP_COMMAND, PICKUP_MARK, FoundLine, RotatedLine, TonightLine, build_digest
from worker.domain.problems import Problem, ProblemKind
from worker.domain.reasons import Code, Reason
from worker.domain.saga import FINISHED, State
from worker.wording.problems import describe

NIGHT = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
ZONE = "Europe/Zurich"
FOUND = [
    FoundLine(
        kind=FindingKind.LAPSED,
        subject="prod-vpn",
        detail=Reason.failed("lapsed 2 days ago"),
        deadline=datetime(2026, 2, 27, 2, 0, tzinfo=UTC),
        does=None,
        command="nightkey item update prod-vpn --value-file PATH",
        users=("intake", "nightly"),
        belongs=("network",),
    ),
    FoundLine(
        kind=FindingKind.EXPIRING,
        subject="prod-smtp",
        detail=Reason.failed("expires in 3 days"),
        deadline=datetime(2026, 3, 4, 12, 0, tzinfo=UTC),
        does=Reason.failed("replaces it from 2026-03-02 02:00 UTC on"),
        command=None,
    ),
    FoundLine(
        kind=FindingKind.NO_EXPIRY,
        subject="prod-ldap",
        detail=Reason.of(Code.NO_EXPIRY),
        deadline=None,
        does=None,
        command="nightkey item update prod-ldap --expires-at TIME",
    ),
]
ROTATED = [
    RotatedLine(id="rot_1", item="prod-token", state=State.DONE, version=4, error=None, waits_for=()),
    RotatedLine(
        id="rot_2",
        item="prod-crm",
        state=State.WATCHING,
        version=2,
        error=None,
        waits_for=(Reason.failed("the overlap"), Reason.failed("the first run of intake")),
    ),
    RotatedLine(
        id="rot_3",
        item="prod-git",
        state=State.ROLLED_BACK,
        version=2,
        error=Reason.failed("401 from git"),
        waits_for=(),
    ),
    RotatedLine(
        id="rot_4",
        item="prod-dns",
        state=State.STUCK,
        version=2,
        error=Reason.failed("undo failed"),
        waits_for=(),
    ),
]
ROTATION = {
    "item": "prod-smtp",
    "error": "503 while undoing",
    "users": "intake, nightly",
    "many": True,
    "show": "nightkey rotation show rot_1",
}
DATA = {
    "digest": build_digest(
        "ops",
        FOUND,
        ROTATED,
        night=NIGHT,
        now=NIGHT,
        numbers={line.kind: 20 for line in FOUND},
        tonight=[TonightLine(item="prod-erp", why=Reason.failed("expires in 5 days"), does="replaces it")],
    ),
    "rotation-rolled-back": ROTATION | {"works": True},
    "rotation-cancelled": ROTATION | {"works": False},
    "rotation-stuck": ROTATION | {"made": True},
    "rotation-overtaken": ROTATION | {"version": 3, "made": 2},
    "rotation-done": ROTATION | {"version": 4, "expires_at": NIGHT},
    "rotation-requested": ROTATION
    | {
        "asked_by": "night",
        "reason": "expires in 3 days",
        "expires_at": NIGHT,
        "approve": "nightkey rotation approve rot_1",
        "cancel": "nightkey rotation cancel rot_1",
    },
    "rotation-expired": {
        "item": "prod-smtp",
        "asked_by": "user:ann",
        "asked_at": NIGHT,
        "command": "nightkey item rotate prod-smtp",
    },
    "one-way": ROTATION | {"error": "verify: the service answered 401", "used": True, "renew": False},
    "run-failed": ROTATION | {"workflow": "intake", "rollback": "nightkey rotation rollback rot_1"},
    "night-stopped": {"night": NIGHT, "failed": ["prod-smtp: 503 (rot_1)", "prod-crm: 401 (rot_2)"]},
    "night-failed": {"night": NIGHT, "problems": ["prod-smtp was not replaced", "a route is away"]},
    "messages-set-aside": {
        "problem": "2 messages of somebody else at the broker, the last soon: 2 no JSON",
        "left_over": False,
    },
    "drifted": {
        "item": "prod-smtp",
        "detail": "version 1, the current one here, is refused; unknown here: tok_2 (nightkey-rot_2)",
        "made_at": NIGHT,
        "update": "nightkey item update prod-smtp --value-file PATH",
        "accept": "nightkey reconcile accept prod-smtp",
        "rotate": "nightkey item rotate prod-smtp",
    },
    "restored": {"at": NIGHT, "made_at": None, "differing": ["prod-smtp: refused", "prod-crm: refused"]},
    "departure": {
        "name": "ann",
        "taken": ["prod-crm", "prod-smtp"],
        "taken_more": 3,
        "by_hand": [{"item": "prod-smtp", "command": "nightkey item update prod-smtp --value-file PATH"}],
        "by_hand_more": 0,
        "leave": "nightkey owner leave ann",
    },
    "pickup": {
        "item": "api-key: intake",
        "command": PICKUP_COMMAND,
        "token": PICKUP_MARK,
        "overlap": "1d",
        "expires_at": NIGHT,
    },
    "pickup-reminder": {
        "item": "api-key: intake",
        "command": PICKUP_COMMAND,
        "token": PICKUP_MARK,
        "left": "in 3 days",
        "expires_at": NIGHT,
        "taken_by": "user:ann",
        "first": False,
    },
    "stand-in": {"owner": "ops"},
    "test": {"owner": "ops"},
}


@pytest.fixture
def letters(tmp_path):
    return Letters(tmp_path / "templates")


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (True, "both values are kept"),
        (False, "value from before is kept"),
    ],
)
def test_of_a_stuck_rotation_it_is_said_what_is_kept(letters, made, says):
    line = replace(ROTATED[-1], made=made)
    digest = build_digest("ops", [], [line], night=NIGHT, now=NIGHT)
    for kind, data in (("digest", digest), ("rotation-stuck", ROTATION | {"made": made})):
        body = to_text(letters.write(kind, data, zone=ZONE).body)
        assert says in body.lower()
        assert ("no new one here" in body) is not made


def test_a_whole_digest_reads_so(letters):
    message = letters.write("digest", DATA["digest"], zone=ZONE)

    assert message.subject == "Nightkey: 60 to look at, 2 not replaced, 2 replaced, 1 due tonight (ops)"
    assert to_text(message.body) == (
        "Nightkey looked at your credentials in the night of 2026-03-01 03:00 CET.\n"
        "\n"
        "To look at\n"
        "----------\n"
        "\n"
        "- prod-vpn lapsed 2 days ago, 2026-02-27 03:00 CET.\n"
        "  It belongs to network.\n"
        "  Used by intake, nightly.\n"
        "  Replace it:\n"
        "\n"
        "      nightkey item update prod-vpn --value-file PATH\n"
        "\n"
        "- And 19 more like this.\n"
        "\n"
        "- prod-smtp lapses in 3 days, 2026-03-04 13:00 CET.\n"
        "  Nightkey replaces it from 2026-03-02 02:00 UTC on.\n"
        "\n"
        "- And 19 more like this.\n"
        "\n"
        "- prod-ldap has no expiry: nobody will notice when it stops working.\n"
        "  Give it one:\n"
        "\n"
        "      nightkey item update prod-ldap --expires-at TIME\n"
        "\n"
        "- And 19 more like this.\n"
        "\n"
        "All of them:\n"
        "\n"
        "    nightkey finding list --owner ops\n"
        "\n"
        "Not replaced\n"
        "------------\n"
        "\n"
        "- prod-git keeps its value from before: 401 from git.\n"
        "\n"
        "      nightkey rotation show rot_3\n"
        "\n"
        "- prod-dns is stuck, both values are kept: undo failed.\n"
        "\n"
        "      nightkey rotation show rot_4\n"
        "\n"
        "Replaced\n"
        "--------\n"
        "\n"
        "- prod-token is now version 4; the one before it is gone.\n"
        "\n"
        "- prod-crm is now version 2; the one before it works on, waiting for the overlap; "
        "the first run of intake.\n"
        "\n"
        "Tonight\n"
        "-------\n"
        "\n"
        "- prod-erp expires in 5 days: Nightkey replaces it.\n"
    )
    html = to_html(message.body)
    assert "<h2>To look at</h2>" in html
    assert "<strong>prod-vpn</strong> lapsed 2 days ago" in html
    assert "<code>nightkey item update prod-vpn --value-file PATH\n</code>" in html


def test_there_is_a_letter_for_every_kind_and_a_kind_for_every_letter(letters):
    assert letters.kinds().keys() == DATA.keys() == set(NoticeKind)


def test_what_is_told_of_a_rotation_that_failed_is_called_by_its_state():
    assert dict(OF_FAILED) == {state: f"rotation-{state.value}" for state in OF_FAILED}
    assert OF_FAILED.keys() == FINISHED - {State.DONE} | {State.STUCK}


def test_codes_become_words_as_they_are_put_in_so_that_any_template_knows_texts_alone(letters, tmp_path):
    problem = Problem(kind=ProblemKind.STUCK, subject="prod-crm", id="rot_2", error=Reason.failed("503"))
    why = Reason.of(Code.STOPPED_IT, item="prod-crm", why=Reason.failed("503"), rotation="rot_2")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "night-stopped.md").write_text(
        '{% extends "nightkey/layout.md" %}{% block subject %}Stopped{% endblock %}'
        "{% block body %}{% for one in failed %}{{ one | upper }}{% endfor %}{% endblock %}"
    )
    failed = letters.write("night-failed", {"night": NIGHT, "problems": [problem]}, zone=ZONE)
    assert f"- {describe(problem)}" in to_text(failed.body)
    stopped = letters.write("night-stopped", {"night": NIGHT, "failed": [why]}, zone=ZONE)
    assert (stopped.passed_over, to_text(stopped.body).splitlines()[0]) == (None, "PROD-CRM: 503 (ROT_2)")


@pytest.mark.parametrize("kind", DATA)
def test_every_letter_is_written_from_what_it_is_given(letters, kind):
    message = letters.try_out(kind, DATA[kind], zone=ZONE)

    assert message.subject.startswith("Nightkey: ")
    assert "\n" not in message.subject
    for form in (to_text(message.body), to_html(message.body)):
        assert len(form) > 50
        assert "\x1e" not in form
        for name, value in DATA[kind].items():
            if isinstance(value, str) and name not in ("summary", "error", "users"):
                assert value in form or value in message.subject, name
    commands = [
        value for value in DATA[kind].values() if isinstance(value, str) and value.startswith("nightkey ")
    ]
    for command in commands:
        assert f"\n    {command}\n" in to_text(message.body), "on a line of its own, to be copied"


def test_a_pickup_leaves_one_place_for_its_token(letters):
    message = letters.write("pickup", DATA["pickup"], zone="UTC")

    assert message.body.count(PICKUP_MARK) == 1
    assert PICKUP_MARK not in message.subject
    assert "by 2026-03-01 02:00 UTC" in message.body
    assert f"\n    {PICKUP_MARK}\n" in to_text(message.body), "on a line of its own, to be copied"
    assert PICKUP_MARK not in DATA["pickup"]["command"], "others see a command line"


def test_a_template_of_theirs_that_shows_no_token_is_passed_over(tmp_path):
    own = (
        '{% extends "nightkey/layout.md" %}{% block subject %}ours{% endblock %}'
        "{% block body %}{{ command | code }}{% endblock %}"
    )
    (tmp_path / "pickup.md").write_text(own)
    letters = Letters(tmp_path)

    assert PICKUP_MARK in letters.write("pickup", DATA["pickup"], zone="UTC").body
    with pytest.raises(ConfigurationError, match=r"does not show \{\{ token"):
        letters.try_out("pickup", DATA["pickup"], zone="UTC")


HOSTILE = st.text(
    alphabet=st.sampled_from(list("ab `*_[]()<>#~|!&\\{}%-+.1\n\r\t\u2028\"'")), min_size=1, max_size=30
).filter(str.strip)


@given(HOSTILE)
def test_what_is_put_in_is_text_and_never_markup(value):
    letters = Letters(Path("/nowhere"))
    message = letters.write(
        "rotation-rolled-back",
        {
            "item": value,
            "error": value,
            "users": value,
            "works": True,
            "show": f"nightkey rotation show {value}",
            "owner": "x",
        },
        zone="UTC",
    )
    flat = " ".join(value.split())

    assert "\n" not in message.subject
    assert message.subject == f"Nightkey: {flat} was not replaced"
    text, html = to_text(message.body), to_html(message.body)
    assert f"The replacement of {flat} did not pass: {flat}." in " ".join(text.split())
    assert f"\n    nightkey rotation show {flat}\n" in text
    assert set(re.findall("<[^>]*>", html)) <= {"<p>", "</p>", "<pre>", "</pre>", "<code>", "</code>"}


def test_an_organisation_replaces_a_letter_or_a_part_of_one(letters, tmp_path):
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "test.md").write_text(
        '{% extends "nightkey/test.md" %}{% block subject %}ACME: hello {{ owner }}{% endblock %}'
    )
    message = letters.write("test", {"owner": "o*p*s"}, zone="UTC")

    assert message.subject == "ACME: hello o*p*s"
    assert "what a message from Nightkey looks like" in message.body
    assert letters.kinds()["test"] == folder / "test.md"
    assert letters.check() == []


LAYOUT = '{% extends "nightkey/layout.md" %}'


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (LAYOUT + "{% block subject %}{{ nothing }}{% endblock %}", "'nothing' is undefined"),
        (LAYOUT + "{% block subject %}x{% endblock %}", "its block body is empty"),
        (LAYOUT + "{% block body %}x{% endblock %}", "its block subject is empty"),
        (LAYOUT + "\n{% block subject %}", "line 2"),
        ("{% block subject %}x{% endblock %}", "it begins with no"),
        ("{% include '/etc/passwd' %}", "/etc/passwd"),
        (LAYOUT + "{% block subject %}{{ 1 / 0 }}{% endblock %}", "division by zero"),
        (LAYOUT + "{% block subject %}{{ local(none) }}{% endblock %}", "NoneType"),
        (LAYOUT + "{% macro m() %}{{ m() }}{% endmacro %}{% block subject %}{{ m() }}{% endblock %}", "m"),
        (LAYOUT + "{% block subject %}{{ owner.__class__.__mro__ }}{% endblock %}", "unsafe"),
    ],
)
def test_a_letter_of_theirs_that_fails_loses_no_notice_and_says_where_when_asked(
    letters, tmp_path, source, says
):
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "test.md").write_text(source)

    assert letters.write("test", {"owner": "ops"}, zone="UTC").subject == "Nightkey: a test for ops"
    with pytest.raises(ConfigurationError, match=r"template .*/test\.md.*: ") as caught:
        letters.try_out("test", {"owner": "ops"}, zone="UTC")
    assert says in str(caught.value)


def in_body(text):
    return LAYOUT + "{% block subject %}s{% endblock %}{% block body %}b" + text + "{% endblock %}"


def sixty_times(made, begun="'aaaaaaaa'"):
    """A template that makes something of what it made before."""
    return in_body(
        "{% set ns = namespace(x="
        + begun
        + ") %}{% for i in range(60) %}{% set ns.x = "
        + made
        + " %}{% endfor %}{{ ns.x }}"
    )


MANY_TIMES = "it renders more than 1000000 parts and characters"
NO_METHOD = "access to attribute '.*' of '.*' object is unsafe"
DEAR = {
    "loops": (in_body("{% for i in range(3000) %}" * 4 + "x" + "{% endfor %}" * 4), MANY_TIMES),
    "a-loop-over-much-text": (in_body("{% for i in range(10000) %}" + "x" * 9000 + "{% endfor %}"), MANY_TIMES),
    "a-loop-into-a-variable": (
        in_body("{% set y %}{% for i in range(10000) %}" + "x" * 9000 + "{% endfor %}{% endset %}"),
        MANY_TIMES,
    ),
    "a-loop-over-much-markup": (
        in_body("{% for i in range(10000) %}" + "{% if 1 == 2 %}{% endif %}" * 1000 + "{% endfor %}"),
        MANY_TIMES,
    ),
    "a-loop-in-itself": (
        in_body(
            "{% for i in range(9) recursive %}{% if loop.depth < 60 %}{{ loop(range(9)) }}{% endif %}"
            "{% endfor %}"
        ),
        MANY_TIMES,
    ),
    "a-macro-in-itself": (
        in_body("{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"),
        MANY_TIMES,
    ),
    "calls-in-calls": (
        in_body(
            "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}"
            + "{% call m() %}" * 40
            + "{% endcall %}" * 40
        ),
        MANY_TIMES,
    ),
    "a-block-in-itself": (in_body("{{ self.body() }}{{ self.body() }}"), "recursion"),
    "a-file-in-itself": (in_body("{% include 'test.md' %}{% include 'test.md' %}"), "recursion"),
    "work": (in_body("{% for i in range(9999) %}{% set y = range(9999) | sort %}{% endfor %}"), "it "),
    "a-range": (in_body("{{ range(1000000000) | list }}"), "it makes a range of more than 10000 numbers"),
    "times": (in_body("{{ 'a' * 1000000000 }}"), r"the operators \* and % are for numbers here"),
    "times-a-list": (in_body("{{ [1] * 1000000000 }}"), r"the operators \* and % are for numbers here"),
    "power": (in_body("{{ 10 ** 1000000000 }}"), r"\*\* is not there"),
    "numbers": (sixty_times("ns.x * ns.x", "9"), "it makes a number of more than 4300 digits"),
    "percent": (in_body("{{ '%1000000000d' % 5 }}"), "for numbers here"),
    "format": (in_body("{{ '{:>1000000000}'.format(5) }}"), NO_METHOD),
    "format-by-attr": (in_body("{{ ('{:>1000000000}' | attr('format'))(5) }}"), NO_METHOD),
    "format-filter": (in_body("{{ '%1000000000d' | format(5) }}"), "No filter named 'format'"),
    "center-method": (in_body("{{ 'a'.center(1000000000) }}"), NO_METHOD),
    "center": (in_body("{{ 'a' | center(1000000000) }}"), "it gives too much to the filter center"),
    "center-each": (in_body("{{ range(9999) | map('center', 100000) | join }}"), MANY_TIMES),
    "round": (in_body("{{ 5.5 | round(1000000000) }}"), "it gives too much to the filter round"),
    "slice": (in_body("{{ [1] | slice(1000000000) | list }}"), "it gives too much to the filter slice"),
    "batch": (in_body("{{ [1] | batch(1000000000, 0) | list }}"), "it gives too much to the filter batch"),
    "json": (in_body("{{ [[1]] | tojson(1000000000) }}"), "it gives too much to the filter tojson"),
    "lipsum": (in_body("{{ lipsum(1000000000) }}"), "'lipsum' is undefined"),
    "doubled-by-plus": (sixty_times("ns.x + ns.x"), "it makes more than 1000000 characters"),
    "doubled-by-tilde": (sixty_times("ns.x ~ ns.x"), "it makes more than 1000000 characters"),
    "doubled-lists": (sixty_times("[ns.x, ns.x]"), "it makes more than 1000000 characters"),
    "doubled-tuples": (sixty_times("(ns.x, ns.x)"), "it makes more than 1000000 characters"),
    "doubled-objects": (sixty_times("{'a': ns.x, 'b': ns.x}"), "it makes more than 1000000 characters"),
    "doubled-by-dict": (sixty_times("dict(a=ns.x, b=ns.x)"), "it makes more than 1000000 characters"),
    "doubled-by-join": (sixty_times("[ns.x, ns.x] | join(ns.x)"), "it gives too much to the filter join"),
    "doubled-by-replace": (sixty_times("ns.x | replace('a', ns.x)"), "it gives too much to the filter replace"),
    "many-parts": (in_body("{{ " + "1<" * 4990 + "1 }}"), "it has more than 10000 parts"),
    "many-outputs": (in_body("{{ 1 }}" * 3400), "it has more than 10000 parts"),
    "a-large-file": (in_body("x" * 100_000), "it has more than 100000 bytes"),
    "never-closed": (in_body("{{" * 30_000), ""),
    "an-endless-tag": (in_body("{% " + "a" * 60_000), "unknown tag"),
}


@pytest.mark.parametrize("kind", DEAR)
def test_a_letter_of_theirs_that_would_go_on_and_on_is_stopped_by_a_limit_and_the_notice_goes_out(
    letters, tmp_path, kind, monkeypatch
):
    source, says = DEAR[kind]
    if says == MANY_TIMES:  # whose number is to stop it, on a slow machine too, and not its time
        monkeypatch.setattr(jinja_bounds, "SECONDS_MAX", 60.0)
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "test.md").write_text(source)
    began = time.thread_time()

    with pytest.raises(ConfigurationError, match=r"template .*/test\.md.*: ") as caught:
        letters.try_out("test", {"owner": "ops"}, zone="UTC")
    assert re.search(says, str(caught.value))
    assert time.thread_time() - began < 15
    assert letters.write("test", {"owner": "ops"}, zone="UTC").subject == "Nightkey: a test for ops"


def test_a_letter_that_came_to_a_limit_is_not_tried_for_each_notice_but_again_when_it_is_changed(
    letters, tmp_path
):
    folder = tmp_path / "templates"
    folder.mkdir()
    file = folder / "test.md"
    file.write_text(DEAR["a-loop-over-much-markup"][0])
    for _ in range(3):
        assert letters.write("test", {"owner": "ops"}, zone="UTC").subject == "Nightkey: a test for ops"
    began = time.thread_time()
    for _ in range(200):  # a minute, were it rendered
        assert letters.write("test", {"owner": "ops"}, zone="UTC").subject == "Nightkey: a test for ops"
    assert time.thread_time() - began < 20

    file.write_text(in_body(" {{ owner }}"))
    os.utime(file, (1, 1))
    assert letters.write("test", {"owner": "ops"}, zone="UTC").body == "b ops\n"


def test_a_letter_of_ours_says_that_theirs_was_passed_over_and_why(letters, tmp_path):
    folder = tmp_path / "templates"
    folder.mkdir()
    assert letters.write("test", {"owner": "ops"}, zone="UTC").passed_over is None
    assert letters.fingerprint("test") is None
    (folder / "test.md").write_text(in_body("{{ owner }}"))
    assert letters.write("test", {"owner": "ops"}, zone="UTC").passed_over is None
    before = letters.fingerprint("test")
    for source, says in ((in_body("{{ nobody }}"), "'nobody' is undefined"), DEAR["many-parts"]):
        (folder / "test.md").write_text(source)
        os.utime(folder / "test.md", (1, len(source)))
        for _ in range(2):
            passed_over = letters.write("test", {"owner": "ops"}, zone="UTC").passed_over
            assert passed_over is not None
            assert says in passed_over
        assert letters.fingerprint("test") != before


@pytest.mark.parametrize("source", ["{{ 1" + " | e" * 4000 + " }}", "{{ " + "(" * 9000, "{{ " + "not " * 9000])
def test_what_is_nested_deeper_than_python_goes_is_a_problem_that_is_told(letters, tmp_path, source):
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "test.md").write_text(source)
    (problem,) = letters.check()
    assert problem.endswith("/test.md cannot be read, so ours is used: it is nested too deeply (recursion)")


def test_a_letter_of_theirs_may_do_what_letters_do(letters, tmp_path):
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "test.md").write_text(
        in_body(
            "{% macro hello(name) %}<{{ name | upper }}>{% endmacro %}{{ hello(owner) }}"
            " {{ owner.title() ~ (1 + 1) }}"
            "{% set ns = namespace(n=0) %}{% for a, b in {'x': 2, 'y': 3}.items() %}"
            "{% set ns.n = ns.n + b * 2 %}"
            " {{ loop.index }}{{ a }}{% endfor %} {{ ns.n }} {{ 7 % 4 }} {{ (1, 2) | join('-') }}"
            "{% if owner in ['ops', 'x'] %} {{ owner | center(9) | replace('o', 'O') }}{% endif %}"
            " {{ night.strftime('%d.%m.%Y') }} {{ range(3) | list | length }} {{ 2.345 | round(1) }}"
        )
    )
    body = letters.try_out("test", {"owner": "ops", "night": NIGHT}, zone="UTC").body
    assert body == "b\\<OPS\\> Ops2 1x 2y 10 3 1-2 Ops 01\\.03.2026 3 2.3\n"


def test_a_letter_that_cannot_be_parsed_is_found_before_it_is_needed(letters, tmp_path):
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "digest.md").write_text("{% block subject %}")

    (problem,) = letters.check()
    assert "digest.md cannot be read, so ours is used" in problem


def test_a_kind_that_there_is_not_is_said_with_those_there_are(letters):
    assert "{% block subject %}" in letters.source("digest")
    with pytest.raises(NotFoundError, match="no kind of message 'nothing': there are departure, "):
        letters.source("nothing")
    with pytest.raises(NotFoundError):
        letters.source("../sender")


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("# A\n\nb\nc", "A\n=\n\nb\nc\n"),
        ("- a\n- b\n\n  c\n", "- a\n\n- b\n\n  c\n"),
        ("- a\n  - b\n", "- a\n\n  - b\n"),
        ("a `b` **c** \\*d\\*", "a b c *d*\n"),
        ("[there](https://example.org)", "https://example.org there\n"),
        ("```\ncode\n  more\n```", "    code\n      more\n"),
        ("<b>x</b>", "<b>x</b>\n"),
    ],
)
def test_plain_text_keeps_the_shape(markdown, text):
    assert to_text(markdown) == text
