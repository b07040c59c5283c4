"""Which workflows name an item in their documents: read once, and again where one has changed."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from tests.counting import Counted, count_on
from tests.services.staging import TOKEN, Staged
from tests.services.test_tampered import behind
from vaultcore.model import Item
from worker.rows.tables import workflows
from worker.services.rotation import document_uses
from worker.services.rotation.document_uses import DocumentUses

A_WHILE = timedelta(hours=1)
OTHER = "prod-other-token"


def name_uses(staged: Staged, kept: DocumentUses, name: str = TOKEN) -> tuple[list[str], Counted]:
    """The names of the workflows, and what they cost."""
    services = staged[0].services
    with services.database.read() as connection:
        item: Item = services.vault.get(connection, name)
        with count_on(services.database.engine) as counted:
            found = kept.find_naming(connection, item)
        query = select(workflows.c.name).where(workflows.c.id.in_(found)).order_by(workflows.c.name)
        return list(connection.execute(query).scalars()), counted


@pytest.fixture
def kept(staged: Staged, clock: Any) -> DocumentUses:
    organisation, _ = staged
    organisation.add_token(TOKEN, "support")
    organisation.add_token(OTHER, "others")
    with organisation.services.database.read() as connection:
        item_id = organisation.services.vault.get(connection, TOKEN).id
    organisation.add_workflow("by-name", TOKEN)
    organisation.add_workflow("by-id", item_id)
    organisation.add_workflow("of-another", OTHER)
    organisation.add_workflow("stands-still", TOKEN, is_active=False)
    organisation.add_workflow("of-both", TOKEN, description=f"{{{{ vault.{OTHER} }}}}")
    return DocumentUses(clock=clock)


def test_active_workflows_that_use_the_item_are_found_by_its_name_and_its_id(
    staged: Staged, kept: DocumentUses
) -> None:
    assert name_uses(staged, kept)[0] == ["by-id", "by-name", "of-both"]
    assert name_uses(staged, kept, OTHER)[0] == ["of-another"]


def test_documents_are_read_again_where_they_have_changed_alone(
    staged: Staged, kept: DocumentUses, clock: Any
) -> None:
    organisation, _ = staged
    assert len(name_uses(staged, kept)[1].statements) == 3  # the digests to their end, and the documents
    assert name_uses(staged, kept)[1].statements == []
    clock.advance(A_WHILE)
    assert len(name_uses(staged, kept)[1].statements) == 2
    organisation.add_workflow("by-name", OTHER)
    organisation.add_workflow("of-another", TOKEN, is_active=False)
    organisation.add_workflow("stands-still", TOKEN)
    organisation.add_workflow("new", TOKEN)
    clock.advance(A_WHILE)
    found, counted = name_uses(staged, kept)
    assert found == ["by-id", "new", "of-both", "stands-still"]
    assert len(counted.statements) == 3
    assert name_uses(staged, kept, OTHER)[0] == ["by-name"]


def test_a_clock_that_was_set_back_keeps_nothing(staged: Staged, kept: DocumentUses, clock: Any) -> None:
    organisation, _ = staged
    name_uses(staged, kept)
    organisation.add_workflow("by-name", OTHER)
    clock.advance(-A_WHILE)
    assert name_uses(staged, kept)[0] == ["by-id", "of-both"]


def test_a_workflow_that_none_of_us_wrote_so_may_use_every_item_until_it_is_put_right(
    staged: Staged, kept: DocumentUses, clock: Any
) -> None:
    organisation, _ = staged
    its, by_name = ({"name": one} for one in ("of-another", "by-name"))
    document = select(workflows.c.document)
    with behind(organisation.services) as connection:
        was, others = (connection.execute(document.filter_by(**one)).scalar_one() for one in (its, by_name))
        connection.execute(update(workflows).filter_by(**its).values(document=others))
    assert name_uses(staged, kept)[0] == ["by-id", "by-name", "of-another", "of-both"]
    with behind(organisation.services) as connection:
        connection.execute(update(workflows).filter_by(**its).values(document=was))
    clock.advance(A_WHILE)
    assert name_uses(staged, kept)[0] == ["by-id", "by-name", "of-both"]


def test_one_that_could_not_be_read_is_read_again_once_it_was_put_right(
    staged: Staged, kept: DocumentUses, clock: Any
) -> None:
    """Its digest is the same all the while: a time that decides nothing was damaged."""
    organisation, _ = staged
    its = workflows.c.name == "by-name"
    with organisation.services.database.read() as connection:
        was = connection.execute(select(workflows.c.created_at).where(its)).scalar_one()
    with behind(organisation.services) as connection:
        connection.execute(text("UPDATE workflows SET created_at = 'infinity' WHERE name = 'by-name'"))
    assert name_uses(staged, kept)[0] == ["by-id", "of-both"]
    with behind(organisation.services) as connection:
        connection.execute(update(workflows).where(its).values(created_at=was))
    clock.advance(A_WHILE)
    assert name_uses(staged, kept)[0] == ["by-id", "by-name", "of-both"]


def test_a_row_whose_id_is_none_keeps_no_other_from_being_found(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    organisation.add_token(TOKEN, "support")
    organisation.add_workflow("by-name", TOKEN)
    with behind(organisation.services) as connection:
        row = dict(connection.execute(select(workflows)).one()._mapping)
        for one in (b"fl_", b"fm_"):
            connection.execute(insert(workflows).values(row | {"id": one, "name": one.decode()}))
    assert name_uses(on_file, DocumentUses(clock=clock))[0] == ["by-name"]


@pytest.mark.parametrize("set_back", [timedelta(), timedelta(minutes=8)])
def test_what_a_look_has_found_holds_for_ten_minutes_at_most_by_either_clock(
    staged: Staged, kept: DocumentUses, clock: Any, monkeypatch: pytest.MonkeyPatch, set_back: timedelta
) -> None:
    """However long it took: it may have waited for a lock."""
    of_first_look, steady = iter([0.0, 300.0]), SimpleNamespace(now=300.0)
    monkeypatch.setattr(
        document_uses, "time", SimpleNamespace(monotonic=lambda: next(of_first_look, steady.now))
    )
    organisation, _ = staged
    name_uses(staged, kept)
    organisation.add_workflow("new", TOKEN)
    for minutes, is_seen in ((2, False), (8, True)):
        clock.advance(timedelta(minutes=minutes) - (set_back if is_seen else timedelta()))
        steady.now += minutes * 60
        assert ("new" in name_uses(staged, kept)[0]) is is_seen
