"""Settings: where they come from, what they may be, and errors that say it on one line."""

import os
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from vaultcore.errors import ConfigurationError
from worker.config import SETTINGS_FILE, load_settings


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
        settings.attempts = 9


# What they may not be

WRONG = [
    ('night_at = "0 2 * *"', "setting night_at: '0 2 * *' is no cron expression"),
    ('night_at = ""', "setting night_at: '' is no cron expression"),
    ('night_at = "0 0 30 2 *"', "setting night_at: '0 0 30 2 *' is no cron expression"),
    ('night_at = "0\\n2"', r"setting night_at: '0\n2' is no cron expression"),
    ('time_zone = "Mars/Olympus"', "setting time_zone: 'Mars/Olympus' is no time zone: write one like Europe"),
    ('time_zone = ""', "setting time_zone: '' is no time zone"),
    ('time_zone = "Europe"', "setting time_zone: 'Europe' is no time zone"),
    ('time_zone = "../etc/passwd"', "setting time_zone: '../etc/passwd' is no time zone"),
    ('log_level = "loud"', "setting log_level: use DEBUG, INFO, WARNING or ERROR"),
    ("ring_seconds = 0", "setting ring_seconds: Input should be greater than 0"),
    ("ring_seconds = 3601", "setting ring_seconds: Input should be less than or equal to 3600"),
    ("ring_seconds = nan", "setting ring_seconds: Input should be a finite number"),
    ("retry_seconds = inf", "setting retry_seconds: Input should be a finite number"),
    ("lease_seconds = inf", "setting lease_seconds: Input should be a finite number"),
    ("lease_seconds = 1e15", "setting lease_seconds: Input should be less than or equal to 86400"),
    ("lease_seconds = 1", "setting lease_seconds: Input should be greater than or equal to 2"),
    ("failed_hold_hours = 1e12", "setting failed_hold_hours: Input should be less than or equal to 8760"),
    ("concurrency = 0", "setting concurrency: Input should be greater than or equal to 1"),
    ('concurrency = "many"', "setting concurrency: Input should be a valid integer"),
    ("page_size = 10001", "setting page_size: Input should be less than or equal to 10000"),
    ("attempts = 1.5", "setting attempts: Input should be a valid integer"),
    ("patience_hours = 0", "setting patience_hours: Input should be greater than 0"),
    ("candidates = 0", "setting candidates: Input should be greater than or equal to 1"),
    ("night_cap = 0", "setting night_cap: Input should be greater than or equal to 1"),
    ("counterpart_cap = 0", "setting counterpart_cap: Input should be greater than or equal to 1"),
    ("breaker_share = 1.5", "setting breaker_share: Input should be less than or equal to 1"),
    ('freezes = ["christmas"]', "setting freezes: window 'christmas': it is no cron expression"),
    ('freezes = "2026-12-24/2027-01-02"', "setting freezes: Input should be a valid tuple"),
    ("http_max_bytes = 1", "setting http_max_bytes: Input should be greater than or equal to 1024"),
    ("operaters = 1", "setting operaters: there is no such setting"),
    ("[night_at]\nhour = 2", "setting night_at: Input should be a valid string"),
    ("night_at = ", "nightkey.toml: Invalid value"),
    ('night_at = "0 2', "nightkey.toml: Unterminated string"),
    ("attempts = 1\nattempts = 2", "nightkey.toml: Cannot overwrite a value"),
]


@pytest.mark.parametrize(("text", "says"), WRONG, ids=[text for text, _ in WRONG])
def test_what_is_wrong_in_the_file_is_said_on_one_line_with_the_file(write, text, says):
    home = write(text)

    with pytest.raises(ConfigurationError) as caught:
        load_settings(home)

    message = str(caught.value)
    assert says in message
    assert message.endswith(f"(from NIGHTKEY_… variables or {home / SETTINGS_FILE})")
    assert "\n" not in message
    assert caught.value.exit_status == 2


def test_what_is_wrong_in_the_environment_is_said_alike(tmp_path, monkeypatch):
    monkeypatch.setenv("NIGHTKEY_RING_SECONDS", "soon")

    with pytest.raises(ConfigurationError, match=r"setting ring_seconds: .*valid number") as caught:
        load_settings(tmp_path)

    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / SETTINGS_FILE).write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigurationError, match=r"nightkey\.toml: 'utf-8' codec"):
        load_settings(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_refused(write):
    home = write("attempts = 2")
    (home / SETTINGS_FILE).chmod(0)

    with pytest.raises(ConfigurationError, match="Permission denied"):
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
