"""One round: so many inputs of one surface by one seed, and the first that breaks it, if any does."""

import traceback
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.judging import judge
from tests.fuzz.surfaces import Surface

INPUTS = 100


@dataclass(frozen=True, kw_only=True)
class Tried:
    inputs: int = 0
    slowest: float = 0.0
    problem: str | None = None
    """What broke, with its input."""

    def add(self, other: "Tried") -> "Tried":
        return Tried(
            inputs=self.inputs + other.inputs,
            slowest=max(self.slowest, other.slowest),
            problem=self.problem or other.problem,
        )


def run_round(surface: Surface, *, seed: int, inputs: int = INPUTS) -> Tried:
    took: list[float] = []
    failed: list[str] = []

    def try_one(tried: Any) -> None:  # an input
        try:
            took.append(judge(surface.take, tried))
        except Exception:
            failed.append(f"input: {ascii(tried)[:2_000]}\n{traceback.format_exc(limit=-6)}")
            raise

    problem = None
    try:
        _with_hypothesis(surface, seed, inputs, try_one)()
    except Exception:  # noqa: BLE001  # whatever it was: the first that failed is told
        problem = failed[0] if failed else traceback.format_exc(limit=-6)
    return Tried(inputs=len(took) + len(failed), slowest=max(took, default=0.0), problem=problem)


def _with_hypothesis(surface: Surface, number: int, inputs: int, try_one: Any) -> Any:  # decorators
    chosen = settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    return seed(number)(chosen(given(surface.inputs)(try_one)))
