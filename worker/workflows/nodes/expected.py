"""What a good answer holds, as a field of a node."""

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from worker.outbound import Expect
from worker.workflows.nodes.base import Execution


class Expected(Expect):
    """As fields of nodes are spelled; in the way that settings are, too."""

    model_config = ConfigDict(alias_generator=to_camel)


def shows_credential(execution: Execution) -> bool:
    """Whether a value went into the call: else what comes back judges none."""
    return bool(execution.used) or execution.tried or execution.tainted
