"""What the command line takes in: values, times, and policies from options or a file."""

import io
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from vaultcore.model import Mode, Policy
from worker.cli.inputs import parse_time, read_json, read_policy_change, read_text, read_value
from worker.cli.screen import begin_screen, screen, show_moment
from worker.domain.policies import change_policy

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def pipe(content):
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")


class Terminal(io.StringIO):
    def isatty(self):
        return True


# Values


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("hunter2", "hunter2"),
        ("hunter2\n", "hunter2"),
        ("hunter2\r\n", "hunter2"),
        ("hunter2\n\n", "hunter2\n"),
        ("line\r\nline\r\n", "line\r\nline"),
        ("\n", ""),
        ("", ""),
        (" hunter2 ", " hunter2 "),
        ("-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n", "-----BEGIN KEY-----\nAAAA\n-----END KEY-----"),
    ],
)
def test_one_final_newline_is_no_part_of_a_value(tmp_path, monkeypatch, written, value):
    file = tmp_path / "value"
    file.write_bytes(written.encode())
    monkeypatch.setattr("sys.stdin", pipe(written.encode()))

    assert read_value("-", what="the value").expose() == value
    assert read_value(str(file), what="the value").expose() == value


def test_input_that_is_no_text_is_refused_without_showing_it(monkeypatch):
    monkeypatch.setattr("sys.stdin", pipe(b"hunter2\xff"))

    with pytest.raises(InvalidInputError, match="standard input cannot be read: it is not UTF-8") as caught:
        read_value("-", what="the value")

    assert caught.value.__context__ is None, "the codec's error would hold the value"


def test_a_value_that_is_typed_is_asked_for_twice(monkeypatch):
    asked = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "hunter2"

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("worker.cli.inputs.getpass", answer)

    assert read_value(None, what="value of prod-smtp").expose() == "hunter2"
    assert asked == ["value of prod-smtp: ", "again: "]


def test_two_that_do_not_agree_change_nothing(monkeypatch):
    typed = iter(["hunter2", "hunter3"])
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("worker.cli.inputs.getpass", lambda prompt: next(typed))

    with pytest.raises(InvalidInputError, match="the two entries differ: nothing was changed") as caught:
        read_value(None, what="the value")

    assert "hunter" not in str(caught.value)


def test_without_a_terminal_nobody_is_asked(monkeypatch):
    monkeypatch.setattr("sys.stdin", pipe(b"hunter2"))

    with pytest.raises(InvalidInputError, match="no terminal to ask for the value: give --value-file PATH"):
        read_value(None, what="the value")


# Files


def test_a_small_text_file_is_read(tmp_path):
    file = tmp_path / "small"
    file.write_text("ключ")

    assert read_text(file) == "ключ"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda file: None, "No such file or directory"),
        (lambda file: file.mkdir(), "Is a directory"),
        (lambda file: file.write_bytes(b"hunter2\xff"), "it is not UTF-8 text"),
        (lambda file: file.write_bytes(b"x" * 65_537), "it is larger than 65536 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path, make, says):
    file = tmp_path / "value.txt"
    make(file)

    with pytest.raises(InvalidInputError) as caught:
        read_text(file)

    assert str(caught.value) == f"{file} cannot be read: {says}"
    assert caught.value.__context__ is None, "the codec's error would hold the value"


def test_the_largest_file_is_read(tmp_path):
    file = tmp_path / "largest"
    file.write_bytes(b"x" * 65_536)

    assert len(read_text(file)) == 65_536


def test_json_is_read_and_bad_json_is_refused_by_its_line(tmp_path):
    file = tmp_path / "x.json"
    file.write_text('{"a": [1]}')
    assert read_json(file) == {"a": [1]}

    file.write_text('{"a":\n hunter2}')
    with pytest.raises(InvalidInputError, match=r"x\.json: line 2: not JSON: Expecting value") as caught:
        read_json(file)
    assert "hunter2" not in str(caught.value)


# Times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-24T18:00:00Z", datetime(2026, 12, 24, 18, tzinfo=UTC)),
        ("2026-12-24T18:00Z", datetime(2026, 12, 24, 18, tzinfo=UTC)),
        ("2026-12-24 18:00:00", datetime(2026, 12, 24, 18, tzinfo=UTC)),
        ("2026-12-24T18:00:00+02:00", datetime(2026, 12, 24, 16, tzinfo=UTC)),
        ("2026-12-24T18:00:00.123456Z", datetime(2026, 12, 24, 18, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-12-24", datetime(2026, 12, 24, tzinfo=UTC)),
        ("2020-01-01", datetime(2020, 1, 1, tzinfo=UTC)),
        ("30d", NOW + 30 * DAY),
        ("+30d", NOW + 30 * DAY),
        ("1d12h", NOW + 1.5 * DAY),
        ("0s", NOW),
    ],
)
def test_a_time_is_read_as_utc(text, expected):
    found = parse_time(text, NOW)

    assert found == expected
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "30",
        "-30d",
        "++30d",
        "30 d",
        "24.12.2026",
        "2026-13-01",
        "2026-02-30",
        "18:00",
        "999999999w",
        "9999-12-31T23:59:59-05:00",
        "0001-01-01T00:00:00+05:00",
    ],
)
def test_what_is_no_time_is_refused_with_examples(text):
    with pytest.raises(
        InvalidInputError, match="is not a time: write 2026-12-24, 2026-12-24T18:00:00Z, or a dur"
    ):
        parse_time(text, NOW)


