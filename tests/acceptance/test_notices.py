"""Owners and what they are told, from the command line: who, when, in which words, and what did not arrive."""

import shlex
from pathlib import Path
from typing import Any

from icalendar import Calendar

from nightkey_demo.http_sink import HttpSink
from nightkey_demo.mail_server import MailServer
from nightkey_demo.target_systems import TargetSystems
from tests.acceptance.conftest import Nightkey, write_workflow
from tests.acceptance.test_cli import complaint

CRM = "prod-crm-password"


def route_to(sink: HttpSink, name: str) -> str:
    return f"json://{sink.url[7:]}/{name}"


def add_item(nightkey: Nightkey, name: str, days: int, *owners: str) -> None:
    options = [word for owner in owners for word in ("--owner", owner)]
    nightkey(
        "item", "create", name, *options, "--expires-at", f"{days}d", "--mode", "notify", "--value-file", "-",
        value=f"a-value-of-theirs-for-{name}",
    )  # fmt: skip


def test_owners_have_hours_and_a_deputy_share_items_and_read_what_to_do(
    nightkey: Nightkey, targets: TargetSystems, tmp_path: Path
) -> None:
    sink = targets.sink
    nightkey("owner", "create", "platform", "--route", route_to(sink, "platform"))
    made = nightkey.json(
        "owner", "create", "maria", "--route", route_to(sink, "maria"), "--zone", "Europe/Zurich",
        "--quiet", "22:00-07:00", "--deputy", "platform",
    )  # fmt: skip
    assert (made["zone"], made["quiet"], made["deputy"]) == ("Europe/Zurich", "22:00-07:00", "platform")
    changed = nightkey.json("owner", "update", "maria", "--no-quiet", "--zone", "UTC")
    assert (changed["zone"], changed["quiet"], changed["deputy"]) == ("UTC", None, "platform")
    add_item(nightkey, CRM, 3, "maria", "platform")
    nodes: list[dict[str, Any]] = [
        {"id": "start", "componentId": "manual_trigger"},
        {
            "id": "send",
            "componentId": "webhook",
            "url": f"{sink.url}/crm",
            "headers": {"X-Key": f"{{{{ vault.{CRM} }}}}"},
        },
    ]
    nightkey("workflow", "apply", str(write_workflow(tmp_path, "crm-contacts", nodes)))

    preview = nightkey("notice", "preview", "maria").stdout
    assert f"- {CRM} lapses in 2 days" in preview
    assert "Used by crm-contacts." in preview
    command = next(line.strip() for line in preview.splitlines() if f"nightkey item update {CRM} " in line)
    html = nightkey("notice", "preview", "maria", "--format", "html").stdout
    assert f"<strong>{CRM}</strong> lapses" in html
    assert nightkey.json("notice", "list") == []
    assert nightkey.json("finding", "list") == []

    nightkey("night")
    told = {notice["owner"] for notice in nightkey.json("notice", "list")}
    assert told == {"maria", "platform"}
    assert sorted(post.path for post in sink.requests) == ["/maria", "/platform"]
    assert f"- {CRM} lapses in 2 days" in sink.requests[0].body["message"]
    nothing = nightkey("notice", "preview", "maria").stdout
    assert "There is nothing to tell." in nothing
    calendar = nightkey("calendar", "--owner", "maria").stdout
    (event,) = Calendar.from_ical(calendar).walk("VEVENT")
    assert event["SUMMARY"] == f"{CRM} lapses"
    file = tmp_path / "all.ics"
    nightkey("calendar", "--output", str(file))
    assert len(Calendar.from_ical(file.read_bytes()).walk("VEVENT")) == 1

    value = tmp_path / "a value"
    value.write_text("their-next-value")
    words = [str(value) if word == "PATH" else word for word in shlex.split(command)]
    lapsed = nightkey.json("item", "show", CRM)["expires_at"]
    nightkey(*words[1:])
    item = nightkey.json("item", "show", CRM)
    assert (item["version"], item["expires_at"] > lapsed) == (2, True)


