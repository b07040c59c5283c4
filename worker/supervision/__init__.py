"""`nightkey up`: beat and workers, kept at work."""
