"""Where things have their pages."""

from typing import Final
from urllib.parse import quote

from starlette.convertors import Convertor, register_url_convertor

from vaultcore.rules import ITEM_ID_FORM

CONSOLE: Final = "/console"
NEW_ITEM: Final = f"{CONSOLE}/items-new"
"""Not under `/items/`: an item may be called almost anything."""


class _ItemId(Convertor[str]):
    """An id, and no name: `x/edit` is a name, and its page is no form."""

    regex = ITEM_ID_FORM

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("item_id", _ItemId())
ITEM: Final = "/items/{item_id:item_id}"
"""What is done to one item, by its id."""


def item_path(name: str) -> str:
    """An item's page, by its name. No part of a name is a step in a path: `../x` is a name, too."""
    return f"{CONSOLE}/items/{quote(name, safe='')}"


def owner_path(name: str) -> str:
    """An owner's page, by their name, which may have a `/` in it, too."""
    return f"{CONSOLE}/owners/{quote(name, safe='')}"


def principal_path(name: str) -> str:
    """A principal's page, by its name: that may be an address, or a path, of an identity provider."""
    return f"{CONSOLE}/principals/{quote(name, safe='')}"


def change_path(name: str, change: str) -> str:
    """Where an owner is changed: `rename`, `delete` or `leave`."""
    return f"{CONSOLE}/owners-{change}/{quote(name, safe='')}"


def digest_path(name: str) -> str:
    """What an owner will read after the next night."""
    return f"{CONSOLE}/owners-digest/{quote(name, safe='')}"
