"""The keyring file: made once, whole and private; read only when it is all of that."""

import copy
import hmac
import json
import os
import pickle
import shlex
import stat
import threading
from base64 import b64decode, b64encode
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vaultcore.crypto.envelope import Binding, open_sealed, seal
from vaultcore.crypto.keyring import KeyEncryptionKey, Keyring
from vaultcore.errors import ConfigurationError, SealError
from vaultcore.secret import Secret

ROOTS = ("audit", "derive", "pepper", "signing")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys" / "keyring.json"


@pytest.fixture
def keyring(path):
    return Keyring.create(path)


@pytest.fixture
def document(keyring, path):
    return json.loads(path.read_text())


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder):
    return [entry.name for entry in folder.iterdir()]


def contents_of(keyring):
    """Everything that a keyring gives."""
    return (
        [(key.id, key.material) for key in keyring._keys.values()],
        keyring.active.id,
        keyring.pepper,
        keyring.audit_key,
        keyring.signing_key.private_bytes_raw(),
        keyring.derive("anything"),
    )


def materials_of(document):
    entries = [*document["keys"], *document["roots"].values()]
    return [entry["material"] for entry in entries]


def refusal_of(path):
    """The message of the refusal to load it."""
    with pytest.raises(ConfigurationError) as caught:
        Keyring.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Making one


def test_a_new_keyring_is_what_is_read_again(keyring, path):
    assert contents_of(Keyring.load(path)) == contents_of(keyring)


def test_its_file_and_its_folder_are_the_owner_s_alone_whatever_the_umask(path):
    before = os.umask(0)
    try:
        Keyring.create(path)
    finally:
        os.umask(before)
    assert mode_of(path) == 0o600
    assert mode_of(path.parent) == 0o700


def test_a_umask_that_takes_too_much_is_made_up_for(path):
    path.parent.mkdir(mode=0o700)
    before = os.umask(0o777)
    try:
        Keyring.create(path)
    finally:
        os.umask(before)
    assert mode_of(path) == 0o600


def test_nothing_but_the_file_is_left_in_the_folder(keyring, path):
    assert names_in(path.parent) == [path.name]
    assert path.stat().st_nlink == 1


def test_folders_above_are_made_too(tmp_path):
    path = tmp_path / "a" / "b" / "keyring.json"
    Keyring.create(path)
    assert mode_of(path.parent) == 0o700


def test_all_of_its_material_is_its_own(keyring, tmp_path):
    other = Keyring.create(tmp_path / "other" / "keyring.json")
    parts = [
        part
        for one in (keyring, other)
        for part in (
            one.active.material, one.pepper, one.audit_key, one.derive("a"), one.derive("b"),
            one.signing_key.private_bytes_raw(),
        )
    ]  # fmt: skip
    assert {len(part) for part in parts} == {32}
    assert len(set(parts)) == len(parts)
    assert keyring.active.id != other.active.id


@pytest.mark.parametrize("what", ["keyring", "empty file", "folder", "dangling link"])
def test_what_is_there_is_never_replaced(path, what):
    path.parent.mkdir(mode=0o700)
    if what == "keyring":
        Keyring.create(path)
    elif what == "empty file":
        path.touch()
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to(path.parent / "elsewhere")
    before = path.lstat()
    with pytest.raises(ConfigurationError, match=r"is there already, and is never replaced") as caught:
        Keyring.create(path)
    assert str(path) in str(caught.value)
    assert caught.value.__context__ is None
    assert path.lstat() == before
    assert names_in(path.parent) == [path.name]


def test_of_many_who_make_it_at_once_one_does(path):
    barrier, made, refused = threading.Barrier(8), [], []

    def make():
        barrier.wait()
        try:
            made.append(Keyring.create(path))
        except ConfigurationError:
            refused.append(True)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 7)
    assert contents_of(Keyring.load(path)) == contents_of(made[0])
    assert names_in(path.parent) == [path.name]


def test_a_file_where_the_folder_should_be_is_refused(tmp_path):
    (tmp_path / "keys").touch()
    with pytest.raises(ConfigurationError, match="cannot be written: Not a directory"):
        Keyring.create(tmp_path / "keys" / "keyring.json")


# Using one


def test_the_active_key_is_found_by_its_id(keyring):
    assert keyring.key(keyring.active.id) is keyring.active