@given(st.text(max_size=30) | st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat()))
def test_any_text_is_an_aware_time_or_refused(text):
    try:
        found = parse_time(text, NOW)
    except InvalidInputError as error:
        assert "\n" not in str(error)  # noqa: PT017  # the other outcome is as good
    else:
        assert found.utcoffset() == timedelta(0)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001  # made aware next
def test_a_time_that_is_written_out_is_read_back(naive):
    time = naive.replace(tzinfo=UTC)

    assert parse_time(time.isoformat(), NOW) == time


@pytest.mark.parametrize("zone", ["UTC", "Europe/Zurich", "America/Sao_Paulo", "Asia/Kolkata", "Europe/London"])
@pytest.mark.parametrize("month", [1, 7])
def test_a_time_as_answers_show_it_is_read_back(monkeypatch, zone, month):
    begin_screen(lambda: NOW)
    monkeypatch.setattr(screen(), "zone", ZoneInfo(zone))
    time = datetime(2026, month, 24, 18, 30, tzinfo=UTC)

    shown = show_moment(time)
    assert parse_time(shown, NOW) == time
    assert parse_time("2026-07-24 18:30:15 UTC", NOW) == datetime(2026, 7, 24, 18, 30, 15, tzinfo=UTC)
    with pytest.raises(InvalidInputError, match="is not a time"):
        parse_time(f"{shown[:16]} XYZ", NOW)


def test_both_hours_that_a_clock_shows_twice_are_read_back(monkeypatch):
    begin_screen(lambda: NOW)
    monkeypatch.setattr(screen(), "zone", ZoneInfo("Europe/Zurich"))

    assert parse_time("2026-10-25 02:30 CEST", NOW) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert parse_time("2026-10-25 02:30 CET", NOW) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


# Policies

NOTHING = dict.fromkeys(["file", "mode", "rotator", "lifetime", "lead", "overlap"]) | {"settings": []}


def read(base=None, **given):
    default_rotator = given.pop("default_rotator", None)
    return change_policy(base, read_policy_change(**{**NOTHING, **given}), default_rotator=default_rotator)


def test_nothing_given_is_the_default_which_nobody_stated():
    assert read() == Policy()
    assert not read().stated


def test_nothing_given_leaves_what_was_there():
    base = Policy(mode=Mode.AUTO, stated=True, rotator="http", settings={"a": "1"}, lifetime=90 * DAY)

    assert read(base) is base


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"mode": "notify"}, {"mode": Mode.NOTIFY}),
        ({"mode": "auto", "rotator": "random"}, {"mode": Mode.AUTO, "rotator": "random"}),
        ({"mode": "approve", "default_rotator": "random"}, {"mode": Mode.APPROVE, "rotator": "random"}),
        ({"mode": "auto", "rotator": "http", "default_rotator": "random"}, {"rotator": "http"}),
        ({"mode": "notify", "default_rotator": "random"}, {"rotator": None}),
        ({"lifetime": "90d"}, {"lifetime": 90 * DAY, "lead": 14 * DAY}),
        ({"lifetime": "30d"}, {"lifetime": 30 * DAY, "lead": 10 * DAY}),
        ({"lifetime": "30d", "lead": "5d"}, {"lifetime": 30 * DAY, "lead": 5 * DAY}),
        ({"lead": "2d", "rotator": "http"}, {"lead": 2 * DAY, "overlap": DAY}),
        ({"lead": "2h", "rotator": "http"}, {"lead": DAY / 12, "overlap": DAY / 24}),
        ({"lead": "2h"}, {"lead": DAY / 12, "overlap": DAY / 24}),
        ({"lead": "2h", "overlap": "2d", "rotator": "http"}, {"overlap": 2 * DAY}),
        ({"overlap": "0s"}, {"overlap": timedelta(0)}),
        ({"settings": ["url=https://x", "body.a=1"]}, {"settings": {"url": "https://x", "body": {"a": "1"}}}),
    ],
)
def test_options_make_a_stated_policy(given, fields):
    policy = read(**given)

    assert policy.stated
    assert {name: getattr(policy, name) for name in fields} == fields


