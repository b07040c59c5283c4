"""Settings: where they come from, what they may be, and errors that say it on one line."""

import os
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from vaultcore.errors import ConfigurationError
from worker.config import SETTINGS_FILE, load_settings, unknown_variables


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    for name in [name for name in os.environ if name.startswith("NIGHTKEY_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path):
    def write_settings(text):
        (tmp_path / SETTINGS_FILE).write_text(text)
        return tmp_path

    return write_settings


# Where they come from


def test_without_any_the_defaults_hold(tmp_path):
    settings = load_settings(tmp_path)

    assert settings.home == tmp_path
    assert settings.database == f"sqlite:///{tmp_path}/nightkey.db"
    assert settings.keyring_path == tmp_path / "keyring" / "keyring.json"
    assert settings.night_at == "0 2 * * *"
    assert settings.zone == ZoneInfo("UTC")
    assert settings.lease == timedelta(minutes=1)
    assert settings.failed_hold == timedelta(hours=20)


def test_an_argument_wins_over_the_environment_and_that_over_the_file(write, monkeypatch):
    home = write('operators = "file"\nconcurrency = 3\nattempts = 7\n')
    monkeypatch.setenv("NIGHTKEY_OPERATORS", "environment")
    monkeypatch.setenv("NIGHTKEY_CONCURRENCY", "4")

    settings = load_settings(home, concurrency=5)

    assert (settings.concurrency, settings.operators, settings.attempts) == (5, "environment", 7)


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        ('database_url = "postgresql://n@h/v?sslpassword=hunter2"', True),
        ('broker_url = "redis://:hunter2@h"', True),
        ('broker_url = "redis://h"', False),
    ],
)
def test_a_password_in_the_file_is_known(write, line, is_one):
    assert load_settings(write(line)).has_stored_secret is is_one


def test_the_folder_comes_from_the_argument_then_the_variable_then_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert load_settings().home == tmp_path / "me" / ".nightkey"

    monkeypatch.setenv("NIGHTKEY_HOME", str(tmp_path / "variable"))
    assert load_settings().home == tmp_path / "variable"
    assert load_settings(tmp_path / "argument").home == tmp_path / "argument"

    monkeypatch.setenv("NIGHTKEY_HOME", "")
    assert load_settings().home == tmp_path / "me" / ".nightkey"


def test_the_folder_is_made_absolute_and_its_tilde_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert load_settings(Path("data")).home == tmp_path / "data"
    assert load_settings(Path("~/data")).home == tmp_path / "data"


def test_the_file_of_the_folder_is_read_and_cannot_move_the_folder(write):
    home = write('home = "/elsewhere"\ntime_zone = "Europe/Zurich"\n')

    settings = load_settings(home)

    assert settings.home == home
    assert settings.zone == ZoneInfo("Europe/Zurich")


def test_one_folders_file_is_not_taken_for_anothers(write, tmp_path):
    write('operators = "first"\n')
    other = tmp_path / "other"
    other.mkdir()

    assert load_settings(tmp_path).operators == "first"
    assert load_settings(other).operators == "operators"


def test_given_places_replace_those_in_the_folder(tmp_path):
    settings = load_settings(
        tmp_path, database_url="postgresql+psycopg://db/nightkey", keyring=Path("/run/keyring.json")
    )

    assert settings.database == "postgresql+psycopg://db/nightkey"
    assert settings.keyring_path == Path("/run/keyring.json")


def test_a_level_is_read_in_any_case(tmp_path):
    assert load_settings(tmp_path, log_level="debug").log_level == "DEBUG"


def test_settings_do_not_change(tmp_path):
    settings = load_settings(tmp_path)

    with pytest.raises(ValidationError, match="frozen"):
        settings.attempts = 9  # type: ignore[misc]  # what is tried


# What they may not be

