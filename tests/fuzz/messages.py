"""What lies at the broker: a ring of ours or a fault, and what rings is written as we would."""

import json

from tests.forged import ROTATION, genuine
from tests.fuzz.judging import BrokenError
from tests.fuzz.mutating import SEEDS, json_texts
from tests.fuzz.surfaces import Surface
from worker.domain.messages import MessageFault, describe_fault, fits, read_envelope, write_envelope


def _take(text: str) -> object:
    read = read_envelope(text.encode("utf-8", "surrogatepass"))
    if isinstance(read, MessageFault):
        return describe_fault(read)
    if not fits(read.task, read.ids):
        raise BrokenError(f"it rings {read.task} with {read.ids}")
    again = read_envelope(json.dumps(write_envelope(read, queue="celery", tag="1")).encode())
    if again != read:
        raise BrokenError(f"it is read as {read}, and then as {again}")
    return read


MESSAGES = Surface(
    inputs=json_texts([genuine(), genuine("nightkey.rotate", ROTATION)], **SEEDS["messages"]), take=_take
)