@pytest.mark.parametrize("key_id", ["", "00" * 16, "no such key"])
def test_an_unknown_key_is_the_same_error_as_a_record_that_does_not_open(keyring, key_id):
    with pytest.raises(SealError) as caught:
        keyring.key(key_id)
    assert caught.value.args == (SealError.MESSAGE,)
    assert caught.value.__context__ is None


def test_what_it_seals_opens_after_it_is_loaded_again(keyring, path):
    binding = Binding(deployment_id="d", subject_id="s", version=1, purpose="p")
    sealed = seal(Secret("value"), key=keyring.active, binding=binding)
    key = Keyring.load(path).key(sealed.key_id)
    assert open_sealed(sealed, key=key, binding=binding).expose() == "value"


def test_anchors_signed_before_a_restart_verify_after_it(keyring, path):
    signature = keyring.signing_key.sign(b"anchor")
    public = Keyring.load(path).signing_key.public_key()
    public.verify(signature, b"anchor")
    assert isinstance(keyring.signing_key, Ed25519PrivateKey)


def test_labels_separate_derived_keys(keyring, path):
    labels = ["", "a", "b", "ab", "a\0b", "A", "record fingerprint"]
    derived = [keyring.derive(label) for label in labels]
    assert len(set(derived)) == len(labels)
    assert {len(key) for key in derived} == {32}
    assert derived == [Keyring.load(path).derive(label) for label in labels]


def test_a_fingerprint_tells_records_apart_and_needs_the_keyring(keyring, path, tmp_path):
    fingerprint = keyring.fingerprint(b"record")
    assert len(fingerprint) == 64
    assert fingerprint == Keyring.load(path).fingerprint(b"record")
    assert fingerprint != keyring.fingerprint(b"recorc")
    assert fingerprint != Keyring.create(tmp_path / "other" / "k.json").fingerprint(b"record")


def test_no_text_of_it_shows_material(keyring, document):
    shown = f"{keyring!r} {keyring} {keyring.active!r} {keyring.active}"
    assert keyring.active.id in shown
    for material in materials_of(document):
        raw = b64decode(material)
        assert material not in shown
        assert raw.hex() not in shown
        assert repr(raw)[2:-1] not in shown


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_does_not_leave_the_process(keyring, take):
    with pytest.raises(TypeError, match="never leaves its process"):
        take(keyring)


@pytest.mark.parametrize(
    ("key_id", "material"),
    [("", bytes(32)), ("A" * 32, bytes(32)), ("g" * 32, bytes(32)), ("a" * 32, bytes(31))],
)
def test_a_key_of_the_wrong_shape_is_refused(key_id, material):
    with pytest.raises(ConfigurationError, match="this one has not"):
        KeyEncryptionKey(id=key_id, material=material)


# The format, by its description and apart from the module


def hkdf(secret, info, length):
    """HKDF-SHA512 of RFC 5869 without salt, for 64 bytes at most, by its definition."""
    key = hmac.digest(bytes(64), secret, "sha512")
    return hmac.digest(key, info + b"\1", "sha512")[:length]


def with_material(rest, number):
    """The rest of an entry, and material of one repeated byte with its check value."""
    material = bytes([number]) * 32
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()
    check = hkdf(material, b"nightkey check value 1\0" + canonical, 16).hex()
    return {"check": check, "material": b64encode(material).decode()}


def make_key(number, state, key_id=None):
    rest = {
        "id": f"{number:032x}" if key_id is None else key_id,
        "created": "2026-01-02T03:04:05.000006+00:00",
        "state": state,
    }
    return rest | with_material(rest, number)


def make_document(keys, *, active):
    roots = {name: with_material({"root": name}, 10 + place) for place, name in enumerate(ROOTS)}
    return {"version": 1, "active": active, "keys": keys, "roots": roots}


def write(path, document):
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(document))


RETIRED, ACTIVE = make_key(1, "retired"), make_key(2, "active")

# What files hold already must load for ever: the check values as they were first worked out.
KNOWN_CHECKS = [
    "40a4d0d59bd335c5eddc85461db78539",
    "30c0b97f24d173b9d690c5f3aa619958",
    "d280db0bb2c90fae9a4b93a85f5e0a71",
    "c89da6d018d8ab48e419ed0a002ade7e",
    "f016a4067e33c4671be77bb595f3404a",
    "84251dc60db855c0139d84c84d2adec9",
]
KNOWN_DERIVED = "c7e05ce8979b5b3f4c9041edacaab7711e55394f2706d80166521833908b7408"