def test_what_does_not_arrive_is_listed_and_tried_again_and_reaches_the_deputy(
    nightkey: Nightkey, targets: TargetSystems
) -> None:
    sink = targets.sink
    nightkey("owner", "create", "platform", "--route", route_to(sink, "platform"))
    nightkey("owner", "create", "maria", "--route", "json://127.0.0.1:9/maria", "--deputy", "platform")
    (checked,) = nightkey.json("owner", "test", "maria", status=1)
    assert (checked["taken"], checked["error"]) == (False, "127.0.0.1:9 cannot be reached, or broke off")
    add_item(nightkey, CRM, 3, "maria")
    failed_night = nightkey("night", status=1)
    assert "maria could not be told" in failed_night.stderr
    (failed,) = nightkey.json("notice", "list", "--failed")
    states = {one["stands_in"]: one["state"] for one in failed["deliveries"]}
    assert states == {False: "failed", True: "sent"}
    assert sink.requests[-1].body["message"].startswith("This is for maria, whom it did not reach")
    shown = nightkey("notice", "show", failed["id"]).stdout
    assert f"- {CRM} lapses in 2 days" in shown

    (route,) = nightkey.json("owner", "show", "maria")["route_ids"]
    nightkey("owner", "route", "maria", "--route", route_to(sink, "maria"))
    nightkey("owner", "route", "maria", "--remove", route)
    assert [one["taken"] for one in nightkey.json("owner", "test", "maria")] == [True]
    assert nightkey.json("notice", "retry", failed["id"])["state"] == "sent"
    assert nightkey.json("notice", "list", "--failed") == []
    assert f"- {CRM} lapses in 2 days" in sink.requests[-1].body["message"]


def test_an_organisation_has_its_own_words(nightkey: Nightkey, targets: TargetSystems) -> None:
    sink = targets.sink
    nightkey("owner", "create", "maria", "--route", route_to(sink, "maria"))
    folder = nightkey.home / "templates"
    folder.mkdir()
    assert "{% block subject %}" in nightkey("notice", "template", "test").stdout
    (folder / "test.md").write_text(
        '{% extends "nightkey/test.md" %}{% block subject %}ACME credentials{% endblock %}'
    )
    nightkey("owner", "test", "maria")
    assert sink.requests[0].body["title"] == "ACME credentials"
    (folder / "digest.md").write_text("{% block subject %}")
    listed = nightkey("notice", "template", status=1).stdout
    assert "digest.md cannot be read, so ours is used" in listed
    assert "digest.md" in complaint(nightkey, "notice", "preview", "maria", status=2)


WRONG = [
    (("owner", "create", "bob", "--zone", "Nowhere"), 2, "'Nowhere' is not a time zone"),
    (("owner", "create", "bob", "--quiet", "22-7"), 2, "write them like 22:00-07:00"),
    (("owner", "create", "bob", "--deputy", "nobody"), 2, "no owner 'nobody'"),
    (("owner", "update", "operators", "--deputy", "operators"), 2, "cannot be their own deputy"),
    (("owner", "update", "operators"), 2, "what is to change?"),
    (("owner", "update", "operators", "--no-quiet", "--quiet", "22:00-07:00"), 2, "choose one"),
    (
        ("owner", "route", "operators", "--remove", "rte_1"),
        2,
        "has no route 'rte_1': it has none",
    ),
    (("owner", "route", "operators"), 2, "which route?"),
    (("notice", "show", "ntc_1"), 2, "no notice 'ntc_1'"),
    (("notice", "retry", "ntc_1"), 2, "no notice 'ntc_1'"),
    (("notice", "preview", "nobody"), 2, "no owner 'nobody'"),
    (("notice", "template", "nothing"), 2, "no kind of message 'nothing'"),
    (("calendar", "--owner", "nobody"), 2, "no owner 'nobody'"),
]


WRONG_ROUTES = [
    (("owner", "create", "bob", "--route", "slack://T1/A2/x"), 2, "holds a token: others see the command line"),
    (("owner", "create", "bob", "--route", "json://u:p@host/"), 2, "holds a password: others see"),
    (("owner", "route", "operators", "--route", "tgram://123:"), 2, "give --route-file PATH"),
    (("owner", "create", "bob", "--route", "mailto://h.org?from=n@x.org&to=foo,b@r"), 2, "'b@r' is not a mail"),
    (("owner", "create", "bob", "--route", "json://host/?tp=x"), 2, "does not know 'tp'"),
]


def test_a_route_with_a_secret_or_a_mistake_in_it_is_refused_on_the_command_line(nightkey: Nightkey) -> None:
    for words, status, says in WRONG_ROUTES:
        assert says in complaint(nightkey, *words, status=status), words


def test_a_route_file_that_cannot_be_used_is_one_line_without_a_word_of_its_token(
    nightkey: Nightkey, tmp_path: Path
) -> None:
    file = tmp_path / "route"
    for route, says in (
        ("tgram://4711:", "not complete for tgram://"),
        ("mailto://robot:4711-p\u00e4ss@mail.example.org?to=foo", "'foo' is not a mail address"),
    ):
        file.write_text(route, encoding="utf-8")
        said = complaint(nightkey, "owner", "create", "bob", "--route-file", str(file), status=2)
        assert says in said
        assert "4711" not in said
    assert "bob" not in nightkey("owner", "list").stdout


