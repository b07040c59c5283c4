"""Words that a command cannot use are told in one line: what, where, and what to do."""

import pytest

from vaultcore.errors import InvalidInputError
from worker.cli.main import build_command

WRONG = (
    ("itme list", "there is no command 'itme' (did you mean item?): nightkey --help lists them"),
    ("--frob", "there is no option --frob: nightkey --help lists them"),
    ("item frob", "item: there is no command 'frob': nightkey item --help lists them"),
    (
        "item list --limt 3",
        "item list: there is no option --limt (did you mean --limit?): nightkey item list --help lists them",
    ),
    ("item list --limit abc", "item list: --limit: write a whole number"),
    ("item list --limit 0", "item list: --limit: write a number that is at least 1"),
    ("status --every nan", "status: --every: write a number that is at most 3600"),
    ("item list -o yaml", "item list: --output 'yaml': use one of table, wide, json, csv"),
    (
        "item list one two",
        "item list: 'one two' is more than it takes: nightkey item list --help says what it takes",
    ),
    ("item list one)", "item list: 'one)' is more than it takes: nightkey item list --help says what it takes"),
    ("item list --owner", "--owner needs a word behind it"),
    ("item list --json=3", "--json takes no word behind a ="),
    ("item import", "item import: FILE is missing: nightkey item import --help says what it takes"),
    ("owner create", "owner create: NAME is missing: nightkey owner create --help says what it takes"),
    ("audit export x", "audit export: --from is missing: nightkey audit export --help says what it takes"),
)


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[words for words, _ in WRONG])
def test_wrong_words_are_one_line(words: str, said: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        build_command()(words.split(), standalone_mode=False)
    assert str(refused.value) == said
    assert refused.value.exit_status == 2
    assert refused.value.__context__ is None


@pytest.mark.parametrize("words", [[], ["item"]])
def test_a_group_without_a_command_still_shows_its_help(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        build_command()(words)
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert (shown.out + shown.err).startswith("Usage: ")
