"""Mail addresses as people write them: whole or not at all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.delivery.addresses import read_addresses


def found(text):
    return [(one.name, one.address) for one in read_addresses(text) if one.problem is None]


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("ann@example.org", [("", "ann@example.org")]),
        ("ann+night@example.org", [("", "ann+night@example.org")]),
        ("o'brien@example.org", [("", "o'brien@example.org")]),
        ("a@x.org,b@y.org;c@z.org", [("", "a@x.org"), ("", "b@y.org"), ("", "c@z.org")]),
        ("a@x.org b@y.org", [("", "a@x.org"), ("", "b@y.org")]),
        ("a@x.org, ,b@y.org,", [("", "a@x.org"), ("", "b@y.org")]),
        ("Jane Doe <a@x.org>, b@y.org", [("Jane Doe", "a@x.org"), ("", "b@y.org")]),
        ('"Doe, Jane" <a@x.org>', [("Doe, Jane", "a@x.org")]),
        ("Jane:a@x.org", [("Jane", "a@x.org")]),
        ("root@localhost", [("", "root@localhost")]),
        ("jos@exämple.org", [("", "jos@xn--exmple-cua.org")]),
        ("jos@straße.de", [("", "jos@xn--strae-oqa.de")]),  # not strasse.de, which is somebody else's
        ("jos@例え.jp", [("", "jos@xn--r8jz45g.jp")]),
        ("", []),
    ],
)
def test_addresses_are_read(text, addresses):
    assert found(text) == addresses
    assert len(read_addresses(text)) == len(addresses)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("foo", "'foo' is not a mail address"),
        ("b@r", "'b@r' is not a mail address"),
        ("a@@x.org", "'a@@x.org' is not a mail address"),
        ("a..b@x.org", "is not a mail address"),
        ("a@x.org.", "is not a mail address"),
        ("a@-x.org", "is not a mail address"),
        ("a@ex..org", "is not a mail address"),
        ("a@[192.0.2.1]", "is not a mail address"),
        ("ann@example.org>x", "is not a mail address"),
        ("ann a@x.org", "is not a mail address"),
        ("@example.org", "is not a mail address"),
        (f"{'a' * 65}@example.org", "is not a mail address"),
        ("jös@example.org", "'jös@example.org' has letters outside ASCII before the @"),
        (f"ann@{'ä' * 70}.org", "has a domain that cannot be encoded"),
        ("ann@\u202eexample.org", "has a domain that cannot be encoded"),
    ],
)
def test_what_is_none_says_so(text, says):
    (problem,) = [one.problem for one in read_addresses(text)]
    assert says in problem
    assert problem.isprintable()


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(alphabet="ab@.,;<>\"' :+ä\n", max_size=40))
def test_nothing_is_passed_over(text):
    """Every part of a list is an address or a problem, and no address holds what SMTP cannot say."""
    read = read_addresses(text)
    for one in read:
        assert one.problem or (one.address.isascii() and one.address.count("@") == 1)
    if any(character not in ',; \n"<>' for character in text):
        assert read
