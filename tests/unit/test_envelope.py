"""Sealed values: what was sealed opens, for whom it was sealed, and nothing else ever does."""

import hmac
import traceback
from dataclasses import replace
from itertools import permutations, product

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from vaultcore.crypto.envelope import VALUE_MAX_BYTES, Binding, Sealed, open_sealed, seal
from vaultcore.crypto.keyring import KeyEncryptionKey
from vaultcore.errors import InvalidInputError, SealError
from vaultcore.forms import KEY_MAX
from vaultcore.rules import check_value
from vaultcore.secret import Secret

KEY = KeyEncryptionKey(id="000102030405060708090a0b0c0d0e0f", material=bytes(range(100, 132)))
OTHER_KEY = KeyEncryptionKey(id="f0" * 16, material=bytes(range(200, 232)))
BINDING = Binding(
    deployment_id="dep_01jz0000000000000000000000",
    subject_id="vlt_01jz0000000000000000000001",
    version=7,
    purpose="item-value",
)
CANARY = "canary-4f1d9b"
SEALED = seal(Secret(CANARY), key=KEY, binding=BINDING)

# A record as it stands in databases: it must open for ever. The parts that are random when a value
# is sealed were data key 01…, wrapping salt 02…, wrapping nonce 03…, salt 04… and nonce 05….
KNOWN_VALUE = "correct horse, bâttery 🔑"
KNOWN = Sealed(
    key_id=KEY.id,
    wrapped_key=bytes.fromhex(
        "4e4b5731000102030405060708090a0b0c0d0e0f0202020202020202020202020202020202020202"
        "02020202020202020202020203030303030303030303030344bf0230b556835c2da14e4d7eb6242a"
        "d65be14e590f806a6412f4010364a9d8157d9bc6d6e598a7e58ad556b0dc05b8"
    ),
    record=bytes.fromhex(
        "4e4b5231010404040404040404040404040404040404040404040404040404040404040404c9d074"
        "9609f34b7c3373d322e753ad9b7793d842ec58a7bc4c93a2d33d119ba00505050505050505050505"
        "05acea99d74a9f5241d747663e8a64c72757200d04b5fe18c1ff21aed693a0f06d831b29e0a85a14"
        "619fb5caea5406fd0d57c5ef0b50c4151a0b53f6ea7d512aa72dab55f9f321b7b1954900e17b567a"
        "2a"
    ),
)

quick = settings(deadline=None, max_examples=200)
texts = st.text(max_size=40)
versions = st.integers(0, 2**64 - 1)
bindings = st.builds(Binding, deployment_id=texts, subject_id=texts, version=versions, purpose=texts)
changes = st.tuples(st.integers(0), st.integers(1, 255))


# The format once more, by its description and apart from the module, with a hand on every part.


