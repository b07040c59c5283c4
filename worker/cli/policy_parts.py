"""A policy in words, part by part: what somebody said, and apart from it what nobody did."""

from collections.abc import Iterable

from worker.cli.facts import print_facts
from worker.cli.output import print_lines
from worker.wording.plain import Shape
from worker.wording.policies import PartSource


def print_policy(explained: Iterable[Shape], *, follows: str | None = None) -> None:
    """`follows`: the named policy of which it has what it does not say itself."""
    parts = [*explained]
    heads = {
        PartSource.OWN: "policy:" if follows is None else "policy, of its own:",
        PartSource.NAMED: f"of the policy {follows}:",
        PartSource.DEFAULT: "by default:",
    }
    for source, head in heads.items():
        told = [
            (one["part"].replace("_", " "), one["says"])
            for one in parts
            if one["source"] == source and (one["part"] != "named" or follows is None)
        ]
        if told:
            print_lines(["", head])
            print_facts([(f"  {name}", says) for name, says in told])
