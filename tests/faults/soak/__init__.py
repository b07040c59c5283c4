"""Soak: `nightkey up` on real databases and brokers that are stopped, restarted and emptied under it, for
minutes or hours. `make soak` runs it.
"""
