"""The audit log in the two databases: appended and verified as it is stored, and read as it ever was."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from tests.services.conftest import Moves
from vaultcore.audit_verification import Verification
from vaultcore.errors import NightkeyError
from worker.bootstrap import Services

HOUR = timedelta(hours=1)
ODD = ['a "quoted" one', "back\\slash", "{a,b}", "NULL", "", "two\nlines\tand a tab", "\N{KEY} \u2028 ünd"]
EDITED = "row 4 was edited, or put in another's place"

ON_SQLITE = [
    "UPDATE audit SET at = replace(at, '2026', '2027') WHERE seq = 4",
    "UPDATE audit SET at = '2026-03-01' WHERE seq = 4",
    "UPDATE audit SET at = 7 WHERE seq = 4",
    "UPDATE audit SET actor = CAST(actor AS BLOB) WHERE seq = 4",
    "UPDATE audit SET actor = CAST(X'FF41' AS TEXT) WHERE seq = 4",
    "UPDATE audit SET action = action || ' ' WHERE seq = 4",
    "UPDATE audit SET subject = 5 WHERE seq = 4",
    "UPDATE audit SET details = '{}' WHERE seq = 4",
    "UPDATE audit SET details = '{\"n\":' WHERE seq = 4",
    "UPDATE audit SET details = 7 WHERE seq = 4",
    "UPDATE audit SET hash = CAST(hash AS TEXT) WHERE seq = 4",
    "UPDATE audit SET hash = X'00' WHERE seq = 4",
]
ON_POSTGRESQL = [
    "UPDATE audit SET at = at + interval '1 microsecond' WHERE seq = 4",
    "UPDATE audit SET at = CAST(CAST(at AT TIME ZONE 'UTC' AS text) || '+00 BC' AS timestamptz) WHERE seq = 4",
    "UPDATE audit SET at = 'infinity' WHERE seq = 4",
    "UPDATE audit SET at = '-infinity' WHERE seq = 4",
    "UPDATE audit SET at = at + interval '10000 years' WHERE seq = 4",
    "UPDATE audit SET actor = actor || ' ' WHERE seq = 4",
    "UPDATE audit SET action = upper(action) WHERE seq = 4",
    "UPDATE audit SET subject = '' WHERE seq = 4",
    "UPDATE audit SET details = 'null' WHERE seq = 4",
    "UPDATE audit SET details = '[]' WHERE seq = 4",
    "UPDATE audit SET hash = '' WHERE seq = 4",
    "UPDATE audit SET hash = decode(md5('x') || md5('y'), 'hex') WHERE seq = 4",
    "UPDATE audit SET actor = actor || chr(31) || actor WHERE seq = 4",
]


def append(services: Services, subject: str, at: Any, **details: Any) -> None:
    with services.database.write() as connection:
        services.audit.append(connection, at=at, actor=subject, action="test.row", subject=subject, **details)


@pytest.fixture
def log(moves: Moves, clock: Any) -> Moves:
    for number, odd in enumerate(ODD):
        append(moves.services, odd, clock() + number * HOUR, z=odd, a=[odd, "b"], n=number / 3, nothing=None)
    return moves


def test_any_text_comes_back_as_it_was_given(log: Moves, clock: Any) -> None:
    rows = log.log()[-len(ODD) :]
    assert [(row.actor, row.subject) for row in rows] == [(odd, odd) for odd in ODD]
    assert [row.at for row in rows] == [clock() + number * HOUR for number in range(len(ODD))]
    assert [row.details for row in rows] == [
        {"z": odd, "a": [odd, "b"], "n": number / 3, "nothing": None} for number, odd in enumerate(ODD)
    ]
    assert log.verify().whole


def test_rows_of_before_whose_details_are_written_in_another_way_are_whole(log: Moves) -> None:
    """As text that says the same: nothing that was hashed is another."""
    for row in log.log():
        other = json.dumps(dict(reversed(row.details.items())), indent=1, ensure_ascii=False)
        with log.services.database.engine.begin() as connection:
            cast = ":other" if connection.dialect.name == "sqlite" else "CAST(:other AS json)"
            statement = text(f"UPDATE audit SET details = {cast} WHERE seq = :seq")
            connection.execute(statement, {"other": other, "seq": row.seq})
    assert log.verify().whole
    append(log.services, "another", log.services.clock())
    assert log.verify().whole
    log.sql(text("UPDATE audit SET actor = 'somebody' WHERE seq = 4"))
    assert log.verify().problems == (EDITED,)


@pytest.mark.parametrize(
    ("database_url", "edit"),
    [("sqlite", edit) for edit in ON_SQLITE] + [("postgresql", edit) for edit in ON_POSTGRESQL],
    indirect=["database_url"],
)
def test_whatever_a_database_can_hold_in_a_column_is_told_of_that_row(log: Moves, edit: str) -> None:
    log.sql(text(edit))
    first, *others = log.verify().problems
    assert first == EDITED
    assert [one for one in others if one != EDITED.replace("4", "5")] == []  # what stands after another hash
    append(log.services, "another", log.services.clock())
    assert log.verify().problems == (first, *others)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_hashes_of_two_rows_that_say_the_same_together_are_not_theirs(log: Moves) -> None:
    moved = """
        UPDATE audit AS one SET hash = CASE one.seq WHEN 4 THEN substring(one.hash FROM 1 FOR 31)
                                       ELSE substring(before.hash FROM 32) || one.hash END
        FROM audit AS before WHERE one.seq IN (4, 5) AND before.seq = 4
    """
    log.sql(text(moved))
    assert log.verify().problems == tuple(EDITED.replace("4", seq) for seq in "456")


def test_a_log_is_verified_in_a_statement_for_each_page_whoever_wrote_its_rows(log: Moves, clock: Any) -> None:
    services = log.services
    with services.database.write() as connection:
        for number in range(2200):
            services.audit.append(connection, at=clock(), actor="t", action="test.row", subject=f"{number}")
    heard: list[str] = []
    event.listen(services.database.engine, "before_cursor_execute", lambda *given: heard.append(given[2]))
    assert log.verify().rows > 2200
    of_log = [one for one in heard if "audit" in one]
    assert len(of_log) == 4  # three pages, and the head
    log.sql(text("UPDATE audit SET actor = 'somebody' WHERE seq = 4"))
    heard.clear()
    assert log.verify().problems == (EDITED,)
    assert len([one for one in heard if "audit" in one]) == 5  # the page that it is on is read


def test_a_long_log_is_verified_by_several_processes_with_the_same_words(log: Moves, clock: Any) -> None:
    services = log.services
    with services.database.write() as connection:
        for number in range(33_000):
            services.audit.append(connection, at=clock(), actor="t", action="test.row", subject=f"{number}")
    with services.database.read() as connection:
        anchors = (services.audit.make_anchor(connection, clock()),)

    def verify_both_ways() -> Verification:
        with services.database.read() as connection:
            alone = services.audit.verify(connection, anchors)
            assert services.audit.verify(connection, anchors, processes=2) == alone
            return alone

    assert verify_both_ways().whole
    for edit in (
        "UPDATE audit SET actor = 'somebody' WHERE seq IN (5, 30998, 31999, 32000)",
        "DELETE FROM audit WHERE seq IN (30500, 31000, 32500)",
        "UPDATE audit SET hash = (SELECT one.hash FROM audit AS one WHERE one.seq = 9) WHERE seq = 32001",
        "DELETE FROM audit WHERE seq > 33000",
    ):
        log.sql(text(edit))
        assert not verify_both_ways().whole
    assert verify_both_ways().problems == (
        EDITED.replace("4", "5"),
        "row 30500 is missing",
        EDITED.replace("4", "30998"),
        "row 31000 is missing",
        *(EDITED.replace("4", seq) for seq in ("31999", "32000", "32001", "32002")),
        "row 32500 is missing",
        f"rows 33001 to {anchors[0].seq} are missing: the log was cut off",
        f"rows 33001 to {anchors[0].seq} are missing: the anchor knows a longer log",
    )


@pytest.mark.parametrize("odd", ["a\x00b", "x" * 101, "half \ud800"])
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_the_database_does_not_take_is_an_error_of_ours_and_leaves_nothing(
    services: Services, clock: Any, odd: str
) -> None:
    with pytest.raises(NightkeyError):
        append(services, odd, clock())
    append(services, "another", clock())
    with services.database.read() as connection:
        assert services.audit.verify(connection).whole


def test_details_too_long_for_all_to_be_one_text_are_held_against_their_hash_row_by_row(log: Moves) -> None:
    with log.services.database.write() as connection:
        log.services.audit.append(
            connection, at=log.services.clock(), actor="t", action="test.row", subject="long", n="x" * 100_000
        )
    assert log.services.upkeep.anchors.verify().whole
    log.sql(text("UPDATE audit SET actor = 'somebody' WHERE subject = 'long'"))
    (problem,) = log.services.upkeep.anchors.verify().problems
    assert "was edited" in problem
