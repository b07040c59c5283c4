"""The other side of `vaultcore.audit_processes`: checks pages of the audit log, in a process of its own.

It guards its memory first, and says by its way out that it has. Then it is told the key, and pages, and says of
each whether it holds. It knows no database, and ends when nobody asks it any more.
"""

import marshal
import socket
import struct
import sys
from typing import Any, Final

from vaultcore.audit_pages import StoredPage, StoredTexts, page_holds
from vaultcore.crypto.keyed_hash import KeyedHash
from vaultcore.crypto.memory import guard_memory

HELLO: Final = b"nightkey audit checking 1\n"
"""Its number changes with what the two sides say to each other: they may be of two releases."""
ANSWER: Final = struct.Struct("<Q?")
"""The number of a page's first row, and whether it holds."""
_LENGTH: Final = struct.Struct("<Q")


def write_message(message: bytes) -> bytes:
    return _LENGTH.pack(len(message)) + message


def write_page(previous: bytes, page: StoredPage) -> bytes:
    """`ValueError` for one that holds what no database gives."""
    plain: Any = (previous, page.first, page.number, tuple(page.texts), page.hashes)
    return write_message(marshal.dumps(plain))


def main() -> None:
    guard_memory()
    with socket.socket(fileno=sys.stdin.fileno()) as way:
        way.sendall(HELLO)
        keyed = KeyedHash(_read_message(way))
        while message := _read_message(way):
            previous, first, number, texts, hashes = marshal.loads(message)  # noqa: S302  # by who began this process
            page = StoredPage(first, number, StoredTexts(*texts), hashes)
            way.sendall(ANSWER.pack(first, page_holds(keyed, previous, page)))


def _read_message(way: socket.socket) -> bytes:
    """Empty: there is none any more, or it was cut off."""
    length = _read(way, _LENGTH.size)
    return _read(way, _LENGTH.unpack(length)[0]) if length else b""


def _read(way: socket.socket, number: int) -> bytes:
    """So many bytes; none where there are fewer."""
    read, room = 0, memoryview(bytearray(number))
    while read < number:
        got = way.recv_into(room[read:])
        if not got:
            return b""
        read += got
    return bytes(room)


if __name__ == "__main__":
    main()
