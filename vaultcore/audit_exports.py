"""An export of the record: one JSON document in lines, whose last line signs all the lines before it.

    {"export": {…},          what it is of, and by which key it is signed
    "rotations": [           one a line
    …
    ],
    "record": [              rows of the audit log, one a line, without a gap, with their hashes
    …
    ],
    "totals": {…},           what there is of it, and whether the chain held
    "signature": {…}}        Ed25519 of the text `nightkey-audit-export-1 sha256:HEX`

HEX is the SHA-256 of the file without its last line. So a third person checks it with `sha256sum` and `openssl`
alone, and neither who writes nor who checks holds more of it than a line.
"""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from vaultcore.errors import InvalidInputError

FORM: Final = "nightkey-audit-export-1"
LINE_MAX: Final = 1_000_000
"""Bytes of a line that is read: one row of the log, or one rotation with its steps."""
_ID: Final = 32
_LISTS: Final = ("rotations", "record")


@dataclass(frozen=True, kw_only=True)
class ExportedRow:
    """A row of the log, as an export has it: enough to find it there again."""

    seq: int
    hash: str


@dataclass(frozen=True, kw_only=True)
class CheckedExport:
    """`export` and `totals`: what it says of itself, once the signature holds. `problems`: sentences; none: it
    is as it was signed.
    """

    export: dict[str, Any]
    totals: dict[str, Any]
    rotations: int
    rows: int
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.problems


def write_lines(
    head: dict[str, Any],
    lists: Iterable[tuple[str, Iterable[dict[str, Any]]]],
    totals: Callable[[], dict[str, Any]],
) -> Iterator[str]:
    """All but the last line; `totals` is asked for when the lists were written."""
    yield f'{{"export": {_dump(head)},\n'
    for name, rows in lists:
        yield f'"{name}": [\n'
        held = None
        for row in rows:
            if held is not None:
                yield f"{held},\n"
            held = _dump(row)
        if held is not None:
            yield f"{held}\n"
        yield "],\n"
    yield f'"totals": {_dump(totals())},\n'


def sign_lines(lines: Iterable[str], key: Ed25519PrivateKey) -> Iterator[str]:
    """The same lines, and the one that signs them."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode())
        yield line
    text = _make_text(digest.hexdigest())
    signed = {
        "algorithm": "Ed25519",
        "key": key_id(key.public_key()),
        "text": text,
        "signature": b64encode(key.sign(text.encode())).decode(),
    }
    yield f'"signature": {_dump(signed)}}}\n'


def check_lines(
    lines: Iterable[bytes], key: Ed25519PublicKey, look: Callable[[ExportedRow], None] | None = None
) -> CheckedExport:
    """Reads it once. `look` is given each row of the log, in order, before the signature is known.

    `InvalidInputError` for what is no export at all, or one of another release.
    """
    reader, digest, last = _ExportReader(look), hashlib.sha256(), b""
    for line in lines:
        if last:
            digest.update(last)
            reader.take(last)
        last = line
    if reader.place != "signature" or not last.startswith(b'"signature": '):
        raise InvalidInputError("it ends in the middle: it was cut off, or `audit export` has not written it")
    problem = _check_signature(
        _load(last.removeprefix(b'"signature": ').rstrip()[:-1]), digest.hexdigest(), key
    )
    return CheckedExport(
        export=reader.export,
        totals=reader.totals,
        rotations=reader.counts["rotations"],
        rows=reader.counts["record"],
        problems=tuple([problem] if problem else reader.problems()),
    )


def key_id(key: Ed25519PublicKey) -> str:
    """By which a key is named in exports: the beginning of the SHA-256 of its 32 bytes, in hex."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:_ID]


def write_public(key: Ed25519PublicKey) -> str:
    """In PEM, as `openssl` reads it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_public(pem: str) -> Ed25519PublicKey:
    """`InvalidInputError` for what is no public key of this kind."""
    key = None
    with suppress(ValueError, UnsupportedAlgorithm):
        key = load_pem_public_key(pem.encode())
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInputError("it holds no public key that signs exports: `nightkey audit key` prints it")
    return key


# Inside


class _ExportReader:
    """Knows where in the document it stands, and takes what comes there."""

    def __init__(self, look: Callable[[ExportedRow], None] | None) -> None:
        self.place = "export"
        self.export: dict[str, Any] = {}
        self.totals: dict[str, Any] = {}
        self.counts = dict.fromkeys(_LISTS, 0)
        self._look = look
        self._next: int | None = None
        self._gap = ""

    def take(self, line: bytes) -> None:
        match self.place:
            case "export":
                self.export = _load(_within(line, b'{"export": ', b","))
                if self.export.get("form") != FORM:
                    raise InvalidInputError(f"it is no export of the form {FORM}")
                self.place = "before rotations"
            case "before rotations" | "before record":
                self.place = self.place.removeprefix("before ")
                _within(line, f'"{self.place}": ['.encode(), b"")
            case "rotations" | "record":
                self._take_row(line)
            case "totals":
                self.totals = _load(_within(line, b'"totals": ', b","))
                self.place = "signature"
            case _:
                raise InvalidInputError("something follows its end")

    def problems(self) -> list[str]:
        """What is wrong with what was signed: it says of itself what is not so, or that the log was broken."""
        found = [self._gap] if self._gap else []
        found += [
            f"it holds {number} lines of {name}, and says {self.totals.get(name)!r}"
            for name, number in self.counts.items()
            if self.totals.get(name) != number
        ]
        told = self.totals.get("problems")
        return [*found, *(str(one) for one in (told if isinstance(told, list) else []))]

    def _take_row(self, line: bytes) -> None:
        if line == b"],\n":
            self.place = "before record" if self.place == "rotations" else "totals"
            return
        self.counts[self.place] += 1
        if self.place == "rotations":
            return
        row = _load(line.rstrip().removesuffix(b","))
        seq, chained = row.get("seq"), row.get("hash")
        if not isinstance(seq, int):
            raise InvalidInputError("a row of its record has no number")
        if self._next is not None and seq != self._next and not self._gap:
            self._gap = f"row {self._next} is missing"
        self._next = seq + 1
        if self._look is not None:
            self._look(ExportedRow(seq=seq, hash=str(chained)))


def _check_signature(signed: dict[str, Any], digest: str, key: Ed25519PublicKey) -> str:
    """What is wrong with it; empty: nothing."""
    if signed.get("key") != key_id(key):
        return (
            f"it says that the key {str(signed.get('key'))[:_ID]!r} has signed it, and the one at hand is "
            f"{key_id(key)}"
        )
    try:
        key.verify(b64decode(str(signed.get("signature")), validate=True), _make_text(digest).encode())
    except (ValueError, InvalidSignature):
        return "its signature does not hold: it was changed after it was signed, or another key signed it"
    return ""


def _make_text(digest: str) -> str:
    return f"{FORM} sha256:{digest}"


def _within(line: bytes, begin: bytes, end: bytes) -> bytes:
    text = line.rstrip(b"\n")
    if not text.startswith(begin) or not text.endswith(end):
        raise InvalidInputError("`audit export` has not written it, or another program has written it anew")
    return text[len(begin) : len(text) - len(end)]


def _load(text: bytes) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise InvalidInputError("`audit export` has not written it, or it was damaged on its way")
    return read


def _dump(part: object) -> str:
    return json.dumps(part, ensure_ascii=True, default=str)
