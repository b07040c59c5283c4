"""Sentences for people: the one place that makes them of codes. Command line, notices and calls from outside
share it. Pure; rows and decisions never import it. `reasons.py` says why something is so, `problems.py` what is
wrong.
"""