WRONG = [
    ('night_at = "0 2 * *"', "setting night_at: '0 2 * *' is not a cron expression"),
    ('night_at = ""', "setting night_at: '' is not a cron expression"),
    ('night_at = "0 0 30 2 *"', "setting night_at: '0 0 30 2 *' is not a cron expression"),
    ('night_at = "0\\n2"', r"setting night_at: '0\n2' is not a cron expression"),
    (
        'time_zone = "Mars/Olympus"',
        "setting time_zone: 'Mars/Olympus' is not a time zone: write one like Europe",
    ),
    ('time_zone = ""', "setting time_zone: '' is not a time zone"),
    ('time_zone = "Europe"', "setting time_zone: 'Europe' is not a time zone"),
    ('time_zone = "../etc/passwd"', "setting time_zone: '../etc/passwd' is not a time zone"),
    ('log_level = "loud"', "setting log_level: use DEBUG, INFO, WARNING or ERROR"),
    ("ring_seconds = 0", "setting ring_seconds: write a number that is more than 0"),
    ("ring_seconds = 3601", "setting ring_seconds: write a number that is at most 3600"),
    ("ring_seconds = nan", "setting ring_seconds: write a number that is finite"),
    ("retry_seconds = inf", "setting retry_seconds: write a number that is finite"),
    ("lease_seconds = inf", "setting lease_seconds: write a number that is finite"),
    ("lease_seconds = 1e15", "setting lease_seconds: write a number that is at most 86400"),
    ("lease_seconds = 1", "setting lease_seconds: write a number that is at least 2"),
    ("failed_hold_hours = 1e12", "setting failed_hold_hours: write a number that is at most 8760"),
    ("concurrency = 0", "setting concurrency: write a number that is at least 1"),
    ('concurrency = "many"', "setting concurrency: write a whole number"),
    ("page_size = 10001", "setting page_size: write a number that is at most 10000"),
    ("attempts = 1.5", "setting attempts: write a whole number"),
    ("patience_hours = 0", "setting patience_hours: write a number that is more than 0"),
    ("candidates = 0", "setting candidates: write a number that is at least 1"),
    ("night_cap = 0", "setting night_cap: write a number that is at least 1"),
    ("target_cap = 0", "setting target_cap: write a number that is at least 1"),
    ("breaker_share = 1.5", "setting breaker_share: write a number that is at most 1"),
    ('freezes = ["christmas"]', "setting freezes: window 'christmas': it is not a cron expression"),
    ('freezes = "2026-12-24/2027-01-02"', "setting freezes: window '2026-12-24/2027-01-02': it is no"),
    ("freezes = 7", 'setting freezes: write a list of texts, such as ["…"]'),
    ("outbound_private = [7]", 'setting outbound_private: write a list of texts, such as ["…"]'),
    ('outbound_private = "[\\"127.0.0.1\\""', "setting outbound_private: this list does not end well"),
    ('outbound_private = "127.0.0.1,127.0.0.2"', "setting outbound_private: '127.0.0.1,127.0.0.2' is no host"),
    ("page_size = 1e300", "setting page_size: write a"),
    ("http_max_bytes = 1", "setting http_max_bytes: write a number that is at least 1024"),
    ("operaters = 1", "setting operaters: there is no such setting: did you mean operators?"),
    ("[night_at]\nhour = 2", "setting night_at: write a text in quotes"),
    ("night_at = ", "nightkey.toml: it is not TOML: Invalid value"),
    ('night_at = "0 2', "nightkey.toml: it is not TOML: Unterminated string"),
    ("x = " + "[" * 5000, "nightkey.toml: it holds a number that is too long, or is nested too deeply"),
    ("x = " + "1" * 5000, "nightkey.toml: it holds a number that is too long, or is nested too deeply"),
    (
        "attempts = 1\nattempts = 2",
        "nightkey.toml: it is not TOML: Cannot overwrite a value",
    ),
]


@pytest.mark.parametrize(("text", "says"), WRONG, ids=[text[:40] for text, _ in WRONG])
def test_what_is_wrong_in_the_file_is_said_on_one_line_with_the_file(write, text, says):
    home = write(text)

    with pytest.raises(ConfigurationError) as caught:
        load_settings(home)

    message = str(caught.value)
    assert says in message
    assert "Input should" not in message
    assert str(home / SETTINGS_FILE) in message
    assert message.startswith("the settings ") or message.endswith(f"(from line 1 of {home / SETTINGS_FILE})")
    assert "\n" not in message
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("variable", "given", "says"),
    [
        ("NIGHTKEY_RING_SECONDS", "soon", "setting ring_seconds: write a number"),
        ("nightkey_ring_seconds", "soon", "setting ring_seconds: write a number"),
        ("NIGHTKEY_FREEZES", "christmas", "setting freezes: window 'christmas': it is not a cron expression"),
        ("NIGHTKEY_FREEZES", '["christmas"', "setting freezes: this list does not end well"),
        ("NIGHTKEY_FREEZES", "[7]", "setting freezes: write a list of texts"),
        ("NIGHTKEY_OUTBOUND_PRIVATE", "a b", "setting outbound_private: 'a b' is no host and no network"),
        ("NIGHTKEY_PAGE_SIZE", "9" * 5000, "setting page_size: write a smaller number"),
        ("NIGHTKEY_LEASE_SECONDS", "nan", "setting lease_seconds: write a number that is finite"),
    ],
)
def test_what_is_wrong_in_the_environment_is_blamed_on_its_variable(write, monkeypatch, variable, given, says):
    home = write("ring_seconds = 5\n")
    monkeypatch.setenv(variable, given)

    with pytest.raises(ConfigurationError) as caught:
        load_settings(home)

    message = str(caught.value)
    assert message.startswith(says)
    assert message.endswith(f"(from the variable {variable})")
    assert "\n" not in message


