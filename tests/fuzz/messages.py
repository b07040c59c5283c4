"""What lies at the broker: a ring of ours or a fault, and no change to one makes it ring anything else."""

from base64 import b64decode

from tests.forged import OURS, ROTATION, SENT, SENT_AT, parcel, unsealed
from tests.fuzz.judging import BrokenError
from tests.fuzz.mutating import SEEDS, json_texts
from tests.fuzz.surfaces import Surface
from worker.domain.messages import MessageFault, describe_fault
from worker.domain.parcels import read_parcel

RUNG = {"nightkey.resume": (), "nightkey.rotate": (ROTATION,)}
SEALS = OURS.seals(lambda: SENT_AT)


def _take(text: str) -> object:
    read = read_parcel(text.encode("utf-8", "surrogatepass"))
    ring = read if isinstance(read, MessageFault) else SEALS.open(read.sealed)
    if isinstance(ring, MessageFault):
        return describe_fault(ring)
    if RUNG.get(ring.task) != ring.ids:
        raise BrokenError(f"it rings {ring.task} with {ring.ids}, which nobody sent")
    return ring


MESSAGES = Surface(
    inputs=json_texts(
        [*(parcel(b64decode(sent)) for sent in SENT.values()), unsealed("nightkey.rotate", ROTATION)],
        **SEEDS["messages"],
    ),
    take=_take,
)
