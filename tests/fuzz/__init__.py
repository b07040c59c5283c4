"""Hostile input, by chance and by seed: each surface gives an answer or a clear error, soon."""
