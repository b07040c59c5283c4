"""Dotted paths into what nodes hand on: as everywhere."""

from worker.domain.json_paths import take_path

__all__ = ["take_path"]
