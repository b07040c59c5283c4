"""How long documents take to be read, judged and searched for references. `make bench` prints it.

The limit is two seconds for a document of 1 MB or of 10,000 nodes, on a quiet machine.
"""

import json
import time
from contextlib import suppress

from tests.unit.test_every_reference import HUGE, write_huge
from vaultcore.errors import InvalidInputError
from worker.workflows.definition import load_definition


def main() -> None:
    print("a document                     kB    seconds")  # the answer
    for name in HUGE:
        for component in ("webhook", "mikrotik_script"):
            text = json.dumps(write_huge(name, component))
            began = time.perf_counter()
            with suppress(InvalidInputError):
                load_definition(text, source="w.json").uses(here=False)
            took = time.perf_counter() - began
            print(f"{f'{name}, {component}':40} {len(text) // 1000:5} {took:8.2f}")  # the answer


if __name__ == "__main__":
    main()
