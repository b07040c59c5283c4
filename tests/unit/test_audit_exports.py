"""An export of the record: what is checked of it, by its key alone, after whatever may be done to it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vaultcore.audit_exports import (
    FORM,
    CheckedExport,
    check_lines,
    key_id,
    read_public,
    sign_lines,
    write_lines,
    write_public,
)
from vaultcore.errors import InvalidInputError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ROTATIONS = [{"id": f"rot_{number}"} for number in range(3)]


def record(*seqs: int) -> list[dict[str, Any]]:
    return [{"seq": seq, "hash": f"{seq:064x}"} for seq in seqs]


def make(
    *seqs: int, rotations: list[dict[str, Any]] = ROTATIONS, signed_by: Any = KEY, **said: Any
) -> list[bytes]:
    totals = {"rotations": len(rotations), "record": len(seqs), "problems": [], **said}
    lists = (("rotations", rotations), ("record", record(*seqs)))
    lines = write_lines({"form": FORM, "key": key_id(KEY.public_key())}, lists, lambda: totals)
    return [line.encode() for line in sign_lines(lines, signed_by)]


def check(lines: list[bytes]) -> CheckedExport:
    return check_lines(lines, KEY.public_key())


def test_what_was_written_holds_and_is_one_json_document() -> None:
    lines = make(7, 8, 9)
    checked = check(lines)
    assert (checked.holds, checked.rotations, checked.rows) == (True, 3, 3)
    document = json.loads(b"".join(lines))
    assert list(document) == ["export", "rotations", "record", "totals", "signature"]
    assert document["rotations"] == ROTATIONS
    assert document["record"] == record(7, 8, 9)


def test_an_export_of_nothing_holds() -> None:
    checked = check(make(rotations=[]))
    assert (checked.holds, checked.rotations, checked.rows) == (True, 0, 0)


def test_each_row_of_the_log_is_given_in_order() -> None:
    seen: list[int] = []
    check_lines(make(4, 5), KEY.public_key(), lambda row: seen.append(row.seq))
    assert seen == [4, 5]


CHANGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a word": lambda lines: [line.replace(b"rot_1", b"rot_9") for line in lines],
    "a row taken out": lambda lines: [line for line in lines if b"rot_1" not in line],
    "two rows exchanged": lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],
    "a blank": lambda lines: [lines[0], lines[1], b" " + lines[2], *lines[3:]],
    "totals": lambda lines: [line.replace(b'"record": 3', b'"record": 2') for line in lines],
    "the signature": lambda lines: [*lines[:-1], lines[-1].replace(b'"signature": "', b'"signature": "A')],
}


@pytest.mark.parametrize("how", CHANGES)
def test_whatever_is_changed_afterwards_shows(how: str) -> None:
    changed = CHANGES[how](make(7, 8, 9))
    assert changed != make(7, 8, 9)
    (problem,) = check(changed).problems
    assert "signature does not hold" in problem


def test_another_key_is_named() -> None:
    other = Ed25519PrivateKey.generate()
    (problem,) = check(make(1, signed_by=other)).problems
    assert key_id(other.public_key()) in problem
    assert key_id(KEY.public_key()) in problem


def test_what_was_signed_and_is_not_whole_says_so() -> None:
    assert check(make(7, 9)).problems == ("row 8 is missing",)
    assert check(make(7, 8, record=5)).problems == ("it holds 2 lines of record, and says 5",)
    assert check(make(7, problems=["row 7 was edited"])).problems == ("row 7 was edited",)


@pytest.mark.parametrize("kept", range(12))
def test_what_was_cut_off_or_is_none_is_refused(kept: int) -> None:
    lines = make(7, 8, 9)
    assert len(lines) == 13
    with pytest.raises(InvalidInputError):
        check(lines[:kept])


@pytest.mark.parametrize(
    "lines",
    [[b"{}"], [b"[" * 5000], [b"\xff\n", b"x"], [json.dumps({"export": {"form": FORM}}).encode()]],
    ids=["an object", "a depth", "no text", "one line"],
)
def test_other_files_are_refused(lines: list[bytes]) -> None:
    with pytest.raises(InvalidInputError):
        check(lines)


def test_something_behind_its_end_is_no_export() -> None:
    with pytest.raises(InvalidInputError):
        check([*make(1), b"{}\n"])


def test_the_key_is_published_in_pem() -> None:
    assert key_id(read_public(write_public(KEY.public_key()))) == key_id(KEY.public_key())
    with pytest.raises(InvalidInputError, match="no public key"):
        read_public("-----BEGIN PUBLIC KEY-----\nMCowBQ\n-----END PUBLIC KEY-----\n")
