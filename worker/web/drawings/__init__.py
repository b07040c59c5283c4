"""Drawings for the pages of the console: pure functions that give SVG. Each says in words what it shows."""
