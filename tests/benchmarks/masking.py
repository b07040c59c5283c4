"""How long masking takes. `make bench` prints it.

The limit is a second for 1 MB with 10,000 hits, on a quiet machine, and about four times as long for 4 MB.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from vaultcore.secret import Secret
from worker.workflows.masking import Masker

VALUE = "wfk_0Q2hbVn8sJr6uTz1LkXyWc4fPd7gMe3aBtRo5iNqEvY9A2C4x"
FILLING = "some text that is around it and is left"

DATA: dict[str, Callable[[int], Any]] = {
    "in one text": lambda hits: f"{FILLING} {VALUE}; " * hits,
    "in a list of texts": lambda hits: [f"{FILLING} {VALUE}; {n}" for n in range(hits)],
    "in keys, each another one": lambda hits: {f"{FILLING} {VALUE}; {n}": n for n in range(hits)},
    "in keys that become one": lambda hits: {f"{FILLING} {VALUE.swapcase()}; {n}": n for n in range(hits)},
    "in hex": lambda hits: {"data": [VALUE.encode().hex() for _ in range(hits)]},
}


def main() -> None:
    masker = Masker(Secret(f"value-{n:03}-of-many-items-{n**5:020}") for n in range(99))
    masker.hide(Secret(VALUE))
    print("10,000 hits                      kB    seconds   four times as many")  # the answer
    for name, make in DATA.items():
        size, took = measure(masker, make(10_000))
        _, four = measure(masker, make(40_000))
        print(f"{name:30} {size // 1000:5} {took:8.2f} {four:8.2f}, {four / took:.1f} times")  # the answer


def measure(masker: Masker, data: Any) -> tuple[int, float]:
    began = time.perf_counter()
    masker.mask(data)
    return len(json.dumps(data)), time.perf_counter() - began


if __name__ == "__main__":
    main()
