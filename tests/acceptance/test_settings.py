"""`nightkey settings`: what holds and where it comes from, what is wrong, and no password."""

import pytest

from tests.acceptance.conftest import Nightkey

EVERYWHERE = {"outbound_private", "listen"}
"""What these tests give to each command."""


@pytest.fixture
def given(nightkey: Nightkey) -> Nightkey:
    nightkey.settings.clear()
    (nightkey.home / "nightkey.toml").write_text(
        '# a first line\nnight_at = "0 3 * * *"\noutbound_proxy = "http://me:s3cr3t@proxy.example:3128"\n'
    )
    return nightkey


def test_what_was_given_is_listed_with_where_it_comes_from_and_what_it_means(given: Nightkey) -> None:
    given.settings["NIGHTKEY_RING_SECONDS"] = "30"
    given.settings["NIGHTKEY_HEARTBEAT_URL"] = "https://beat.example/s3cr3t-path"

    told = given("settings", "list", "--changed").stdout.splitlines(keepends=True)

    pairs = ["".join(told[at : at + 2]) for at in range(0, len(told), 2)]
    assert "".join(pair for pair in pairs if pair.split()[0] not in EVERYWHERE) == (
        'night_at = "0 3 * * *"  (line 2 of nightkey.toml; default: "0 2 * * *")\n'
        "    When the night begins, by cron, in time_zone.\n"
        "ring_seconds = 30 seconds  (NIGHTKEY_RING_SECONDS; default: 60)\n"
        "    How often beat rings.\n"
        'outbound_proxy = "http://…@proxy.example:3128"  (line 3 of nightkey.toml; default: none)\n'
        "    A proxy that calls go through: deploy/outbound.md.\n"
        "heartbeat_url = set, and not shown  (NIGHTKEY_HEARTBEAT_URL; default: none)\n"
        "    Called when a night begins and ends: deploy/running.md.\n"
    )


def test_the_list_is_whole_and_hides_what_is_secret_in_every_form(given: Nightkey) -> None:
    given.settings["NIGHTKEY_DATABASE_URL"] = f"sqlite:///{given.home}/nightkey.db?timeout=s3cr3t"
    listed = given.json("settings", "list")
    wide = given("settings", "list", "-o", "wide").stdout

    assert {row["name"] for row in listed if row["source"]} - EVERYWHERE == {
        "night_at",
        "outbound_proxy",
        "database_url",
    }
    assert [row["means"] for row in listed if not row["means"].endswith(".")] == []
    assert "s3cr3t" not in wide + str(listed) + given("settings", "list").stdout
    assert len(wide.splitlines()) == len(listed) + 1


def test_a_check_names_everything_that_is_wrong_with_its_line_or_variable(given: Nightkey) -> None:
    assert given("settings", "check").stdout == (
        "the settings are right: 4 settings given, all others have their default\n"
    )
    file = given.home / "nightkey.toml"
    with file.open("a") as stream:
        stream.write('attempts = "x"\nnihgt_at = "0 3 * * *"\n')
    given.settings |= {"NIGHTKEY_RING_SECONDS": "0", "NIGHTKEY_NIGHT_ATT": "0 3 * * *"}

    told = given("settings", "check", status=2).stderr.splitlines()

    assert sorted(line.removeprefix("nightkey: ") for line in told) == [
        f"setting attempts: write a whole number (from line 4 of {file})",
        f"setting nihgt_at: there is no such setting: did you mean night_at? (from line 5 of {file})",
        "setting ring_seconds: write a number that is more than 0 (from the variable NIGHTKEY_RING_SECONDS)",
        "variable NIGHTKEY_NIGHT_ATT is not a setting: did you mean NIGHTKEY_NIGHT_AT?",
    ]
