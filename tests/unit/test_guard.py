"""What may be called: by name and by the address that a name leads to."""

from ipaddress import IPv6Address, ip_address, ip_network

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
    "2002:101:101::1",
    "192.0.0.8",
    "192.0.0.9",
    "192.88.99.1",
    "::127.0.0.1",
    "::10.0.0.1",
    "::93.184.216.34",
    "::ffff:0:127.0.0.1",
    "::ffff:0:93.184.216.34",
    "64:ff9b::c058:6301",
    "64:ff9b:1::7f00:1",
    "64:ff9b:1::5db8:d822",
    "64:ff9b:1:ffff::a00:1",
    "100::1",
    "100:0:0:1::1",
    "2001::5ef5:79fd:0:59d:a0e5:ba1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "3fff::1",
    "3fff:fff::1",
    "4000::1",
    "5f00::1",
    "fe00::1",
    "fec0::1",
    "feff::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_no_public_address_is_refused_by_whatever_name(address):
    guard = build_guard((), ())

    assert "no public address" in guard.refuse("db.example.org", 443, address)
    assert "no public address" in guard.refuse(address, 443, address)


@pytest.mark.parametrize(
    "address",
    [
        PUBLIC,
        "1.1.1.1",
        "2606:2800:220:1:248:1893:25c8:1946",
        "::ffff:1.1.1.1",
        "64:ff9b::101:101",
        "2001:200::1",
        "3fff:1000::1",
    ],
)
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


@pytest.mark.parametrize(
    ("host", "means"),
    [
        ("127.0.0.1.", "127.0.0.1"),
        ("127.0.0.1..", "127.0.0.1"),
        ("169.254.169.254.", "169.254.169.254"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("[::ffff:7f00:1]", "::ffff:127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("LocalHost.", "127.0.0.1"),
        ("db.localhost", "127.0.0.1"),
        ("a.b.localhost.", "127.0.0.1"),
        ("localhost.localdomain", "127.0.0.1"),
        ("ip6-localhost", "127.0.0.1"),
    ],
)
def test_a_name_that_means_an_address_is_judged_by_it(host, means):
    assert "no public address" in build_guard((), ()).refuse_name(host, 443)
    assert "outbound_only" in build_guard(("api.example.org",), (means,)).refuse_name(host, 443)
    assert build_guard((), (means,)).refuse_name(host, 443) is None
    assert build_guard((means,), (means,)).refuse_name(host, 443) is None
    assert build_guard((), (f"[{means}]:1",)).refuse_name(host, 443) is not None


@pytest.mark.parametrize(
    "host",
    ["2130706433", "2130706433.", "127.1", "127.0.1", "0x7f.1", "0X7F.0x0.0.0x1", "0x7f000001", "0177.0.0.1",
     "017700000001", "0", "0x", "010.0.0.1", "10.258", "169.254.43518", "1572395042", "0x5db8d822", "09"],
)  # fmt: skip
@pytest.mark.parametrize("listed", [(), ("0.0.0.0/0",)])
def test_an_address_that_is_written_otherwise_is_no_host_whatever_is_listed_and_wherever_it_leads(host, listed):
    guard = build_guard(listed, listed)
    assert "can be no host" in guard.refuse_name(host, 443)
    for address in ("127.0.0.1", PUBLIC):
        assert "can be no host" in guard.refuse(host, 443, address)


@pytest.mark.parametrize(
    "host",
    [
        "256.1",
        "1.2.3.256",
        "1.2.3.4.5",
        "4294967296",
        "0x100000000",
        "1.256.1.1",
        "1..1",
        "a.1",
        "example.0x1",
        "9" * 5000,
        "0x" + "f" * 200_000,
        "127%2e0.0.1",
        "127.0.0.1%00.example.org",
        "local\u017fost",
        "\uff11\uff12\uff17.0.0.1",
        "127\u30020\u30020\u30021",
        "a b",
        "a..b",
        ".a",
        "",
        ".",
        "user@127.0.0.1",
        "a" * 64,
    ],
)
def test_what_resolvers_may_read_in_different_ways_is_given_to_no_proxy(host):
    assert "can be no host" in build_guard((), ()).refuse_name(host, 443)
    assert build_guard(("*",), ("127.0.0.0/8",)).refuse_name(host, 443) is not None


@pytest.mark.parametrize(
    "host",
    [
        "api.example.org",
        "API.example.org.",
        "localhost.example.org",
        "notlocalhost",
        "1.example.org",
        "0x7f.example.org",
        "a.1b",
        "a.x0",
        "_dmarc.example.org",
        "xn--strae-oqa.example",
        "93.184.216.34.",
    ],
)
def test_a_name_that_stands_for_nothing_else_goes_through_a_proxy(host):
    assert build_guard((), ()).refuse_name(host, 443) is None


@given(st.ip_addresses(v=4), st.integers(1, 65535))
def test_an_address_is_judged_the_same_in_every_spelling_that_is_read(address, port):
    guard, number = build_guard((), ()), int(address)
    a, b, c, d = address.packed
    for same in (f"{address}.", f"[::ffff:{address}]"):
        assert (guard.refuse_name(same, port) is None) is is_public(address)
    octal = ".".join(f"0{part:o}" for part in address.packed)
    for other in (f"{number}", f"{number:#x}", f"{a}.{number & 0xFFFFFF}", f"{a:#x}.{b:#X}.{c}.{d:#x}.", octal):
        assert "can be no host" in guard.refuse_name(other, port)


@given(st.text(max_size=40))
def test_whatever_a_host_is_it_is_judged(host):
    said = build_guard((), ()).refuse_name(host, 443)

    assert said is None or "public" in said or "can be no host" in said


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


@given(st.ip_addresses(v=6))
def test_outside_of_what_is_handed_out_nothing_is_public_but_a_public_ipv4_address_inside(address):
    held = ip_address(int(address) & 0xFFFF_FFFF)
    inside = address in ip_network("::ffff:0:0/96") or address in ip_network("64:ff9b::/96")

    if address not in ip_network("2000::/3"):
        assert is_public(address) == (inside and is_public(held))


@given(st.ip_addresses(v=4))
def test_an_address_that_is_translated_is_judged_as_itself_only_where_everybody_translates_it(address):
    number = int(address)

    assert is_public(IPv6Address((0x64_FF9B << 96) + number)) == is_public(address)
    for prefix in (0, 0xFFFF << 48, 0x64_FF9B_0001 << 80):
        assert not is_public(IPv6Address(prefix + number))


@given(st.ip_addresses(), st.integers(1, 65535))
def test_what_is_not_public_is_refused_whatever_its_form(address, port):
    refused = build_guard((), ()).refuse("x.org", port, str(address)) is not None

    assert refused is not is_public(address)