def test_a_known_keyring_loads_for_ever(path):
    document = make_document([RETIRED, ACTIVE], active=ACTIVE["id"])
    entries = [*document["keys"], *document["roots"].values()]
    assert [entry["check"] for entry in entries] == KNOWN_CHECKS
    write(path, document)
    keyring = Keyring.load(path)
    assert keyring.active == KeyEncryptionKey(id=ACTIVE["id"], material=b"\2" * 32)
    assert keyring.active.material == b"\2" * 32
    assert keyring.key(RETIRED["id"]).material == b"\1" * 32
    assert keyring.audit_key == b"\x0a" * 32
    assert keyring.pepper == b"\x0c" * 32
    assert keyring.signing_key.private_bytes_raw() == b"\x0d" * 32
    root = b"\x0b" * 32
    assert keyring.derive("use") == hkdf(root, b"nightkey derived key 1\0use", 32)
    assert keyring.derive("use").hex() == KNOWN_DERIVED
    label_key = hkdf(root, b"nightkey derived key 1\0record fingerprint", 32)
    assert keyring.fingerprint(b"record") == hmac.digest(label_key, b"record", "sha256").hex()


@pytest.mark.parametrize(
    ("keys", "active", "problem"),
    [
        ([RETIRED, ACTIVE], RETIRED["id"], "active does not name the key whose state is active"),
        ([RETIRED], RETIRED["id"], "keys has 0 active keys"),
        ([ACTIVE, make_key(3, "active")], ACTIVE["id"], "keys has 2 active keys"),
        ([ACTIVE, make_key(3, "asleep")], ACTIVE["id"], "keys[1] has a state that is neither"),
        ([ACTIVE, make_key(3, "retired", ACTIVE["id"])], ACTIVE["id"], "keys[1] has no id of its"),
        ([make_key(3, "active", "F" * 32)], "F" * 32, "keys[0] has no id of its own"),
        ([make_key(3, "active", "")], "", "keys[0] has no id of its own"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(path, keys, active, problem):
    write(path, make_document(keys, active=active))
    assert problem in refusal_of(path)


# Who may read the file


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o620, 0o700, 0o601, 0o4600])
def test_a_file_that_others_may_use_is_refused_with_what_mends_it(keyring, path, mode):
    path.chmod(mode)
    message = refusal_of(path)
    assert f"mode {mode:04o}" in message
    command = message.partition(": ")[2]
    assert shlex.split(command) == ["chmod", "600", str(path)]
    path.chmod(int(shlex.split(command)[1], 8))
    assert contents_of(Keyring.load(path)) == contents_of(keyring)


def test_a_file_that_not_even_its_owner_may_write_is_read(keyring, path):
    path.chmod(0o400)
    assert contents_of(Keyring.load(path)) == contents_of(keyring)


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o740, 0o750, 0o755, 0o777, 0o1777])
def test_a_folder_that_others_may_enter_is_refused_with_what_mends_it(keyring, path, mode):
    path.parent.chmod(mode)
    message = refusal_of(path)
    assert f"mode {mode:04o}" in message
    assert shlex.split(message.partition(": ")[2]) == ["chmod", "700", str(path.parent)]
    path.parent.chmod(0o700)
    assert contents_of(Keyring.load(path)) == contents_of(keyring)


def test_no_keyring_is_made_in_a_folder_that_others_may_enter(path):
    path.parent.mkdir()
    path.parent.chmod(0o750)
    with pytest.raises(ConfigurationError, match="mode 0750, and must be its owner's alone: chmod 700"):
        Keyring.create(path)
    assert names_in(path.parent) == []


def test_the_command_that_mends_it_survives_a_path_with_spaces(tmp_path):
    path = tmp_path / "my keys; rm" / "key ring.json"
    Keyring.create(path)
    path.chmod(0o644)
    assert shlex.split(refusal_of(path).rpartition(": ")[2]) == ["chmod", "600", str(path)]


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@as_root
@pytest.mark.parametrize("given_away", ["file", "folder"])
def test_a_file_or_a_folder_of_somebody_else_is_refused(keyring, path, given_away):
    place = path if given_away == "file" else path.parent
    os.chown(place, 65534, -1)
    message = refusal_of(path)
    assert "belongs to user 65534, and this process runs as 0" in message
    assert message.endswith(f"chown 0 {place}")


