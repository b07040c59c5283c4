"""Findings that a person knows of: nobody hears of them again before their time, or before they get worse."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.organisation import Organisation
from tests.services.staging import stage, told
from vaultcore.errors import InvalidInputError, NotFoundError
from worker.rows import findings as finding_rows

CRM = "prod-crm-password"
DAY = timedelta(days=1)


@pytest.fixture
def organisation(tmp_path: Path, clock: Any) -> Iterator[Organisation]:
    with stage(tmp_path, "", clock) as (made, _):
        made.add_item(CRM, f"a-value-of-{CRM}", days=20, mode="notify", lifetime="90d")
        made.add_workflow("crm-sync", CRM, is_active=True, schedule_type="interval", schedule_value="1 hours")
        yield made


def find(organisation: Organisation, kind: str) -> Any:
    with organisation.services.database.read() as connection:
        (row,) = [row for row in finding_rows.list_open(connection) if (row.kind, row.item) == (kind, CRM)]
    return row


def nights(organisation: Organisation, clock: Any, days: int) -> list[bool]:
    """For each of the next nights: whether its digest said something of the item."""
    heard = []
    for _ in range(days):
        clock.advance(DAY)
        before = len(told(organisation, "digest"))
        organisation.night()
        digests = told(organisation, "digest")
        heard.append(any(CRM in body for _, body in digests[: len(digests) - before]))
    return heard


def test_what_is_put_off_is_told_when_its_time_is_over(organisation: Organisation, clock: Any) -> None:
    organisation.night()
    quieting = organisation.services.overview.acknowledgements
    put_off = quieting.snooze(
        find(organisation, "expiring").id, clock() + 4 * DAY, why="the vendor is on holiday", actor="user:ann"
    )
    assert (put_off.kind, put_off.subject) == ("expiring", CRM)
    assert nights(organisation, clock, 5) == [False, False, False, True, False]


def test_it_ends_when_it_gets_worse(organisation: Organisation, clock: Any) -> None:
    organisation.night()
    organisation.services.overview.acknowledgements.snooze(
        find(organisation, "expiring").id, clock() + 19 * DAY, why="later", actor="user:ann"
    )
    heard = nights(organisation, clock, 19)
    assert [day for day, said in enumerate(heard, start=1) if said] == [6, 13, 17, 19], (
        "14, 7, 3 and 1 day before"
    )


def test_what_is_acknowledged_is_silent_until_it_gets_worse(organisation: Organisation, clock: Any) -> None:
    organisation.night()
    unused = nights(organisation, clock, 1)
    assert unused == [False]
    organisation.services.overview.acknowledgements.acknowledge(
        find(organisation, "expiring").id, why="known", actor="user:ann"
    )
    assert nights(organisation, clock, 4) == [False] * 4
    assert nights(organisation, clock, 1) == [True], "14 days before"


def test_what_is_known_of_one_expiry_is_news_of_the_next(organisation: Organisation, clock: Any) -> None:
    clock.advance(18 * DAY)
    organisation.night()
    organisation.services.overview.acknowledgements.acknowledge(
        find(organisation, "expiring").id, why="known", actor="user:ann"
    )
    services = organisation.services
    with services.database.write() as connection:
        services.vault.update(connection, CRM, expires_at=clock() + 20 * DAY, actor="test")
    heard = nights(organisation, clock, 20)
    assert [day for day, said in enumerate(heard, start=1) if said] == [1, 6, 13, 17, 19, 20], (
        "at once, since 30 days are crossed, then 14, 7, 3, 1 and 0 days before"
    )


def test_what_has_lapsed_and_is_put_off_is_not_told_daily(organisation: Organisation, clock: Any) -> None:
    clock.advance(20 * DAY)
    organisation.night()
    assert nights(organisation, clock, 2) == [True, True], "daily while lapsed"
    organisation.services.overview.acknowledgements.snooze(
        find(organisation, "lapsed").id, clock() + 3 * DAY, why="being replaced", actor="user:ann"
    )
    assert nights(organisation, clock, 4) == [False, False, True, True]


def test_who_and_why_are_on_the_record(organisation: Organisation, clock: Any) -> None:
    organisation.night()
    finding_id = find(organisation, "expiring").id
    organisation.services.overview.acknowledgements.acknowledge(finding_id, why="known to us", actor="user:ann")
    row = find(organisation, "expiring")
    assert finding_rows.show_quiet(row, clock()) == "user:ann: known to us"
    with organisation.services.database.read() as connection:
        (noted,) = connection.exec_driver_sql(
            "SELECT actor, details FROM audit WHERE action = 'finding.acknowledge'"
        ).all()
    assert noted.actor == "user:ann"
    assert "known to us" in str(noted.details)
    assert organisation.services.upkeep.anchors.verify().whole


@pytest.mark.parametrize("why", ["", "  ", "x" * 501, "a\nb"])
def test_a_reason_is_asked_for(organisation: Organisation, why: str) -> None:
    organisation.night()
    with pytest.raises(InvalidInputError, match="--why is a reason"):
        organisation.services.overview.acknowledgements.acknowledge(
            find(organisation, "expiring").id, why=why, actor="test"
        )


def test_what_is_not_open_cannot_be_put_off(organisation: Organisation, clock: Any) -> None:
    quieting = organisation.services.overview.acknowledgements
    with pytest.raises(NotFoundError, match="no open finding 'fnd_nothing'"):
        quieting.acknowledge("fnd_nothing", why="x", actor="test")
    organisation.night()
    with pytest.raises(InvalidInputError, match="in the future"):
        quieting.snooze(find(organisation, "expiring").id, clock(), why="x", actor="test")
