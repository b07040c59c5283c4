"""Owners and their routes: who is told, and URLs that hold tokens and so are sealed."""

from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.services.conftest import TOKEN, Moves
from vaultcore.errors import InvalidInputError, NotFoundError, RefusedError, SealError
from vaultcore.model import Owner, Route
from vaultcore.secret import Secret
from vaultcore.tables import owners, routes, versions

pytestmark = pytest.mark.rules


URL = "slacks://a-token/another-token/the-third-token/#support"
SHOWN = "slacks://a...n/****/****"


@pytest.mark.both
def test_an_owner_is_made_found_and_listed_by_name(moves: Moves) -> None:
    made = _create(moves, "support")
    _create(moves, "Grand'mère & 友")
    _create(moves, "x" * 100)
    assert made.id.startswith("own_")
    assert (made.name, made.routes) == ("support", ())
    with moves.services.database.read() as connection:
        assert moves.services.owners.get(connection, "support") == made
        listed = [owner.name for owner in moves.services.owners.all(connection)]
    assert sorted(listed) == sorted(["Grand'mère & 友", "operators", "support", "x" * 100])


def test_a_name_that_nobody_can_have_is_refused_and_not_kept(moves: Moves) -> None:
    for wrong in ("", "x" * 101, " support", "support ", "sup\nport", "sup\x00port", "sup\u200bport"):
        with pytest.raises(InvalidInputError, match="owner name") as caught:
            _create(moves, wrong)
        assert len(str(caught.value).splitlines()) == 1
    assert [row.name for row in moves.sql(select(owners))] == ["operators"]


def test_an_owner_is_made_once(moves: Moves) -> None:
    _create(moves, "support")
    with pytest.raises(RefusedError, match="an owner named support exists already"):
        _create(moves, "support")


def test_an_unknown_owner_or_route_is_said_to_be_missing(moves: Moves) -> None:
    with moves.services.database.read() as connection:
        with pytest.raises(NotFoundError, match="`nightkey owner create` makes one"):
            moves.services.owners.get(connection, "nobody")
        with pytest.raises(NotFoundError, match="no route rte_x"):
            moves.services.owners.open_route(connection, "rte_x")


def test_routes_open_and_are_listed_without_their_urls_in_the_order_they_came(moves: Moves) -> None:
    owner = _create(moves, "support")
    added = [_add_route(moves, owner, f"{URL}{number}", f"{SHOWN}{number}") for number in range(5)]
    with moves.services.database.read() as connection:
        found = moves.services.owners.get(connection, "support")
    assert found.routes == tuple(added)
    assert all("token" not in repr(route) for route in found.routes)
    assert [_open(moves, route.id) for route in added] == [f"{URL}{number}" for number in range(5)]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_url_is_nowhere_in_the_files_of_the_database(moves: Moves, tmp_path: Path) -> None:
    _add_route(moves, _create(moves, "support"), URL, SHOWN)
    files = b"".join(file.read_bytes() for file in tmp_path.glob("test.db*"))
    assert SHOWN.encode() in files
    assert b"-token" not in files


def test_sealed_urls_that_change_places_do_not_open(moves: Moves) -> None:
    owner = _create(moves, "support")
    one, other = _add_route(moves, owner, URL, SHOWN), _add_route(moves, owner, URL + "2", SHOWN)
    (theirs,) = moves.sql(select(*_sealed(routes)).where(routes.c.id == other.id))
    moves.sql(update(routes).where(routes.c.id == one.id).values(theirs._asdict()))
    with pytest.raises(SealError):
        _open(moves, one.id)
    assert _open(moves, other.id) == URL + "2"


def test_a_route_and_a_value_never_open_in_each_others_place(moves: Moves) -> None:
    item = moves.add().item
    route = _add_route(moves, _create(moves, "support"), URL, SHOWN)
    (of_route,) = moves.sql(select(*_sealed(routes)))
    (of_value,) = moves.sql(select(*_sealed(versions)))
    moves.sql(update(routes).values(of_value._asdict()))
    moves.sql(update(versions).values(of_route._asdict()))
    with pytest.raises(SealError):
        _open(moves, route.id)
    with pytest.raises(SealError):
        moves.reveal(item.id, 1)
    moves.sql(update(routes).values(of_route._asdict()))
    moves.sql(update(versions).values(of_value._asdict()))
    assert (_open(moves, route.id), moves.reveal(item.id, 1)) == (URL, "the-first-value")


def test_every_change_is_in_the_audit_log_and_no_url_is(moves: Moves) -> None:
    owner = _create(moves, "support")
    route = _add_route(moves, owner, URL, SHOWN)
    rows = [row for row in moves.log() if row.subject == owner.id]
    assert [(row.action, row.actor) for row in rows] == [("owner.create", "test"), ("owner.route", "test")]
    assert rows[1].details == {"route": route.id, "shown": SHOWN}
    assert moves.verify().whole


def test_the_owner_of_an_item_is_shown_with_it(moves: Moves) -> None:
    owner = _create(moves, "support")
    moves.add(owner_ids=(owner.id,))
    assert moves.get(TOKEN).owners == ("support",)


def _create(moves: Moves, name: str) -> Owner:
    with moves.services.database.write() as connection:
        return moves.services.owners.create(connection, name, actor="test")


def _add_route(moves: Moves, owner: Owner, url: str, shown: str) -> Route:
    with moves.services.database.write() as connection:
        return moves.services.owners.add_route(connection, owner, Secret(url), shown=shown, actor="test")


def _open(moves: Moves, route_id: str) -> str:
    with moves.services.database.read() as connection:
        return moves.services.owners.open_route(connection, route_id).expose()


def _sealed(table):
    return (table.c.key_id, table.c.wrapped_key, table.c.record)