def test_a_symbolic_link_to_a_good_keyring_is_refused(keyring, path):
    link = path.parent / "link.json"
    link.symlink_to(path)
    assert "is a symbolic link: name the file itself" in refusal_of(link)


def test_a_folder_that_is_a_link_leads_to_one_that_is_checked(keyring, path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path.parent)
    assert contents_of(Keyring.load(link / path.name)) == contents_of(keyring)
    path.parent.chmod(0o755)
    assert "mode 0755" in refusal_of(link / path.name)


@as_root
def test_a_folder_that_is_a_link_of_somebody_else_is_refused(keyring, path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path.parent)
    os.lchown(link, 65534, 65534)
    message = refusal_of(link / path.name)
    assert "is a link of user 65534, who may lead it anywhere: rm " in message
    with pytest.raises(ConfigurationError, match="is a link of user 65534"):
        Keyring.create(link / "another.json")
    assert not (path.parent / "another.json").exists()


def test_what_is_no_ordinary_file_is_refused_at_once(path):
    path.parent.mkdir(mode=0o700)
    os.mkfifo(path, 0o600)
    assert "is no ordinary file" in refusal_of(path)
    path.unlink()
    path.mkdir(mode=0o700)
    assert "is no ordinary file" in refusal_of(path)


def test_a_file_of_absurd_size_is_refused_unread(keyring, path):
    os.truncate(path, 2**40)
    assert "1,048,576 bytes at most" in refusal_of(path)


@pytest.mark.parametrize("missing", ["file", "folder"])
def test_a_keyring_that_is_not_there_is_not_made_by_reading(path, missing):
    if missing == "file":
        path.parent.mkdir(mode=0o700)
    assert "does not exist: restore it from its backup" in refusal_of(path)
    assert not path.exists()


# A damaged file


def other_text(text):
    """Another text of the same length and letters."""
    return ("1" if text[0] != "1" else "2") + text[1:]


GONE = object()
DAMAGE = [
    (("version",), 2, "version is not 1"),
    (("version",), 0, "version is not 1"),
    (("version",), "1", "version is not 1"),
    (("version",), True, "version is not 1"),
    (("version",), 1.0, "version is not 1"),
    (("version",), None, "version is not 1"),
    (("version",), GONE, "version is not 1"),
    (("active",), other_text, "active does not name"),
    (("active",), 5, "active does not name"),
    (("active",), GONE, "the file is no object of"),
    (("more",), 1, "the file is no object of"),
    (("keys",), GONE, "the file is no object of"),
    (("keys",), {}, "keys is no list"),
    (("keys",), [], "keys has 0 active keys"),
    (("keys", 0), None, "keys[0] is no object of"),
    (("keys", 0, "id"), other_text, "keys[0] does not agree with its check value"),
    (("keys", 0, "created"), "2001-01-01T00:00:00+00:00", "keys[0] does not agree"),
    (("keys", 0, "state"), "retired", "keys[0] does not agree"),
    (("keys", 0, "check"), other_text, "keys[0] does not agree"),
    (("keys", 0, "check"), "\ud800", "is not JSON"),
    (("keys", 0, "material"), other_text, "keys[0] does not agree"),
    (("keys", 0, "material"), "", "keys[0].material is not 32 bytes"),
    (("keys", 0, "material"), "AAAA", "keys[0].material is not 32 bytes"),
    (("keys", 0, "material"), "é" * 44, "keys[0].material is not 32 bytes"),
    (("keys", 0, "material"), b64encode(bytes(33)).decode(), "keys[0].material is not 32 bytes"),
    (("keys", 0, "more"), "x", "keys[0] is no object of"),
    *[
        (("keys", 0, name), change, problem)
        for name in ("id", "created", "state", "check", "material")
        for change, problem in (
            (GONE, "keys[0] is no object of"),
            (5, f"keys[0].{name} is no text"),
        )
    ],
    (("roots",), GONE, "the file is no object of"),
    (("roots",), [], "roots is no object of"),
    (("roots", "more"), {}, "roots is no object of"),
    *[
        (("roots", root, *rest), change, problem.format(root=f"roots.{root}"))
        for root in ROOTS
        for rest, change, problem in (
            ((), GONE, "roots is no object of"),
            ((), "text", "{root} is no object of"),
            (("check",), GONE, "{root} is no object of"),
            (("check",), 5, "{root}.check is no text"),
            (("check",), other_text, "{root} does not agree with its check value"),
            (("material",), GONE, "{root} is no object of"),
            (("material",), 5, "{root}.material is no text"),
            (("material",), other_text, "{root} does not agree with its check value"),
            (("material",), "AAAA", "{root}.material is not 32 bytes"),
        )
    ],
]


