"""A RabbitMQ that takes no messages says why, in words of its own; what is told of it is in ours."""

import pytest

from worker.broker.blocking import BlockedError, find_blocked, say_blocked
from worker.broker.reaching import explain_away

URL = "amqp://nightkey:hunter2@rabbit.example:5672//"


@pytest.mark.parametrize(
    ("reason", "low", "limits"),
    [
        ("low on memory", "memory", "vm_memory_high_watermark"),
        ("low on disk", "disk", "disk_free_limit"),
        ("low on memory & disk", "memory and disk", "vm_memory_high_watermark and disk_free_limit"),
    ],
)
def test_it_names_what_is_short_and_where_its_limit_is(reason: str, low: str, limits: str) -> None:
    assert say_blocked(reason) == (
        f"takes no messages at present, since it is low on {low}: give it more, or look at its {limits}; "
        "it takes them again by itself"
    )


def test_words_that_nobody_knows_are_not_passed_on() -> None:
    said = say_blocked("hunter2")
    assert said == "takes no messages at present: its log says why, and it takes them again by itself"


def test_it_is_found_behind_what_it_led_to() -> None:
    error = RuntimeError("could not be scheduled")
    error.__context__ = BlockedError("low on disk")
    assert find_blocked(error) is error.__context__
    assert explain_away(URL, error).startswith(
        "RabbitMQ at rabbit.example:5672 takes no messages at present, since it is low on disk"
    )
    assert find_blocked(RuntimeError()) is None