def test_the_line_that_is_wrong_is_named(write):
    home = write("# settings\n\nattempts = 2\n  page_size = 0\n")

    with pytest.raises(ConfigurationError, match=rf"from line 4 of {home / SETTINGS_FILE}\)"):
        load_settings(home)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("127.0.0.1", ("127.0.0.1",)),
        ('["127.0.0.1", "10.0.0.0/8"]', ("127.0.0.1", "10.0.0.0/8")),
        (" ", ()),
        ("[]", ()),
    ],
)
def test_one_text_is_a_list_of_one(write, monkeypatch, given, read):
    monkeypatch.setenv("NIGHTKEY_OUTBOUND_PRIVATE", given)
    assert load_settings(write("")).outbound_private == read

    monkeypatch.delenv("NIGHTKEY_OUTBOUND_PRIVATE")
    assert load_settings(write(f"outbound_private = {given!r}")).outbound_private == read


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("NIGHTKEY_FOO", "variable NIGHTKEY_FOO is not a setting, and has no effect"),
        ("NIGHTKEY_OPERATOR", "variable NIGHTKEY_OPERATOR is not a setting: did you mean NIGHTKEY_OPERATORS?"),
        ("NIGHTKEY_HOEM", "variable NIGHTKEY_HOEM is not a setting: did you mean NIGHTKEY_HOME?"),
        ("nightkey_foo", "variable nightkey_foo is not a setting, and has no effect"),
    ],
)
def test_a_variable_that_is_no_setting_is_told(monkeypatch, variable, says):
    monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("NIGHTKEY_HOME", "/somewhere")
    monkeypatch.setenv("nightkey_operators", "us")

    assert unknown_variables() == {variable: says}

    monkeypatch.setenv("NIGHTKEY_WARNED", variable)
    assert unknown_variables() == {}, "what a parent has told is not told again"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda file: file.write_bytes(b"\xff\xfe"), "it is not UTF-8 text"),
        (lambda file: file.mkdir(), "it is not a file"),
        (os.mkfifo, "it is not a file"),
        (lambda file: file.write_bytes(b"#" * 2_000_000), "it is larger than 1048576 bytes"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path, make, says):
    make(tmp_path / SETTINGS_FILE)

    with pytest.raises(ConfigurationError, match=rf"nightkey\.toml: {says}"):
        load_settings(tmp_path)


def test_a_home_that_nobody_has_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(ConfigurationError, match="name the data folder by --home or NIGHTKEY_HOME"):
        load_settings(Path("~nobody-of-that-name/x"))
    with pytest.raises(ConfigurationError, match="not UTF-8 text"):
        load_settings(tmp_path / "\udcff")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_refused(write):
    home = write("attempts = 2")
    (home / SETTINGS_FILE).chmod(0)

    with pytest.raises(ConfigurationError, match="cannot be read: Permission denied"):
        load_settings(home)


@pytest.mark.parametrize(
    "text",
    [
        'database_url = ["postgresql://nightkey:hunter2@db/x"]',
        'broker_url = {url = "amqp://nightkey:hunter2@mq"}',
        'unknown = "hunter2"',
        'concurrency = "hunter2"',
        'log_level = "hunter2"',
        'database_url = "postgresql://nightkey:hunter2@db/x',
    ],
)
def test_an_error_shows_nothing_that_may_be_a_password(write, text):
    with pytest.raises(ConfigurationError) as caught:
        load_settings(write(text))

    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None, "the parser's error would hold the input"


def test_only_the_first_of_many_mistakes_is_said(write):
    with pytest.raises(ConfigurationError) as caught:
        load_settings(write("concurrency = 0\nattempts = 0\nring_seconds = 0\n"))

    assert str(caught.value).count("setting ") == 1


# An identity provider


def test_an_identity_provider_is_set_whole(tmp_path):
    given = {
        "console_url": "https://nightkey.example.org",
        "oidc_issuer": "https://id.example.org/realms/ops",
        "oidc_client_id": "nightkey",
        "oidc_client_secret": "unsaid",
        "oidc_roles": ("ops=operator", "pay=owner:billing"),
    }
    settings = load_settings(tmp_path, **given)
    assert [rule.group for rule in settings.role_rules] == ["ops", "pay"]
    assert "unsaid" not in repr(settings)
    for missing in ("console_url", "oidc_issuer"):
        with pytest.raises(ConfigurationError, match="oidc_client_id: it takes oidc_issuer, and console_url"):
            load_settings(tmp_path, **{name: value for name, value in given.items() if name != missing})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"oidc_issuer": "http://id.example.org"}, "https://host"),
        ({"oidc_issuer": "https://user@id.example.org"}, "https://host"),
        ({"oidc_issuer": "https://id.example.org/?a=b"}, "https://host"),
        ({"oidc_issuer": "https://" + "a" * 200}, "more than 200"),
        ({"oidc_roles": ("ops=king",)}, "GROUP=ROLE"),
        ({"jwt_audience": "api"}, "it takes oidc_issuer"),
        ({"jwt_algorithms": ("RS256", "none")}, "must not be able to make one"),
        ({"jwt_algorithms": ("HS256",)}, "must not be able to make one"),
        ({"jwt_algorithms": ()}, "must not be able to make one"),
    ],
    ids=str,
)
def test_what_is_no_identity_provider_is_said_with_what_is_one(tmp_path, given, said):
    with pytest.raises(ConfigurationError, match=said):
        load_settings(tmp_path, **given)
