"""Claims: a generated key is collected once, by who has the token, and then only its digest is left."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.services.conftest import Moves, race
from vaultcore.crypto import apikeys
from vaultcore.crypto.keyring import Keyring
from vaultcore.errors import RefusedError, SealError
from vaultcore.tables import versions
from vaultcore.versions import Purpose
from worker.services.claiming import Collected, claim_token
from worker.tables import claims

KEY = "api-key:partner-portal"
ROTATION = "rot_01jq8zk4m5n6p7q8r9s0t1v2w3"


@dataclass
class Waiting:
    """A key that was made while nobody looked, and the token of its claim."""

    item_id: str
    number: int
    key: str
    claim_id: str
    token: str


@pytest.fixture
def waiting(moves: Moves) -> Waiting:
    item = moves.add(KEY, None).item
    key = apikeys.generate().expose()
    number = moves.stage(item.id, key)
    moves.activate(item.id, new=number, old=1)
    claim_id, token = _open(moves, item.id, number)
    return Waiting(item_id=item.id, number=number, key=key, claim_id=claim_id, token=token)


def test_a_token_gives_its_key_once_and_the_digest_goes_on_working(moves: Moves, waiting: Waiting) -> None:
    collected = moves.services.claiming.collect(f"  {waiting.token}\n", actor="partner")

    assert (collected.item, collected.version, collected.key.expose()) == (KEY, 2, waiting.key)
    (row,) = moves.sql(select(versions).where(versions.c.number == 2))
    assert (row.key_id, row.wrapped_key, row.record) == (None, None, None)
    assert moves.check_key(waiting.key) == (waiting.item_id, 2)
    with pytest.raises(RefusedError, match="digest alone"):
        moves.reveal(waiting.item_id, 2, Purpose.CLAIM)
    for _ in range(2):
        with pytest.raises(RefusedError, match="no key waits for that token"):
            moves.services.claiming.collect(waiting.token, actor="partner")
    revealed = [row for row in moves.log() if row.action == "version.reveal"]
    assert [(row.actor, row.details["purpose"]) for row in revealed] == [("partner", "claim")]
    assert waiting.key not in repr(moves.log())
    assert moves.verify().whole


def test_of_two_who_collect_at_once_one_gets_the_key(moves: Moves, waiting: Waiting) -> None:
    outcomes = race(2, lambda _: moves.services.claiming.collect(waiting.token, actor="partner"))
    (collected,) = [outcome for outcome in outcomes if isinstance(outcome, Collected)]
    (refused,) = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert collected.key.expose() == waiting.key
    assert isinstance(refused, RefusedError)
    assert [row.action for row in moves.log()].count("version.reveal") == 1
    assert moves.verify().whole


def test_a_wrong_token_gives_nothing_and_spends_nothing(moves: Moves, waiting: Waiting, tmp_path: Path) -> None:
    before = len(moves.log())
    proof = waiting.token.rpartition("_")[2]
    stranger = Keyring.create(tmp_path / "other" / "keyring.json")
    for wrong in (
        "",
        "_",
        waiting.claim_id,
        f"{waiting.claim_id}_",
        f"{waiting.claim_id}_{'0' * 32}",
        f"{waiting.claim_id}_{proof[:-1]}",
        f"{waiting.claim_id}_{proof.upper()}",
        f"clm_01jq8zk4m5n6p7q8r9s0t1v2w3_{proof}",
        waiting.token + "0",
        claim_token(stranger, waiting.claim_id),
        f"{waiting.claim_id}_\N{KEY}",
    ):
        assert wrong != waiting.token
        with pytest.raises(RefusedError, match="no key waits for that token"):
            moves.services.claiming.collect(wrong, actor="stranger")
    assert len(moves.log()) == before
    assert moves.services.claiming.collect(waiting.token, actor="partner").key.expose() == waiting.key


def test_the_token_of_a_claim_that_never_was_gives_nothing(moves: Moves, waiting: Waiting) -> None:
    token = claim_token(moves.services.keyring, "clm_01jq8zk4m5n6p7q8r9s0t1v2w3")
    with pytest.raises(RefusedError, match="no key waits"):
        moves.services.claiming.collect(token, actor="partner")


def test_a_claim_that_was_withdrawn_gives_nothing(moves: Moves, waiting: Waiting) -> None:
    with moves.services.database.write() as connection:
        moves.services.claiming.withdraw(connection, ROTATION)
    with pytest.raises(RefusedError, match="no key waits"):
        moves.services.claiming.collect(waiting.token, actor="partner")
    assert moves.reveal(waiting.item_id, 2, Purpose.TEST) == waiting.key


def test_a_claim_that_was_honoured_stays_when_others_are_withdrawn(moves: Moves, waiting: Waiting) -> None:
    moves.services.claiming.collect(waiting.token, actor="partner")
    with moves.services.database.write() as connection:
        moves.services.claiming.withdraw(connection, ROTATION)
    assert [row.id for row in moves.sql(select(claims))] == [waiting.claim_id]


def test_a_claim_whose_key_does_not_open_is_not_spent(moves: Moves, waiting: Waiting) -> None:
    (kept,) = moves.sql(select(versions.c.record).where(versions.c.number == 2))
    moves.sql(update(versions).where(versions.c.number == 2).values(record=kept.record[::-1]))
    with pytest.raises(SealError):
        moves.services.claiming.collect(waiting.token, actor="partner")
    moves.sql(update(versions).where(versions.c.number == 2).values(record=kept.record))
    assert moves.services.claiming.collect(waiting.token, actor="partner").key.expose() == waiting.key


def test_neither_token_nor_proof_is_stored(moves: Moves, waiting: Waiting) -> None:
    stored = repr(moves.sql(select(claims))) + repr(moves.log())
    assert waiting.claim_id in stored
    assert waiting.token.rpartition("_")[2] not in stored


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_collected_key_is_nowhere_in_the_files_of_the_database(
    moves: Moves, waiting: Waiting, tmp_path: Path
) -> None:
    (row,) = moves.sql(select(versions.c.record, versions.c.wrapped_key).where(versions.c.number == 2))
    pieces = (row.record[-32:], row.record[5:37], row.wrapped_key[-32:])
    assert all(piece in _files(tmp_path) for piece in pieces)
    moves.services.claiming.collect(waiting.token, actor="partner")
    assert not [piece for piece in pieces if piece in _files(tmp_path)]


def _open(moves: Moves, item_id: str, number: int) -> tuple[str, str]:
    with moves.services.database.write() as connection:
        claim_id = moves.services.claiming.open(
            connection, item_id=item_id, number=number, rotation_id=ROTATION, expires_at=None
        )
    return claim_id, claim_token(moves.services.keyring, claim_id)


def _files(folder: Path) -> bytes:
    return b"\0".join(file.read_bytes() for file in sorted(folder.glob("test.db*")))
