"""The one place where anything leaves for the outside: permission, guard, limits, errors with a cause."""

from worker.outbound.answers import Response, cause_of, say_status
from worker.outbound.expecting import Expect, cause_unmet
from worker.outbound.http import HttpClient
from worker.outbound.network import Network, is_only_looking, only_looking, permitted_by
from worker.outbound.pace import Pace, held_at_most_until
from worker.outbound.sessions import nothing_shared, open_store, sessions_kept

__all__ = [
    "Expect",
    "HttpClient",
    "Network",
    "Pace",
    "Response",
    "cause_of",
    "cause_unmet",
    "held_at_most_until",
    "is_only_looking",
    "nothing_shared",
    "only_looking",
    "open_store",
    "permitted_by",
    "say_status",
    "sessions_kept",
]
