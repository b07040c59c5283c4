"""The address of a database, as a person gives it."""

import pytest

from vaultcore.addresses import parse_address, show_address
from vaultcore.errors import InvalidInputError


@pytest.mark.parametrize(
    "text",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///vault.db", "sqlite:///file:vault.db?uri=true"],
)
def test_a_file_has_its_whole_path(text: str) -> None:
    """In memory a vault would be gone with the command that moved it; and another folder has another file."""
    with pytest.raises(InvalidInputError, match="by its whole path"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sqlite:////srv/vault.db", "sqlite:////srv/vault.db"),
        ("postgres://n@h/vault", "postgresql://n@h/vault"),
        ("postgresql://n:hunter2@h/vault?sslpassword=hunter2", "postgresql://n:***@h/vault?sslpassword=***"),
    ],
)
def test_it_is_shown_without_its_password(text: str, shown: str) -> None:
    assert show_address(parse_address(text)) == shown
