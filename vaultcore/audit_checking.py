"""The other side of `vaultcore.audit_processes`: checks pages of the audit log, in a process of its own.

It is told the key first and then pages, by its input, and says of each by its output whether it holds. It knows
no database, and ends with its input.
"""

import marshal
import os
import struct
import sys
from typing import IO, Any, Final

from vaultcore.audit_pages import StoredPage, StoredTexts, page_holds
from vaultcore.crypto.keyed_hash import KeyedHash
from vaultcore.crypto.memory import guard_memory

_LENGTH: Final = struct.Struct("<Q")
ANSWER: Final = struct.Struct("<Q?")
"""The number of a page's first row, and whether it holds."""


def write_message(message: bytes) -> bytes:
    return _LENGTH.pack(len(message)) + message


def write_page(previous: bytes, page: StoredPage) -> bytes:
    """`ValueError` for one that holds what no database gives."""
    plain: Any = (previous, page.first, page.number, tuple(page.texts), page.hashes)
    return write_message(marshal.dumps(plain))


def main() -> None:
    guard_memory()
    keyed = KeyedHash(_read_message(sys.stdin.buffer))
    while message := _read_message(sys.stdin.buffer):
        previous, first, number, texts, hashes = marshal.loads(message)  # noqa: S302  # by who began this process
        page = StoredPage(first, number, StoredTexts(*texts), hashes)
        os.write(sys.stdout.fileno(), ANSWER.pack(first, page_holds(keyed, previous, page)))


def _read_message(source: IO[bytes]) -> bytes:
    """Empty: there is none any more, or it was cut off."""
    length = source.read(_LENGTH.size)
    if len(length) < _LENGTH.size:
        return b""
    (wanted,) = _LENGTH.unpack(length)
    message = source.read(wanted)
    return message if len(message) == wanted else b""


if __name__ == "__main__":
    main()
