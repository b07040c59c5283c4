"""Which form a file has: by what is in it, or as whoever gives it says. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from vaultcore.errors import InvalidInputError
from worker.domain.incoming import Contents
from worker.domain.strict_json import parse_json
from worker.importing.aws_secrets import is_aws, read_secrets
from worker.importing.csv_table import is_table, read_table
from worker.importing.dotenv import is_environment, read_environment
from worker.importing.json_items import read_items
from worker.importing.key_value import is_key_value, read_key_values
from worker.importing.n8n import is_n8n, read_credentials
from worker.importing.vault_list import is_vault_list, read_listed


class FileForm(StrEnum):
    """Forms in which items come in."""

    SDX = "sdx"
    CSV = "csv"
    ENV = "env"
    JSON = "json"
    N8N = "n8n"
    VAULT = "vault"
    AWS = "aws"


@dataclass(frozen=True, kw_only=True)
class ReadFile:
    form: FileForm
    contents: Contents


_BY_CONTENT: Final[tuple[tuple[FileForm, Callable[[Any], bool]], ...]] = (
    (FileForm.AWS, is_aws),
    (FileForm.N8N, is_n8n),
    (FileForm.SDX, is_vault_list),
    (FileForm.VAULT, is_key_value),
)
"""Asked in this order; what is none of them is JSON of one's own."""
_NOT_TOLD: Final = (
    "what form it has cannot be told from what is in it: a table needs a header with name and value, a .env "
    "file NAME=value lines; --format says which it is"
)


def read_file(
    text: str, *, now: datetime, form: FileForm | None = None, stem: str | None = None, takes_all: bool = False
) -> ReadFile:
    """What the text tells of. `InvalidInputError` where it is of no form, or not of that one; it quotes no
    value.

    `stem`: what its file is called, without its ending. `takes_all`: fields and variables that are no secrets
    by their names, too.
    """
    text = text.removeprefix("\ufeff")
    if form is FileForm.CSV or form is FileForm.ENV:
        read = read_table(text, now=now) if form is FileForm.CSV else _read_environment(text, now, takes_all)
        return ReadFile(form=form, contents=read)
    if form is not None or text.lstrip()[:1] in ("{", "["):
        raw = parse_json(text, unique=True)
        form = form or next((one for one, fits in _BY_CONTENT if fits(raw)), FileForm.JSON)
        return ReadFile(form=form, contents=_read_json(form, raw, now, stem, takes_all=takes_all))
    if is_environment(text):
        return ReadFile(form=FileForm.ENV, contents=_read_environment(text, now, takes_all))
    if is_table(text):
        return ReadFile(form=FileForm.CSV, contents=read_table(text, now=now))
    raise InvalidInputError(_NOT_TOLD)


def _read_environment(text: str, now: datetime, takes_all: bool) -> Contents:
    return read_environment(text, now=now, takes_all=takes_all)


def _read_json(form: FileForm, raw: Any, now: datetime, stem: str | None, *, takes_all: bool) -> Contents:  # noqa: ANN401
    match form:
        case FileForm.SDX:
            return read_listed(raw, now=now)
        case FileForm.N8N:
            return read_credentials(raw, now=now, takes_all=takes_all)
        case FileForm.VAULT:
            return read_key_values(raw, now=now, stem=stem, takes_all=takes_all)
        case FileForm.AWS:
            return read_secrets(raw, now=now, takes_all=takes_all)
        case _:
            return read_items(raw, now=now, takes_all=takes_all)
