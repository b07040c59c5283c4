"""The ways out of the tests: loopback is allowed, and nothing else that is private."""

from worker.domain.guard import build_guard
from worker.outbound import HttpClient, Network

LOOPBACK = ("127.0.0.0/8", "[::1]")
NETWORK = Network(build_guard((), LOOPBACK))
HTTP = HttpClient(NETWORK)
