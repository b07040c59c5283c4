"""What is taken for a message: the ring of a task with one id, and nothing else."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.forged import ROTATION, contents, encode, genuine
from worker.domain.messages import (
    ARGUMENTS,
    BYTES_MAX,
    MessageFault,
    Ring,
    describe_fault,
    fits,
    read_envelope,
    read_ring,
    write_envelope,
)

FORGED = contents()
GOOD = {
    "nightkey.night": (),
    "nightkey.resume": (),
    "nightkey.schedule": (),
    "nightkey.deliver": (),
    "nightkey.rotate": (ROTATION,),
    "nightkey.check": ("vlt_01kb0000000000000000000000",),
    "nightkey.run": ("fl_run_01kb0000000000000000000000",),
    "nightkey.beat": ("2026-03-01T02:00:00+00:00 start",),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
PLACES = [
    (part, name)
    for part in ("headers", "properties")
    for name in (*genuine()[part], "compression", "chord", "redelivered")
]


def test_each_task_has_an_example_here():
    assert GOOD.keys() == ARGUMENTS.keys()


@pytest.mark.parametrize(("task", "ids"), GOOD.items())
def test_a_message_of_ours_is_its_task_and_its_id_and_stays_so(task, ids):
    given = genuine(task, *ids)
    ring = read_envelope(json.dumps(given).encode())
    assert ring == Ring(task=task, id=given["headers"]["id"], ids=ids)
    again = write_envelope(ring, queue="nightkey", tag="4711")
    assert read_envelope(json.dumps(again).encode()) == ring


@pytest.mark.parametrize(("fault", "content"), FORGED.values(), ids=FORGED)
def test_what_is_none_is_told_by_what_is_wrong_with_it(fault, content):
    assert read_envelope(content) is fault


def test_nothing_is_unpacked():
    (_, bomb) = FORGED["16 MB as bzip2"]
    assert len(bomb) < BYTES_MAX, "it is judged by what it says, and not for its size"
    tracemalloc.start()
    try:
        read_envelope(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@given(content=st.binary(max_size=200) | JSON.map(lambda made: json.dumps(made).encode()))
def test_whatever_lies_there_is_no_message(content):
    assert isinstance(read_envelope(content), MessageFault)


@given(place=st.sampled_from(PLACES), value=JSON)
def test_a_message_with_something_else_in_one_place_rings_the_same_or_nothing(place, value):
    part, name = place
    changed = genuine("nightkey.rotate", ROTATION)
    changed[part][name] = value
    ring = read_envelope(json.dumps(changed).encode())
    if isinstance(ring, Ring):
        made = ring.headers
        assert (ring.task, ring.ids) == ("nightkey.rotate", (ROTATION,)) or name in ("task", "id")
        assert [made[each] for each in ("eta", "expires", "group", "shadow")] == [None] * 4
        assert set(made) <= set(genuine()["headers"])


@given(headers=JSON, properties=JSON, body=JSON)
def test_parts_of_any_kind_are_answered(headers, properties, body):
    parts = {"headers": headers, "properties": properties, "body": body}
    assert isinstance(read_ring(content_type="application/json", encoding="utf-8", **parts), MessageFault)


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


def test_the_body_is_what_celery_reads():
    ring = Ring(task="nightkey.rotate", id="a", ids=(ROTATION,))
    assert encode(json.loads(ring.body)) == genuine("nightkey.rotate", ROTATION)["body"]


def test_a_heartbeat_is_of_a_day_that_there_is():
    assert fits("nightkey.beat", ["2026-03-01T02:00:00+00:00 fail"])
    assert not fits("nightkey.beat", ["9999-99-99T99:99:99+00:00 fail"])