def test_each_recipient_of_a_route_is_shown_tried_and_retried_by_itself(
    nightkey: Nightkey, targets: TargetSystems, tmp_path: Path
) -> None:
    nightkey("owner", "create", "platform", "--route", route_to(targets.sink, "platform"))
    with MailServer({"robot": "p\u00e4ssword"}) as server:
        file = tmp_path / "mail.url"
        file.write_text(
            f"mailto://robot:p\u00e4ssword@localhost:{server.port}/?from=n@example.org"
            "&to=maria@example.org&cc=team@ex\u00e4mple.org",
            encoding="utf-8",
        )
        made = nightkey.json("owner", "create", "maria", "--route-file", str(file))
        assert made["recipients"] == [["maria@example.org", "team@xn--exmple-cua.org"]]
        assert "maria@example.org, team@xn--exmple-cua.org" in nightkey("owner", "show", "maria").stdout
        server.answer_recipient("team@xn--exmple-cua.org", "550 5.1.1 No such user")
        tested = nightkey.json("owner", "test", "maria", status=1)
        assert [(one["recipient"], one["taken"]) for one in tested] == [
            ("maria@example.org", True), ("team@xn--exmple-cua.org", False),
        ]  # fmt: skip
        add_item(nightkey, CRM, 3, "maria")
        done = nightkey("night", status=1)
        assert "by mailto://localhost" in done.stderr
        assert "to team@xn--exmple-cua.org: localhost does not take mail for" in done.stderr
        (failed,) = nightkey.json("notice", "list", "--failed")
        assert {one["recipient"]: one["state"] for one in failed["deliveries"]} == {
            "maria@example.org": "sent", "team@xn--exmple-cua.org": "failed",
        }  # fmt: skip
        assert "team@xn--exmple-cua.org" in nightkey("notice", "show", failed["id"]).stdout
        server.answer_recipient("team@xn--exmple-cua.org", "250 OK")
        assert nightkey.json("notice", "retry", failed["id"])["state"] == "sent"
        digests = [mail.recipients for mail in server.messages if CRM in mail.message.as_string()]
    assert digests == [("maria@example.org",), ("team@xn--exmple-cua.org",)]
    assert "p\u00e4ssword" not in "".join(nightkey.printed)


def test_who_would_hear_of_nothing_is_said_at_once(tmp_path: Path) -> None:
    nightkey = Nightkey(tmp_path / "home")
    nobody = "operators, who hear of what nobody owns and of whole nights, have no route: nightkey owner route"
    assert nobody in nightkey("init").stderr
    made = nightkey("owner", "create", "maria")
    assert nobody in made.stderr
    assert "maria has no route, and neither a deputy nor the operators have one" in made.stderr
    nightkey("owner", "route", "operators", "--route", "json://127.0.0.1:9/operators")
    assert nightkey("owner", "show", "maria").stderr == ""
    nightkey("owner", "create", "bob", "--route", "json://127.0.0.1:9/bob", "--deputy", "maria")
    assert "maria, deputy of bob, has no route" in nightkey("owner", "update", "bob", "--zone", "UTC").stderr
    nightkey.settings["NIGHTKEY_OPERATORS"] = "operatros"
    said = nightkey("owner", "show", "bob").stderr
    assert "the setting operators names 'operatros', which no owner is called" in said


def test_what_is_wrong_is_one_line_that_says_what_to_do(nightkey: Nightkey) -> None:
    for words, status, says in WRONG:
        assert says in complaint(nightkey, *words, status=status), words


def test_a_notice_that_cannot_leave_keeps_no_rotation_by_hand_waiting(
    nightkey: Nightkey, targets: TargetSystems
) -> None:
    """It is tried once; the next try is the night's."""
    sink = targets.sink
    nightkey("owner", "create", "platform", "--route", route_to(sink, "platform"))
    nightkey(
        "item", "create", "api-key:partner", "--owner", "platform", "--expires-at", "5d", "--mode", "auto",
        "--rotator", "workflow-api-key", "--lifetime", "90d",
    )  # fmt: skip
    sink.answer(503, times=9)
    nightkey("item", "rotate", "api-key:partner")
    (notice,) = nightkey.json("notice", "list")
    assert [(one["state"], one["attempts"]) for one in notice["deliveries"]] == [("waiting", 1)]
