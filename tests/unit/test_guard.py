"""What may be called: by name and by the address that a name leads to."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from worker.domain.guard import build_guard, is_public, parse_place

PUBLIC = "93.184.216.34"
NOT_PUBLIC = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::1",
    "2002:a00:1::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_no_public_address_is_refused_by_whatever_name(address):
    guard = build_guard((), ())

    assert "no public address" in guard.refuse("db.example.org", 443, address)
    assert "no public address" in guard.refuse(address, 443, address)


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:1.1.1.1"])
def test_what_is_public_may_be_called(address):
    assert build_guard((), ()).refuse("example.org", 443, address) is None


@pytest.mark.parametrize(
    ("place", "host", "port", "address", "allowed"),
    [
        ("10.1.0.0/16", "db.internal", 5432, "10.1.2.3", True),
        ("10.1.0.0/16", "db.internal", 5432, "10.2.2.3", False),
        ("10.1.2.3", "db.internal", 5432, "10.1.2.3", True),
        ("10.1.0.0/16:5432", "db.internal", 5432, "10.1.2.3", True),
        ("10.1.0.0/16:5432", "db.internal", 22, "10.1.2.3", False),
        ("db.internal", "db.internal", 22, "10.1.2.3", True),
        ("db.internal", "DB.Internal.", 22, "10.1.2.3", True),
        ("db.internal:5432", "db.internal", 22, "10.1.2.3", False),
        ("*.internal", "db.internal", 22, "10.1.2.3", True),
        ("*.internal", "internal", 22, "10.1.2.3", False),
        ("*.internal", "db.internal.evil.org", 22, "10.1.2.3", False),
        ("[fd00::/8]", "db.internal", 22, "fd00::1", True),
        ("fd00::/8", "db.internal", 22, "fd00::1", True),
        ("[::1]:22", "localhost", 22, "::1", True),
        ("[::1]:22", "localhost", 23, "::1", False),
        ("127.0.0.0/8", "localhost", 22, "::1", False),
    ],
)
def test_a_private_address_may_be_called_where_it_is_listed(place, host, port, address, allowed):
    assert (build_guard((), (place,)).refuse(host, port, address) is None) is allowed


@pytest.mark.parametrize(
    ("only", "host", "address", "allowed"),
    [
        (("api.example.org",), "api.example.org", PUBLIC, True),
        (("api.example.org",), "evil.example.org", PUBLIC, False),
        (("*.example.org", "1.1.1.1"), "evil.org", "1.1.1.1", True),
        (("*.example.org",), "a.b.example.org", PUBLIC, True),
        (("*",), "anything.org", PUBLIC, True),
        (("93.184.216.0/24",), "example.org", PUBLIC, True),
        (("api.example.org",), "api.example.org", "10.0.0.1", False),
    ],
)
def test_an_allow_list_leaves_nothing_else_and_makes_nothing_private_public(only, host, address, allowed):
    assert (build_guard(only, ()).refuse(host, 443, address) is None) is allowed


@pytest.mark.parametrize(
    ("only", "host", "refused"),
    [
        ((), "anything.org", False),
        (("api.example.org",), "anything.org", True),
        (("api.example.org",), "api.example.org", False),
        ((), "127.0.0.1", True),
        ((), "[::1]", True),
        ((), PUBLIC, False),
    ],
)
def test_a_name_that_a_proxy_resolves_is_looked_at_as_far_as_it_says(only, host, refused):
    assert (build_guard(only, ()).refuse_name(host, 443) is not None) is refused


def test_a_refusal_says_what_and_which_setting():
    guard = build_guard(("api.example.org",), ())

    assert guard.refuse("db.org", 5432, PUBLIC) == (
        "db.org:5432 is not among the hosts that may be called (setting outbound_only)"
    )
    assert build_guard((), ()).refuse("db.org", 5432, "10.0.0.1") == (
        "db.org resolves to 10.0.0.1, which is no public address: "
        "if it may be called, list it in outbound_private"
    )


@pytest.mark.parametrize(
    "text",
    ["", "  ", "a b", "http://x", "10.0.0.0/33", "10.0.0.1/8", "x:0", "x:65536", "x:y", "*x", "a..", "1.2.3"],
)
def test_what_is_no_place_is_refused_on_one_line(text):
    with pytest.raises(InvalidInputError) as caught:
        parse_place(text)

    assert "\n" not in str(caught.value)


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_form_is_judged_as_itself(address):
    mapped = ip_address(f"::ffff:{address}")

    assert is_public(mapped) == is_public(address)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_what_is_not_public_is_refused_whatever_its_form(address, port):
    refused = build_guard((), ()).refuse("x.org", port, str(address)) is not None

    assert refused is not is_public(address)
