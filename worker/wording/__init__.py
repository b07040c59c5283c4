"""Sentences for people: the one place that makes them of codes. Command line, notices and calls from outside
share it. Pure; rows and decisions never import it.
"""

from worker.wording.problems import describe, describe_apart
from worker.wording.reasons import say, say_all, say_each

__all__ = ["describe", "describe_apart", "say", "say_all", "say_each"]
