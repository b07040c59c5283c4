"""The one place where anything leaves for the outside: permission, guard, limits, errors with a cause."""

from worker.outbound.expecting import Expect, cause_unmet
from worker.outbound.http import HttpClient, Response, cause_of
from worker.outbound.network import Network, permitted_by

__all__ = ["Expect", "HttpClient", "Network", "Response", "cause_of", "cause_unmet", "permitted_by"]