def hkdf(secret, salt, info, length):
    """HKDF-SHA512 of RFC 5869, by its definition."""
    key, block, output = hmac.digest(salt, secret, "sha512"), b"", b""
    for counter in range(1, -(-length // 64) + 1):
        block = hmac.digest(key, block + info + bytes([counter]), "sha512")
        output += block
    return output[:length]


def ctx_of(binding):
    parts = [
        binding.deployment_id.encode(),
        binding.subject_id.encode(),
        binding.version.to_bytes(8, "big"),
        binding.purpose.encode(),
    ]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def write_wrapped(data_key=b"\1" * 32, *, magic=b"NKW1", nonce=b"\3" * 12, key=KEY, binding=BINDING):
    salt = b"\2" * 32
    header = magic + bytes.fromhex(key.id) + salt + nonce
    wrapping_key = hkdf(key.material, salt, b"nightkey wrapping key 1", 32)
    return header + AESGCM(wrapping_key).encrypt(nonce, data_key, header + ctx_of(binding))


def write_record(plain, *, start=b"NKR1\1", nonce=b"\5" * 12, data_key=b"\1" * 32, commitment=None):
    salt, ctx = b"\4" * 32, ctx_of(BINDING)
    both = hkdf(data_key, salt, ctx, 64)
    header = start + salt + (commitment or both[32:]) + nonce
    return header + AESGCM(both[:32]).encrypt(nonce, plain, header + ctx)


def write_plain(content, *, length=None, padding=None):
    length = len(content) if length is None else length
    padding = bytes(-(4 + len(content)) % 64) if padding is None else padding
    return length.to_bytes(4, "big") + content + padding


def write_sealed(record):
    return Sealed(key_id=KEY.id, wrapped_key=write_wrapped(), record=record)


def read_sealed(sealed, key, binding):
    """The value of a sealed one, each part taken from where the description says that it is."""
    ctx, wrapped, record = ctx_of(binding), sealed.wrapped_key, sealed.record
    assert wrapped[:20] == b"NKW1" + bytes.fromhex(key.id)
    wrapping_key = hkdf(key.material, wrapped[20:52], b"nightkey wrapping key 1", 32)
    data_key = AESGCM(wrapping_key).decrypt(wrapped[52:64], wrapped[64:], wrapped[:64] + ctx)
    both = hkdf(data_key, record[5:37], ctx, 64)
    assert record[:5] == b"NKR1\1"
    assert record[37:69] == both[32:]
    plain = AESGCM(both[:32]).decrypt(record[69:81], record[81:], record[:81] + ctx)
    length = int.from_bytes(plain[:4], "big")
    assert len(plain) % 64 == 0
    assert 0 <= len(plain) - 4 - length < 64
    assert plain[4 + length :] == bytes(len(plain) - 4 - length)
    return plain[4 : 4 + length].decode()


def opens(sealed, key=KEY, binding=BINDING):
    """Whether it opens. Any error but the one that it may give ends the test."""
    try:
        open_sealed(sealed, key=key, binding=binding)
    except SealError:
        return False
    return True


def flip(data, place, change):
    """The data with one byte changed; `change` is 1 to 255."""
    return data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]


# What opens


@quick
@given(value=st.text(max_size=2000), binding=bindings)
@example(value="", binding=BINDING)
@example(value="🔑" * 2000, binding=BINDING)
@example(value="\0" * 60, binding=BINDING)
@example(value="\0" * 61, binding=BINDING)
def test_every_value_comes_back(value, binding):
    sealed = seal(Secret(value), key=KEY, binding=binding)
    assert open_sealed(sealed, key=KEY, binding=binding).expose() == value


@quick
@given(value=st.text(max_size=300), binding=bindings)
def test_what_is_sealed_has_the_format_that_is_described(value, binding):
    sealed = seal(Secret(value), key=KEY, binding=binding)
    assert sealed.key_id == KEY.id
    assert read_sealed(sealed, KEY, binding) == value


def test_a_known_record_opens_for_ever():
    assert open_sealed(KNOWN, key=KEY, binding=BINDING).expose() == KNOWN_VALUE


def test_the_known_record_is_what_the_description_gives():
    assert write_sealed(write_record(write_plain(KNOWN_VALUE.encode()))) == KNOWN


@pytest.mark.parametrize(
    ("length", "record"), [(0, 161), (1, 161), (60, 161), (61, 225), (124, 225), (125, 289)]
)
def test_the_length_of_a_record_shows_the_value_s_in_steps_of_64(length, record):
    sealed = seal(Secret("x" * length), key=KEY, binding=BINDING)
    assert (len(sealed.wrapped_key), len(sealed.record)) == (112, record)


def test_sealing_twice_shares_no_random_part():
    other = seal(Secret(CANARY), key=KEY, binding=BINDING)
    for part in (slice(20, 52), slice(52, 64), slice(64, 112)):
        assert other.wrapped_key[part] != SEALED.wrapped_key[part]
    for part in (slice(5, 37), slice(37, 69), slice(69, 81), slice(81, 161)):
        assert other.record[part] != SEALED.record[part]


def test_neither_a_sealed_value_nor_its_repr_shows_anything():
    shown = repr(SEALED)
    assert SEALED.key_id in shown
    assert "record" not in shown
    assert "wrapped" not in shown
    assert CANARY.encode() not in SEALED.wrapped_key + SEALED.record


# What may be sealed


def test_the_longest_value_is_sealed():
    value = "é" * (VALUE_MAX_BYTES // 2)
    sealed = seal(Secret(value), key=KEY, binding=BINDING)
    assert open_sealed(sealed, key=KEY, binding=BINDING).expose() == value


def test_the_longest_key_document_of_the_longest_characters_is_sealed():
    value = '{"k": "' + "😀" * (KEY_MAX - len('{"k": ""}')) + '"}'
    assert check_value(value, name="prod-x-key") == value
    sealed = seal(Secret(value), key=KEY, binding=BINDING)
    assert open_sealed(sealed, key=KEY, binding=BINDING).expose() == value


@pytest.mark.parametrize(
    "value",
    [CANARY.ljust(VALUE_MAX_BYTES + 1), CANARY + "é" * (VALUE_MAX_BYTES // 2), CANARY + "\ud800"],
    ids=["too long", "too long in UTF-8", "lone surrogate"],
)
def test_what_cannot_be_sealed_is_refused_without_showing_it(value):
    with pytest.raises(InvalidInputError) as caught:
        seal(Secret(value), key=KEY, binding=BINDING)
    assert BINDING.subject_id in str(caught.value)
    assert_nothing_shows(caught.value)


# What does not open


@pytest.mark.parametrize("part", ["wrapped_key", "record"])
def test_every_change_of_every_byte_is_refused(part):
    data = getattr(SEALED, part)
    opened = [
        (place, change)
        for place, change in product(range(len(data)), range(1, 256))
        if opens(replace(SEALED, **{part: flip(data, place, change)}))
    ]
    assert opened == []


@quick
@given(value=st.text(max_size=2000), change=changes, part=st.sampled_from(["wrapped_key", "record"]))
def test_a_changed_byte_is_refused_in_records_of_every_length(value, change, part):
    sealed = seal(Secret(value), key=KEY, binding=BINDING)
    data = getattr(sealed, part)
    changed = flip(data, change[0] % len(data), change[1])
    assert not opens(replace(sealed, **{part: changed}))


@pytest.mark.parametrize("part", ["wrapped_key", "record"])
def test_every_truncation_is_refused(part):
    data = getattr(SEALED, part)
    for length in range(len(data)):
        assert not opens(replace(SEALED, **{part: data[:length]})), length
        assert not opens(replace(SEALED, **{part: data[len(data) - length :]})), length


@pytest.mark.parametrize("part", ["wrapped_key", "record"])
def test_every_extension_is_refused(part):
    data = getattr(SEALED, part)
    for more in range(1, 200):
        assert not opens(replace(SEALED, **{part: data + bytes(more)})), more
        assert not opens(replace(SEALED, **{part: bytes(more) + data})), more
        assert not opens(replace(SEALED, **{part: data + data[:more]})), more


@quick
@given(st.binary(max_size=400), st.binary(max_size=200))
def test_bytes_that_nobody_sealed_are_refused(record, wrapped):
    assert not opens(Sealed(key_id=KEY.id, wrapped_key=wrapped, record=record))
    assert not opens(replace(SEALED, record=record))
    assert not opens(replace(SEALED, wrapped_key=wrapped))


def test_every_swap_between_deployments_items_versions_and_purposes_is_refused():
    grid = [
        Binding(deployment_id=d, subject_id=s, version=v, purpose=p)
        for d, s, v, p in product(("d1", "d2"), ("i1", "i2"), (1, 2), ("value", "route"))
    ]
    stored = {binding: seal(Secret(CANARY), key=KEY, binding=binding) for binding in grid}
    for binding, sealed in stored.items():
        assert opens(sealed, binding=binding)
    for here, there in permutations(grid, 2):
        mine, theirs = stored[here], stored[there]
        assert not opens(theirs, binding=here)
        assert not opens(replace(mine, record=theirs.record), binding=here)
        assert not opens(replace(mine, wrapped_key=theirs.wrapped_key), binding=here)


@quick
@given(bindings, bindings)
@example(
    Binding(deployment_id="ab", subject_id="c", version=1, purpose=""),
    Binding(deployment_id="a", subject_id="bc", version=1, purpose=""),
)
def test_a_record_opens_for_no_other_binding(one, other):
    assume(one != other)
    assert not opens(seal(Secret(CANARY), key=KEY, binding=one), binding=other)


def test_parts_of_two_seals_of_the_same_version_do_not_mix():
    other = seal(Secret(CANARY), key=KEY, binding=BINDING)
    assert not opens(replace(SEALED, record=other.record))
    assert not opens(replace(SEALED, wrapped_key=other.wrapped_key))


@pytest.mark.parametrize(
    ("sealed", "key"),
    [
        (SEALED, OTHER_KEY),
        (replace(SEALED, key_id=OTHER_KEY.id), OTHER_KEY),
        (replace(SEALED, key_id=OTHER_KEY.id), KEY),
        (replace(SEALED, key_id=KEY.id.upper()), KEY),
        (replace(SEALED, key_id=""), KEY),
        (SEALED, KeyEncryptionKey(id=KEY.id, material=OTHER_KEY.material)),
        (SEALED, KeyEncryptionKey(id=OTHER_KEY.id, material=KEY.material)),
        (
            replace(SEALED, key_id=OTHER_KEY.id),
            KeyEncryptionKey(id=OTHER_KEY.id, material=KEY.material),
        ),
    ],
)
def test_another_key_or_another_key_s_id_is_refused(sealed, key):
    assert not opens(sealed, key=key)


# Well encrypted, and yet not what `seal` writes: only the holder of the keys could make these.
TEXT = CANARY.encode()
STRAY = {
    "another magic": write_record(write_plain(TEXT), start=b"NKR2\1"),
    "another algorithm": write_record(write_plain(TEXT), start=b"NKR1\2"),
    "another commitment": write_record(write_plain(TEXT), commitment=b"\6" * 32),
    "another data key": write_record(write_plain(TEXT), data_key=b"\7" * 32),
    "a nonce of 24 bytes": write_record(write_plain(TEXT), nonce=b"\5" * 24),
    "a nonce of 8 bytes": write_record(write_plain(TEXT), nonce=b"\5" * 8),
    "a nonce longer by a block": write_record(write_plain(TEXT), nonce=b"\5" * 76),
    "no plaintext": write_record(b""),
    "no padding": write_record(write_plain(TEXT, padding=b"")),
    "a block too many": write_record(write_plain(TEXT, padding=bytes(47 + 64))),
    "padding that is not zero": write_record(write_plain(TEXT, padding=bytes(46) + b"\1")),
    "a length too short": write_record(write_plain(TEXT, length=len(TEXT) - 1)),
    "a length past the end": write_record(write_plain(TEXT, length=61)),
    "a length past everything": write_record(write_plain(TEXT, length=2**32 - 1)),
    "no UTF-8": write_record(write_plain(b"\xff" + TEXT)),
    "a surrogate": write_record(write_plain("\ud800".encode(errors="surrogatepass"))),
    "a value too long": write_record(write_plain(bytes(VALUE_MAX_BYTES + 61))),
}


@pytest.mark.parametrize("record", STRAY.values(), ids=STRAY)
def test_a_record_that_seal_would_not_write_is_refused(record):
    assert not opens(write_sealed(record))


@pytest.mark.parametrize(
    "wrapped",
    [
        write_wrapped(magic=b"NKW2"),
        write_wrapped(nonce=b"\3" * 24),
        write_wrapped(data_key=b"\1" * 31),
        write_wrapped(data_key=b"\1" * 33),
        write_wrapped(key=KeyEncryptionKey(id=OTHER_KEY.id, material=KEY.material)),
    ],
)
def test_a_wrapped_key_that_seal_would_not_write_is_refused(wrapped):
    assert not opens(Sealed(key_id=KEY.id, wrapped_key=wrapped, record=KNOWN.record))


# How it does not open


def assert_nothing_shows(error):
    """Neither context nor frames of the error hold a value, a data key or a plaintext."""
    assert error.__context__ is None
    assert error.__cause__ is None
    frames = [
        frame
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_globals["__name__"] == "vaultcore.crypto.envelope"
    ]
    assert len(frames) == 1
    for held in frames[0].f_locals.values():
        assert CANARY not in repr(held)
        assert repr(b"\1" * 32)[2:-1] not in repr(held)
        assert (
            held is None
            or isinstance(held, Secret | Sealed | KeyEncryptionKey | Binding)
            or held in (BINDING.encode(), VALUE_MAX_BYTES)
        )


FAILURES = {
    "short": (replace(SEALED, record=SEALED.record[:-1]), KEY, BINDING),
    "empty": (Sealed(key_id=KEY.id, wrapped_key=b"", record=b""), KEY, BINDING),
    "long": (replace(SEALED, record=SEALED.record + bytes(64)), KEY, BINDING),
    "moved": (SEALED, KEY, replace(BINDING, version=8)),
    "wrong key": (SEALED, OTHER_KEY, BINDING),
    "wrapped key flipped": (
        replace(SEALED, wrapped_key=flip(SEALED.wrapped_key, 111, 1)),
        KEY,
        BINDING,
    ),
    "commitment flipped": (replace(SEALED, record=flip(SEALED.record, 40, 1)), KEY, BINDING),
    "tag flipped": (replace(SEALED, record=flip(SEALED.record, 160, 1)), KEY, BINDING),
    **{name: (write_sealed(record), KEY, BINDING) for name, record in STRAY.items()},
}


@pytest.mark.parametrize(("sealed", "key", "binding"), FAILURES.values(), ids=FAILURES)
def test_every_failure_is_one_error_with_one_message_and_shows_nothing(sealed, key, binding):
    with pytest.raises(SealError) as caught:
        open_sealed(sealed, key=key, binding=binding)
    assert type(caught.value) is SealError
    assert caught.value.args == (SealError.MESSAGE,)
    assert_nothing_shows(caught.value)


# What a record is bound to


@quick
@given(bindings)
def test_a_binding_can_be_read_back_from_its_bytes(binding):
    """So that no two bindings give the same bytes."""
    rest, fields = binding.encode(), []
    while rest:
        length = int.from_bytes(rest[:4], "big")
        fields.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    deployment, subject, version, purpose = fields
    assert binding == Binding(
        deployment_id=deployment.decode(),
        subject_id=subject.decode(),
        version=int.from_bytes(version, "big"),
        purpose=purpose.decode(),
    )


few = st.text("ab\0\1", max_size=3)


@quick
@given(*[st.builds(Binding, deployment_id=few, subject_id=few, version=st.integers(0, 3), purpose=few)] * 2)
def test_two_bindings_give_the_same_bytes_only_if_they_are_the_same(one, other):
    assert (one.encode() == other.encode()) == (one == other)


def test_a_binding_s_bytes_are_pinned():
    binding = Binding(deployment_id="d", subject_id="é", version=258, purpose="")
    assert binding.encode().hex() == "000000016400000002c3a900000008000000000000010200000000"


@pytest.mark.parametrize("version", [-1, 2**64])
def test_a_version_out_of_range_binds_nothing(version):
    with pytest.raises(OverflowError):
        replace(BINDING, version=version).encode()


def test_what_is_no_value_may_be_longer_where_both_sides_say_so():
    most = 2 * VALUE_MAX_BYTES
    longer = Secret("x" * most)
    sealed = seal(longer, key=KEY, binding=BINDING, max_bytes=most)
    assert open_sealed(sealed, key=KEY, binding=BINDING, max_bytes=most) == longer
    with pytest.raises(SealError):
        open_sealed(sealed, key=KEY, binding=BINDING)
