"""Settings are read, once: `NIGHTKEY_…` variables, then `nightkey.toml` in the data folder, then defaults."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vaultcore.errors import ConfigurationError
from worker.origins import HOME_VARIABLE as HOME_VARIABLE  # noqa: PLC0414  # it is named with the settings
from worker.origins import PREFIX, explain_setting, find_origin, find_unknown, read_file
from worker.ownership import check_folder
from worker.settings import STORED
from worker.settings import Settings as Settings  # noqa: PLC0414  # what this module reads

DEFAULT_HOME = Path("~/.nightkey")
SETTINGS_FILE = "nightkey.toml"


def load_settings(home: Path | None = None, **overrides: Any) -> Settings:  # noqa: ANN401  # any field
    """The settings of the data folder `home` (default: `NIGHTKEY_HOME`, then `~/.nightkey`).

    `ConfigurationError` says of the first that is wrong what it is, and where it stands.
    """
    read = _read(home, overrides)
    if isinstance(read, Settings):
        return read
    raise ConfigurationError(read[0])


def find_problems(home: Path | None = None) -> list[str]:
    """What is wrong with the settings, each in a line; nothing, where they can be used."""
    read = _read(home, {})
    return [] if isinstance(read, Settings) else read


def find_origins(settings: Settings) -> dict[str, str | None]:
    """Of each setting the variable or the line of the file that gives it; None: its default holds."""
    file = settings.home / SETTINGS_FILE
    stored = read_file(file)
    return {
        name: find_origin(name, stored=stored, file=file, environment=os.environ)
        for name in Settings.model_fields
        if name != "home"
    }


def _read(home: Path | None, overrides: Mapping[str, Any]) -> Settings | list[str]:
    _check_encoding()
    folder = _find_home(home)
    file = folder / SETTINGS_FILE
    check_folder(folder, "the data folder")
    stored = read_file(file)
    given = STORED.set(stored)
    try:
        return Settings(home=folder, **overrides)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        return [
            explain_setting(one, file=file, environment=os.environ, known=Settings.model_fields)
            for one in found
        ]
    finally:
        STORED.reset(given)


def unknown_variables() -> dict[str, str]:
    """Each `NIGHTKEY_…` variable that has no effect, with the sentence that says so."""
    return find_unknown(os.environ, Settings.model_fields)


def _check_encoding() -> None:
    """What a variable holds is text, or nothing of it could be stored or said."""
    for variable, value in os.environ.items():
        if variable.upper().startswith(PREFIX):
            try:
                f"{variable}{value}".encode()
            except UnicodeEncodeError:
                break
    else:
        return
    raise ConfigurationError(f"the variable {variable!a} is not UTF-8 text: write it in UTF-8")


def _find_home(home: Path | None) -> Path:
    given = home or Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
    problem = ""
    try:
        folder = given.expanduser().absolute()
        str(folder).encode()
        return folder
    except UnicodeEncodeError:
        problem = "the path of the data folder is not UTF-8 text: choose another"
    except RuntimeError:  # neither HOME nor an entry for this user
        problem = f"user {os.getuid()} has no home folder for {given}: name the data folder"
    except FileNotFoundError:
        problem = (
            "the folder that this command was started in is gone: change to another, or name the data folder"
        )
    raise ConfigurationError(f"{problem} by --home or {HOME_VARIABLE}, as a whole path")
