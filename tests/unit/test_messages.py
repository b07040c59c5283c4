"""What is taken for a message: what this vault has sealed for that, within a day, and nothing else."""

import json
import tracemalloc
from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.forged import (
    ANOTHER,
    OURS,
    ROTATION,
    SENT,
    SENT_AT,
    Sealer,
    contents,
    genuine,
    make_keyring,
    parcel,
    unsealed,
)
from vaultcore.crypto.keyring import Keyring
from vaultcore.errors import InvalidInputError, NoKeyError
from worker.broker.sealing import Seals
from worker.domain.messages import (
    AGE_MAX,
    ARGUMENTS,
    MessageFault,
    Ring,
    beginning_of_ids,
    describe_fault,
    fits,
    read_call,
)
from worker.domain.parcels import BYTES_MAX, Parcel, read_parcel, write_envelope, write_parcel

FORGED = contents()
NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
GOOD = {
    "nightkey.night": (),
    "nightkey.resume": (),
    "nightkey.schedule": (),
    "nightkey.deliver": (),
    "nightkey.rotate": (ROTATION,),
    "nightkey.check": ("vlt_01kb0000000000000000000000",),
    "nightkey.run": ("fl_run_01kb0000000000000000000000",),
    "nightkey.beat": ("2026-03-01T02:00:00.123456+00:00 success",),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
PLACES = [
    *((name,) for name in genuine()),
    *(("headers", name) for name in (*unsealed()["headers"], "compression", "chord", "redelivered")),
    *(("properties", name) for name in unsealed()["properties"]),
]


def take(content: bytes, seals: Seals | None = None) -> Ring | MessageFault:
    """As a channel does."""
    read = read_parcel(content)
    return read if isinstance(read, MessageFault) else (seals or OURS.seals()).open(read.sealed)


def test_each_task_has_an_example_here():
    assert GOOD.keys() == ARGUMENTS.keys()


@pytest.mark.parametrize(("task", "ids"), GOOD.items())
def test_a_message_of_ours_rings_its_task_with_its_id(task, ids):
    ring = take(json.dumps(genuine(task, *ids)).encode())
    assert isinstance(ring, Ring)
    assert (ring.task, ring.ids) == (task, ids)


def test_whatever_it_rings_it_is_as_long_and_shows_neither_task_nor_id():
    sent = {task: OURS.seals().seal(task, ids) for task, ids in GOOD.items()}
    assert len({len(message) for message in sent.values()}) == 1
    for task, message in sent.items():
        lying = json.dumps(write_parcel(message, queue="nightkey", tag="1")).encode() + message
        for shown in (task, *GOOD[task], "rotate", ROTATION[4:]):
            assert shown.encode() not in lying


@pytest.mark.parametrize(("task", "ids"), [("nightkey.resume", ()), ("nightkey.rotate", (ROTATION,))])
def test_a_message_that_was_sealed_once_opens_for_later_releases(task, ids):
    ring = OURS.seals(lambda: SENT_AT).open(b64decode(SENT[task]))
    assert isinstance(ring, Ring)
    assert (ring.task, ring.ids) == (task, ids)
    assert ring.id.startswith(beginning_of_ids(SENT_AT))


def test_two_of_the_same_have_nothing_in_common_but_their_key():
    first, second = (OURS.seals().seal("nightkey.night", ()) for _ in range(2))
    assert first[:20] == second[:20]
    assert [place for place in range(20, len(first), 8) if first[place:][:8] == second[place:][:8]] == []


@pytest.mark.parametrize(("fault", "content"), FORGED.values(), ids=FORGED)
def test_what_is_none_is_told_by_what_is_wrong_with_it(fault, content):
    assert take(content) is fault


@given(bit=st.integers(0, 8 * len(OURS.seals().seal("nightkey.night", ())) - 1))
def test_a_message_of_which_one_bit_was_changed_does_not_open(bit):
    message = bytearray(OURS.seals().seal("nightkey.rotate", (ROTATION,)))
    message[bit // 8] ^= 1 << bit % 8
    assert OURS.seals().open(bytes(message)) in {MessageFault.FORGED, MessageFault.FOREIGN}


@given(cut=st.integers(0, 200), more=st.binary(max_size=40))
def test_a_part_of_a_message_does_not_open(cut, more):
    message = OURS.seals().seal("nightkey.rotate", (ROTATION,))
    changed = message[:cut] + more
    assert changed == message or isinstance(OURS.seals().open(changed), MessageFault)


def test_a_vault_opens_its_own_messages_alone():
    vaults = {
        "ours": OURS,
        "another keyring": ANOTHER,
        "another vault": Sealer(OURS.keyring, "dpl_01kb0000000000000000000001"),
    }
    opened = {
        (sender, taker)
        for sender, made in vaults.items()
        for taker, takes in vaults.items()
        if isinstance(takes.seals().open(made.seals().seal("nightkey.night", ())), Ring)
    }
    assert opened == {(name, name) for name in vaults}


def test_messages_from_before_the_keyring_got_another_key_open_until_the_old_one_is_gone():
    before, after, later = (
        Sealer(make_keyring(1)),
        Sealer(make_keyring(1, 2, active=2)),
        Sealer(make_keyring(2)),
    )
    old = before.seals().seal("nightkey.rotate", (ROTATION,))
    new = after.seals().seal("nightkey.rotate", (ROTATION,))
    assert isinstance(after.seals().open(old), Ring)
    assert isinstance(after.seals().open(new), Ring)
    assert isinstance(later.seals().open(new), Ring), "the active one seals"
    assert later.seals().open(old) is MessageFault.FOREIGN


def test_who_has_a_restricted_keyring_neither_seals_nor_opens():
    restricted = Keyring(active=None, keys={}, roots={})
    with pytest.raises(NoKeyError):
        Seals(restricted, deployment_id=OURS.deployment_id, clock=lambda: NOW)


@pytest.mark.parametrize(
    ("later", "opens"),
    [
        (timedelta(0), True),
        (AGE_MAX, True),
        (-AGE_MAX, True),
        (AGE_MAX + timedelta(milliseconds=1), False),
        (-AGE_MAX - timedelta(milliseconds=1), False),
        (timedelta(days=400_000), False),
        (NOW - datetime(1, 1, 1, tzinfo=UTC), False),
    ],
)
def test_it_opens_for_a_day_by_clocks_that_differ_by_as_much(later, opens):
    message = OURS.seals(lambda: NOW).seal("nightkey.night", ())
    taken = OURS.seals(lambda: NOW + later).open(message)
    assert isinstance(taken, Ring) if opens else taken is MessageFault.STALE


def test_its_id_is_its_own_and_in_the_order_of_when_messages_were_sent():
    def send(at: datetime) -> str:
        ring = OURS.seals(lambda: NOW).open(OURS.seals(lambda: at).seal("nightkey.night", ()))
        assert isinstance(ring, Ring)
        return ring.id

    times = [NOW + timedelta(seconds=second) for second in range(50)]
    ids = [(send(at), send(at)) for at in times]
    assert len({each for both in ids for each in both}) == 100
    for at, both in zip(times, ids, strict=True):
        assert beginning_of_ids(at) <= min(both)
        assert max(both) < beginning_of_ids(at + timedelta(seconds=1))


def test_nothing_is_unpacked():
    (_, bomb) = FORGED["16 MB as bzip2"]
    assert len(bomb) < BYTES_MAX, "it is judged by what it says, and not for its size"
    tracemalloc.start()
    try:
        take(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@given(content=st.binary(max_size=200) | JSON.map(lambda made: json.dumps(made).encode()))
def test_whatever_lies_there_is_no_message(content):
    assert isinstance(take(content), MessageFault)
    assert isinstance(take(json.dumps(parcel(content)).encode()), MessageFault)


@given(place=st.sampled_from(PLACES), value=JSON)
def test_a_message_with_something_else_beside_its_seal_rings_the_same_or_nothing(place, value):
    changed = genuine("nightkey.rotate", ROTATION)
    *outer, name = place
    (changed[outer[0]] if outer else changed)[name] = value
    ring = take(json.dumps(changed).encode())
    assert isinstance(ring, MessageFault) or (ring.task, ring.ids) == ("nightkey.rotate", (ROTATION,))


@pytest.mark.parametrize(
    ("headers", "again"),
    [({}, False), ({"redelivered": True}, True), ({"redelivered": "x"}, False), (17, False)],
)
def test_that_it_comes_again_is_the_brokers_word(headers, again):
    given_again = genuine() | {"headers": headers}
    read = read_parcel(json.dumps(given_again).encode())
    assert isinstance(read, Parcel)
    assert read.again is again


def test_what_lies_in_a_list_is_read_as_it_was_written():
    message = OURS.seals().seal("nightkey.night", ())
    written = write_parcel(message, queue="nightkey", tag="1")
    assert read_parcel(json.dumps(written).encode()) == Parcel(sealed=message)


@given(ids=st.lists(JSON, max_size=2), task=st.sampled_from(sorted(ARGUMENTS)))
def test_arguments_fit_by_their_form_alone(ids, task):
    assert fits(task, ids) is (ARGUMENTS[task] == () and ids == [])


@pytest.mark.parametrize(("task", "ids"), GOOD.items())
def test_arguments_of_ours_fit_their_own_task_alone(task, ids):
    assert [each for each in ARGUMENTS if fits(each, ids)] == [
        each for each, others in GOOD.items() if others == ids or (not others and not ids)
    ]
    assert fits(task, ids)
    assert not fits(task, (*ids, ids))


@pytest.mark.parametrize("fault", MessageFault)
def test_each_fault_has_its_words(fault):
    assert describe_fault(fault.value) != fault.value


def test_a_fault_of_another_release_is_told_by_its_code():
    assert describe_fault("of-a-newer-one") == "of-a-newer-one"


@pytest.mark.parametrize(("task", "ids"), GOOD.items())
def test_what_celery_would_send_is_read_as_it_was_called(task, ids):
    ring = Ring(task=task, id="a", ids=ids)
    assert read_call(ring.headers, ring.body) == (task, ids)
    assert read_call(ring.headers, ring.body.decode()) == (task, ids)


@pytest.mark.parametrize(
    "body",
    [
        [[ROTATION], {"more": 1}, {}],
        [[ROTATION], {}, {"chain": [{"task": "nightkey.night"}]}],
        [[ROTATION, ROTATION], {}, {}],
        [[17], {}, {}],
        [["rot_x"], {}, {}],
        [[], {}, {}],
        {},
        None,
    ],
)
def test_nothing_else_is_ever_sent(body):
    with pytest.raises(InvalidInputError, match="rings one of our tasks"):
        read_call({"task": "nightkey.rotate"}, json.dumps(body))


@pytest.mark.parametrize("task", [None, "os.system", "celery.backend_cleanup", "nightkey.resume "])
def test_no_other_task_is_ever_sent(task):
    with pytest.raises(InvalidInputError, match="rings one of our tasks"):
        read_call({"task": task}, "[[], {}, {}]")


def test_what_celery_is_given_is_made_anew_from_task_and_id():
    ring = Ring(task="nightkey.rotate", id="a", ids=(ROTATION,))
    made = write_envelope(ring, queue="nightkey", tag="4711", again=True)
    assert made["body"] == unsealed("nightkey.rotate", ROTATION)["body"]
    assert made["headers"].keys() <= unsealed()["headers"].keys()
    assert (made["headers"]["task"], made["headers"]["argsrepr"]) == ("nightkey.rotate", "")
    assert made["properties"]["delivery_info"]["redelivered"] is True


def test_a_heartbeat_is_of_a_day_that_there_is():
    assert fits("nightkey.beat", ["2026-03-01T02:00:00+00:00 fail"])
    assert not fits("nightkey.beat", ["9999-99-99T99:99:99+00:00 fail"])
