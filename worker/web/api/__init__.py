"""The interface for principals: one file a noun. It asks the services that the command line asks, with no rule
of its own.
"""
