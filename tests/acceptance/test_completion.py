"""What bash offers for the word that is being written."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import Nightkey

NIGHTKEY = Path(sys.executable).with_name("nightkey")
OFFER = """
eval "$(nightkey --show-completion bash)"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_nightkey_completion nightkey
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def stocked(new_vault: Path, tmp_path_factory: pytest.TempPathFactory) -> Nightkey:
    made = Nightkey(tmp_path_factory.mktemp("stocked") / "home")
    shutil.copytree(new_vault, made.home)
    made("owner", "create", "crm-team")
    for name in ("prod-crm-token", "prod-mail-token", "stage-crm-token"):
        given = ("--owner", "crm-team", "--expires-at", "90d", "--value-file", "-")
        made("item", "create", name, *given, value=f"value of {name}")
    return made


def offer(vault: Nightkey, *words: str) -> list[str]:
    environment = vault.environment | {"PATH": f"{NIGHTKEY.parent}:/usr/bin:/bin", "SHELL": "/bin/bash"}
    done = subprocess.run(
        ["bash", "-c", OFFER, "bash", "nightkey", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    return sorted(filter(None, done.stdout.split("\n")))


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("ite",), ["item"]),
        (("item", "show", "prod"), ["prod-crm-token", "prod-mail-token"]),
        (("item", "create", "prod"), []),
        (("item", "create", "new", "--owner", "crm"), ["crm-team"]),
        (("item", "list", "--owner", "o"), ["operators"]),
        (("item", "update", "prod-crm-token", "stage"), ["stage-crm-token"]),
        (("item", "update", "--where-owner", "o"), ["operators"]),
        (("item", "impact", "stage"), ["stage-crm-token"]),
    ],
    ids=" ".join,
)
def test_names_of_the_vault_are_offered_where_one_can_stand(
    stocked: Nightkey, words: tuple[str, ...], offered: list[str]
) -> None:
    assert offer(stocked, *words) == offered


def test_a_vault_that_is_not_there_offers_nothing_and_says_nothing(tmp_path: Path) -> None:
    assert offer(Nightkey(tmp_path / "none"), "item", "show", "prod") == []
