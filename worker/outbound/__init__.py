"""The one place where anything leaves for the outside: permission, guard, limits, errors with a cause."""

from worker.outbound.http import HttpClient, Response, cause_of
from worker.outbound.network import Network, permitted_by

__all__ = ["HttpClient", "Network", "Response", "cause_of", "permitted_by"]