@pytest.mark.parametrize(("where", "change", "problem"), DAMAGE)
def test_damage_is_told_with_its_entry_and_without_material(path, document, where, change, problem):
    materials = materials_of(document)
    holder = document
    for step in where[:-1]:
        holder = holder[step]
    if change is GONE:
        del holder[where[-1]]
    else:
        holder[where[-1]] = change(holder[where[-1]]) if callable(change) else change
    path.write_text(json.dumps(document))
    message = refusal_of(path)
    assert problem in message
    assert "restore it from its backup" in message
    assert not any(material in message for material in materials)


def test_material_in_another_s_place_is_told(path, document):
    roots = document["roots"]
    roots["pepper"], roots["audit"] = roots["audit"], roots["pepper"]
    path.write_text(json.dumps(document))
    assert "roots.audit does not agree with its check value" in refusal_of(path)


def test_base64_spelt_in_another_way_is_told(path, document):
    material = document["roots"]["pepper"]["material"]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    spare = letters[letters.index(material[42]) ^ 1]
    other = material[:42] + spare + "="
    assert b64decode(other) == b64decode(material)
    document["roots"]["pepper"]["material"] = other
    path.write_text(json.dumps(document))
    assert "roots.pepper.material is not 32 bytes in base64" in refusal_of(path)


def test_a_key_that_is_there_twice_is_told(path, document):
    document["keys"] *= 2
    path.write_text(json.dumps(document))
    assert "keys[1] has no id of its own" in refusal_of(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"null",
        b"[]",
        b"{",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b"1" * 5000,
        b"\0" * 900,
    ],
    ids=["empty", "line", "null", "list", "cut", "text", "not UTF-8", "deep", "number", "zeros"],
)
def test_a_file_that_is_something_else_is_told(keyring, path, content):
    path.write_bytes(content)
    assert refusal_of(path).endswith(": restore it from its backup")


def test_every_cut_is_told(keyring, path):
    whole = path.read_bytes().rstrip()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        refusal_of(path)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    """A keyring that many examples damage in turn: its path, its bytes and what it holds."""
    path = tmp_path_factory.mktemp("lasting") / "keys" / "keyring.json"
    keyring = Keyring.create(path)
    return path, path.read_bytes(), contents_of(keyring)


@settings(deadline=None, max_examples=500)
@given(place=st.integers(0), byte=st.integers(0, 255))
def test_a_changed_byte_is_told_or_changes_nothing(lasting, place, byte):
    path, whole, contents = lasting
    place %= len(whole)
    assume(whole[place] != byte)
    path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
    if not whole[place : place + 1].isspace():
        refusal_of(path)
        return
    with suppress(ConfigurationError):
        assert contents_of(Keyring.load(path)) == contents


@pytest.mark.parametrize("content", [b'{"version": 1, "x": "canary-7a1"', b'"canary-7a1"', b"canary-7a1\xff"])
def test_a_refusal_holds_nothing_of_the_file(keyring, path, content):
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        Keyring.load(path)
    assert_nothing_shows(caught.value, "canary-7a1")


def test_a_refusal_of_a_damaged_entry_holds_no_material(path, document):
    materials = materials_of(document)
    document["roots"]["signing"]["check"] = "0" * 32
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigurationError) as caught:
        Keyring.load(path)
    for material in materials:
        assert_nothing_shows(caught.value, material)
        assert_nothing_shows(caught.value, repr(b64decode(material))[2:-1])


def assert_nothing_shows(error, canary):
    """Neither the message nor the context nor a frame of the keyring's module holds the canary."""
    assert canary not in str(error)
    assert error.__context__ is None
    assert error.__cause__ is None
    step, frames = error.__traceback__, 0
    while step is not None:
        if step.tb_frame.f_globals["__name__"] == "vaultcore.crypto.keyring":
            frames += 1
            assert canary not in repr(step.tb_frame.f_locals)
        step = step.tb_next
    assert frames
