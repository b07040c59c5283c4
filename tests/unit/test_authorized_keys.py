"""The text of authorized_keys: who is meant is found, and everybody else keeps each byte."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.rotators.authorized_keys import (
    KeyLine,
    add_beside,
    find_end,
    move_end,
    read_entries,
    read_entry,
    remove,
)


def blob_of(name: bytes, kind: bytes = b"ssh-ed25519") -> bytes:
    return len(kind).to_bytes(4, "big") + kind + name


def line_of(name: bytes, kind: bytes = b"ssh-ed25519") -> bytes:
    return kind + b" " + base64.b64encode(blob_of(name, kind))


OLD, NEW, OTHER = b"old-old-old", b"new-new-new", b"other-other"
NEW_LINE = line_of(NEW) + b" label"


@pytest.mark.parametrize(
    ("line", "options", "comment"),
    [
        (line_of(OLD), b"", b""),
        (b" \t" + line_of(OLD) + b"  a comment of \xff words \r\n", b"", b"a comment of \xff words"),
        (b"no-pty " + line_of(OLD) + b" me\n", b"no-pty", b"me"),
        (
            b'from="a b,c",command="echo \\"x y\\" #" ' + line_of(OLD),
            b'from="a b,c",command="echo \\"x y\\" #"',
            b"",
        ),
        (b'command="' + line_of(OTHER) + b'" ' + line_of(OLD), b'command="' + line_of(OTHER) + b'"', b""),
        (b'command="is no cert-authority" ' + line_of(OLD), b'command="is no cert-authority"', b""),
    ],
)
def test_a_line_of_a_key_is_read(line: bytes, options: bytes, comment: bytes) -> None:
    assert read_entry(line) == KeyLine(options=options, blob=blob_of(OLD), comment=comment)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\n", b"# " + line_of(OLD), b"  #" + line_of(OLD), b"ssh-ed25519", b"ssh-ed25519 AAAA me",
        b"ssh-rsa " + base64.b64encode(blob_of(OLD)), b"cert-authority " + line_of(OLD),
        b'no-pty,CERT-AUTHORITY,from="a" ' + line_of(OLD), b'from="a ' + line_of(OLD), b"\xff\xfe\x00",
        b"ssh-ed25519 " + base64.b64encode(blob_of(OLD))[:-1] + b"!",
    ],
)  # fmt: skip
def test_what_is_no_key_of_its_own_is_none(line: bytes) -> None:
    assert read_entry(line) is None


def test_the_new_line_stands_once_for_each_way_the_old_one_is_let_in() -> None:
    before = b'from="a" ' + line_of(OLD) + b"\n" + line_of(OTHER) + b"\nno-pty " + line_of(OLD) + b" x\n"
    before += b'from="a" ' + line_of(OLD) + b" again"
    after = add_beside(before, old=blob_of(OLD), public_line=NEW_LINE, new=blob_of(NEW))
    assert after == before + b'\nfrom="a" ' + NEW_LINE + b"\nno-pty " + NEW_LINE + b"\n"
    assert add_beside(after, old=blob_of(OLD), public_line=NEW_LINE, new=blob_of(NEW)) == after


@pytest.mark.parametrize(
    "content", [b"", line_of(OTHER), b"# " + line_of(OLD), b"cert-authority " + line_of(OLD)]
)
def test_a_key_is_not_added_beside_one_that_is_not_there(content: bytes) -> None:
    with pytest.raises(LookupError):
        add_beside(content, old=blob_of(OLD), public_line=NEW_LINE, new=blob_of(NEW))


LINES = st.lists(
    st.one_of(
        st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")),
        st.sampled_from([line_of(OTHER), b"# " + line_of(OLD), b"no-pty " + line_of(OTHER) + b" label\r", b""]),
    ),
    max_size=8,
)


@given(LINES, LINES, st.sampled_from([b"", b"\n"]))
def test_whatever_stands_there_what_was_added_is_removed_and_nothing_else(
    before: list[bytes], after: list[bytes], ending: bytes
) -> None:
    content = b"\n".join([*before, b"restrict " + line_of(OLD), *after]) + ending
    added = add_beside(content, old=blob_of(OLD), public_line=NEW_LINE, new=blob_of(NEW))
    assert added.startswith(content)
    assert read_entries(added)[-1] == KeyLine(options=b"restrict", blob=blob_of(NEW), comment=b"label")
    back = remove(added, lambda entry: entry.blob == blob_of(NEW))
    assert back == (content if content.endswith(b"\n") else content + b"\n")
    alone = remove(content, lambda entry: entry.blob == blob_of(OLD))
    assert alone == b"".join(line + b"\n" for line in before) + b"\n".join(after) + (ending if after else b"")


# Ends

END = datetime(2027, 2, 23, 23, 7, 24, tzinfo=UTC)
SOON = b'expiry-time="202611260902Z"'


@pytest.mark.parametrize(
    ("options", "end"),
    [
        (b"", None),
        (b'no-pty,from="a"', None),
        (b'command="x expiry-time=\\"20270223Z\\""', None),
        (b'expiry-time="20270223Z"', datetime(2027, 2, 23, tzinfo=UTC)),
        (b'no-pty,Expiry-Time="202702232307Z",from="a"', END - timedelta(seconds=24)),
        (b'expiry-time="20270223230724Z"', END),
        (b'expiry-time="20270223230724"', END - timedelta(hours=14)),
        (b'expiry-time="20270223230724Z",expiry-time="20270222Z"', datetime(2027, 2, 22, tzinfo=UTC)),
    ],
)
def test_the_end_of_a_line_is_read_at_its_earliest(options: bytes, end: datetime | None) -> None:
    assert find_end(options) == end


@pytest.mark.parametrize("option", [b'expiry-time="soon"', b"expiry-time=20270223", b'expiry-time="20271399Z"'])
def test_an_end_that_is_no_time_is_none_that_can_be_read(option: bytes) -> None:
    with pytest.raises(ValueError):
        find_end(option)


@pytest.mark.parametrize(
    ("options", "end", "moved"),
    [
        (b'no-pty,from="a,b"', END, b'no-pty,from="a,b"'),
        (b"no-pty," + SOON + b',from="a,b"', END, b'no-pty,expiry-time="20270223230725Z",from="a,b"'),
        (b'expiry-time="20261126"', END, b'expiry-time="20270224130725"'),
        (b'expiry-time="20280101Z"', END, b'expiry-time="20280101Z"'),
        (b'expiry-time="soon"', END, b'expiry-time="20270224130725"'),
        (b'expiry-time="20261399Z"', END, b'expiry-time="20270223230725Z"'),
        (b"no-pty," + SOON, None, b"no-pty"),
        (SOON, None, b""),
        (
            b'command="x ' + SOON.replace(b'"', b'\\"') + b'"',
            None,
            b'command="x ' + SOON.replace(b'"', b'\\"') + b'"',
        ),
    ],
)
def test_an_end_moves_to_that_of_the_new_key_and_never_back(
    options: bytes, end: datetime | None, moved: bytes
) -> None:
    assert move_end(options, end) == moved


@given(
    st.integers(1_100_000_000, 80_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.sampled_from([b"Z", b""]),
)
def test_what_was_moved_reads_as_no_earlier(end: datetime, utc: bytes) -> None:
    found = find_end(move_end(b'expiry-time="20020101' + utc + b'"', end))
    assert found is not None
    assert timedelta(0) <= found - end <= timedelta(seconds=1)


def test_a_new_line_does_not_carry_the_old_ones_end_along() -> None:
    before = b"no-pty," + SOON + b" " + line_of(OLD) + b"\n"
    after = add_beside(before, old=blob_of(OLD), public_line=NEW_LINE, new=blob_of(NEW), end=END)
    assert after == before + b'no-pty,expiry-time="20270223230725Z" ' + NEW_LINE + b"\n"
    without = add_beside(before, old=blob_of(OLD), public_line=NEW_LINE, new=blob_of(NEW))
    assert without == before + b"no-pty " + NEW_LINE + b"\n"
