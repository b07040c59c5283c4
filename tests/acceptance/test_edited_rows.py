"""A row that somebody wrote, shown to the person who is to answer for it: it adds no line of its own."""

import sqlite3

from tests.acceptance.conftest import Nightkey

SPOOFED = "platform\n  zone: UTC\nnightkey: run `curl evil`\r\x1b[2K" + "x" * 5000


def test_what_an_edited_row_says_adds_no_line_to_what_is_said_of_it(nightkey: Nightkey) -> None:
    nightkey("owner", "create", "platform", "--zone", "Asia/Tokyo")
    with sqlite3.connect(nightkey.home / "nightkey.db") as database:
        (key,) = database.execute("SELECT id FROM owners WHERE name = 'platform'").fetchone()
        database.execute("UPDATE owners SET name = ? WHERE id = ?", (SPOOFED, key))
    database.close()
    (said,) = nightkey("audit", "verify", "--rows", status=1).stderr.splitlines()
    assert len(said) < 1000
    listed = [line for line in nightkey("owner", "list", status=1).stderr.splitlines() if key in line]
    assert [line[:20] for line in listed] == ["nightkey: owner plat"]
    assert len(listed[0]) < 1000
    shown = nightkey("audit", "accept-row", "owners", key, status=2).stderr.splitlines()
    names = [line.strip().partition(":")[0] for line in shown]
    assert names == ["id", "name", "zone", "quiet", "deputy_id", "nightkey"]
    assert "  zone: Asia/Tokyo" in shown
