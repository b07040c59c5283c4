"""How bad a finding is, by shape: the same wherever one is shown."""

from typing import Final

from worker.domain.findings import FindingKind
from worker.domain.problems import FAILING_FINDINGS
from worker.rows.findings import ListedFinding
from worker.wording.item_states import Tone

_WORST: Final = frozenset(list(FindingKind)[: list(FindingKind).index(FindingKind.EXPIRING)])
BROKEN: Final = _WORST | frozenset(FAILING_FINDINGS)
"""What is broken now, or fails at the next run; the others will be, or are untidy."""


def shape_of(listed: ListedFinding) -> Tone:
    """Which of the four states of the console it is in."""
    if listed.quiet:
        return Tone.REST
    return Tone.WRONG if listed.finding.kind in BROKEN else Tone.WAITS
