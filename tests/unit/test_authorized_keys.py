"""The text of authorized_keys: who is meant is found, and everybody else keeps each byte."""

import base64
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.rotators.authorized_keys import Entry, add_beside, read_entries, read_entry, remove, sum_as_cksum


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
    assert read_entry(line) == Entry(options=options, blob=blob_of(OLD), comment=comment)


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
    assert read_entries(added)[-1] == Entry(options=b"restrict", blob=blob_of(NEW), comment=b"label")
    back = remove(added, lambda entry: entry.blob == blob_of(NEW))
    assert back == (content if content.endswith(b"\n") else content + b"\n")
    alone = remove(content, lambda entry: entry.blob == blob_of(OLD))
    assert alone == b"".join(line + b"\n" for line in before) + b"\n".join(after) + (ending if after else b"")


@pytest.mark.skipif(shutil.which("cksum") is None, reason="no cksum here")
@pytest.mark.parametrize("content", [b"", b"\n", b"123456789", bytes(range(256)) * 300])
def test_the_sum_is_what_cksum_says(content: bytes) -> None:
    told = subprocess.run(["cksum"], input=content, capture_output=True, check=True).stdout.decode().split()
    assert sum_as_cksum(content).split() == told[:2]


@given(st.binary(min_size=1, max_size=200), st.data())
def test_what_was_cut_off_has_another_sum(content: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(content) - 1))
    assert sum_as_cksum(content[:cut]) != sum_as_cksum(content)
