"""The commands against a server far away: which one, and what it answers."""