def test_options_go_over_what_was_there():
    base = Policy(mode=Mode.AUTO, stated=True, rotator="http", settings={"a": "1"}, lifetime=90 * DAY)

    changed = read(base, lead="7d")

    assert changed == Policy(
        mode=Mode.AUTO, stated=True, rotator="http", settings={"a": "1"}, lifetime=90 * DAY, lead=7 * DAY
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mode": "sometimes"}, "mode 'sometimes' does not exist: choose auto, approve or notify"),
        ({"mode": ""}, "mode '' does not exist"),
        ({"lifetime": "90"}, "'90' is not a duration"),
        ({"lead": "two days"}, "'two days' is not a duration"),
        ({"overlap": "-1d"}, "'-1d' is not a duration"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(given, says):
    with pytest.raises(InvalidInputError, match=says):
        read(**given)


# Settings by --set


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a=1"], {"a": "1"}),
        (["a="], {"a": ""}),
        (["a=1=2"], {"a": "1=2"}),
        (["a=x.y"], {"a": "x.y"}),
        (["a=1", "a=2"], {"a": "2"}),
        (["a.b=1", "a.c=2", "d=3"], {"a": {"b": "1", "c": "2"}, "d": "3"}),
        (["a.b.c=1"], {"a": {"b": {"c": "1"}}}),
        (["a-b=1"], {"a-b": "1"}),
    ],
)
def test_assignments_become_nested_settings(texts, expected):
    assert read(settings=texts).settings == expected


@pytest.mark.parametrize("text", ["", "a", "=1", ".=1", "a.=1", ".a=1", "a..b=1"])
def test_an_assignment_without_a_whole_key_is_refused(text):
    with pytest.raises(InvalidInputError, match=r"write it as KEY=VALUE, or KEY\.PART=VALUE"):
        read(settings=[text])


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["a=1", "a.b=2"], r"--set a\.b: a has a value of its own already"),
        (["a.b=2", "a=1"], "--set a: a has parts of its own already"),
        (["a.b=1", "a.b.c=2"], r"--set a\.b\.c: b has a value of its own already"),
        (["a.b.c=2", "a.b=1"], r"--set a\.b: b has parts of its own already"),
    ],
)
def test_assignments_that_contradict_each_other_are_refused_in_either_order(texts, says):
    with pytest.raises(InvalidInputError, match=says):
        read(settings=texts)


def test_a_refused_assignment_does_not_show_its_text():
    with pytest.raises(InvalidInputError) as caught:
        read(settings=["a..b=hunter2"])

    assert "hunter2" not in str(caught.value)


# Policies from a file


@pytest.fixture
def write(tmp_path):
    def write_policy(text, name="policy.toml"):
        file = tmp_path / name
        file.write_text(text)
        return file

    return write_policy


POLICY = {
    "mode": "auto",
    "rotator": "http",
    "lifetime": "60d",
    "idle_after": "30d",
    "thresholds": [7, 1, 7, 30],
    "settings": {"url": "https://x", "body": {"a": "1", "b": "2"}},
}
IN_TOML = """
mode = "auto"
rotator = "http"
lifetime = "60d"
idle_after = "30d"
thresholds = [7, 1, 7, 30]
[settings]
url = "https://x"
body = {a = "1", b = "2"}
"""


@pytest.mark.parametrize(
    ("text", "name"), [(IN_TOML, "policy.toml"), (IN_TOML, "policy"), (json.dumps(POLICY), "policy.json")]
)
def test_a_policy_is_read_from_toml_or_json(write, text, name):
    policy = read(file=write(text, name))

    assert policy == Policy(
        mode=Mode.AUTO,
        stated=True,
        rotator="http",
        lifetime=60 * DAY,
        lead=14 * DAY,
        idle_after=30 * DAY,
        thresholds=(30, 7, 1),
        settings={"url": "https://x", "body": {"a": "1", "b": "2"}},
    )


def test_options_go_over_the_file_and_settings_are_merged(write):
    policy = read(file=write(IN_TOML), mode="approve", settings=["body.b=3", "method=PUT"])

    assert policy.mode is Mode.APPROVE
    assert policy.rotator == "http"
    assert policy.settings == {"url": "https://x", "body": {"a": "1", "b": "3"}, "method": "PUT"}


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("mode = ", "policy.toml", r"policy\.toml: Invalid value"),
        ("{", "policy.json", r"policy\.json: line 1: not JSON: Expecting property name"),
        ('["auto"]', "policy.json", "holds no policy: that is an object"),
        ("colour = 1", "policy.toml", "colour is not part of a policy: it has mode, rotator, settings"),
        ("stated = true", "policy.toml", "stated is not part of a policy"),
        ("thresholds = 7", "policy.toml", "thresholds is a list of whole days"),
        ("thresholds = []", "policy.toml", "thresholds is a list of whole days"),
        ("thresholds = [1.5]", "policy.toml", "thresholds is a list of whole days"),
        ("thresholds = [true]", "policy.toml", "thresholds is a list of whole days"),
        ("lifetime = 90", "policy.toml", "'90' is not a duration"),
        ("mode = 1", "policy.toml", "mode '1' does not exist"),
    ],
)
def test_a_file_that_holds_no_policy_is_refused_on_one_line(write, text, name, says):
    with pytest.raises(InvalidInputError, match=says) as caught:
        read(file=write(text, name))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('settings = "x"', "settings is an object"),
        ("settings = [1]", "settings is an object"),
        ("rotator = 5", "rotator is the name of one"),
    ],
)
@pytest.mark.parametrize("settings", [[], ["a=1"]])
def test_a_file_whose_parts_have_the_wrong_shape_is_refused(write, text, says, settings):
    with pytest.raises(InvalidInputError, match=says):
        read(file=write(text), settings=settings)
