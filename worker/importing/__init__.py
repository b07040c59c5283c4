"""Formats in which items come in: a module each, which makes `Contents` of a text. Pure."""
