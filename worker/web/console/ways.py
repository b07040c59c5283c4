"""Where things have their pages."""

from urllib.parse import quote

from worker.web.console.frame import CONSOLE


def item_path(name: str) -> str:
    """An item's page, by its name."""
    return f"{CONSOLE}/items/{quote(name)}"
