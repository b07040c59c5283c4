"""What a command loads: packages that take much time are loaded where they are used, and nowhere else."""

import subprocess
import sys

import pytest

from tests.acceptance.conftest import Nightkey

SERVERS = (
    "celery",
    "kombu",
    "fastapi",
    "starlette",
    "uvicorn",
    "alembic",
    "asyncssh",
    "psycopg",
    "boto3",
    "zeep",
)
LETTERS = ("apprise", "requests", "markdown_it", "authlib", "joserfc", "prometheus_client")
LOG = ("structlog",)
CALLS = ("httpx", "rich", "liquid", "babel", "jinja2")
"""For who calls others, or reads templates."""
DATABASES = ("sqlalchemy.orm", "sqlalchemy.ext.asyncio", "sqlalchemy.dialects.postgresql")
"""What SQLAlchemy has beside what we use of it on SQLite."""

COMMANDS = {
    ("scan", "--dry-run"): (*SERVERS, *LETTERS, *LOG, *CALLS, *DATABASES, "worker.workflows.document"),
    ("item", "list"): (*SERVERS, *LETTERS, *LOG, *CALLS, *DATABASES),
    ("status",): (*SERVERS, *LETTERS, *LOG, *CALLS, *DATABASES),
    ("finding", "list"): (*SERVERS, *LETTERS, *LOG, *CALLS, *DATABASES),
    ("night", "--no-wait"): (*SERVERS, *LETTERS),  # that sends nothing
}


@pytest.mark.parametrize(("words", "slow"), COMMANDS.items(), ids=lambda words: " ".join(words[:2]))
def test_a_command_loads_nothing_that_it_does_not_use(
    nightkey: Nightkey, words: tuple[str, ...], slow: tuple[str, ...]
) -> None:
    asked = (
        f"import sys; sys.argv = ['nightkey', *{words!r}]\n"
        "from worker.cli.main import main\n"
        "try: main()\n"
        f"finally: print(sorted(set({slow!r}) & set(sys.modules)), file=sys.stderr)"
    )
    assert _run(nightkey, asked) == "[]"


def test_a_scan_loads_what_its_items_need_and_no_more(nightkey: Nightkey) -> None:
    """No room but that of the scan: neither rotations nor runs nor notices are made ready for a look."""
    asked = (
        "import sys; sys.argv = ['nightkey', 'scan', '--dry-run']\n"
        "from worker.cli.main import main\n"
        "try: main()\n"
        "finally: print(sum(n.startswith(('worker.', 'vaultcore.')) for n in sys.modules),\n"
        "    [n for n in sys.modules if n.startswith('worker.services.') and n.endswith('.room')],\n"
        "    file=sys.stderr)"
    )
    number, rooms = _run(nightkey, asked).split(" ", 1)
    assert rooms == "[]"
    assert int(number) <= 165


@pytest.mark.parametrize("words", [("scan", "--dry-run"), ("scan",), ("item", "list"), ("status",)], ids=str)
def test_a_command_leaves_no_file_of_the_database_open(nightkey: Nightkey, words: tuple[str, ...]) -> None:
    asked = (
        f"import sys; sys.argv = ['nightkey', *{words!r}]\n"
        "from worker.cli.entry import main\n"
        "try: main()\n"
        "finally: print('done', file=sys.stderr)"
    )
    assert _run(nightkey, asked) == "done"
    assert sorted(file.name for file in nightkey.home.glob("nightkey.db*")) == ["nightkey.db"]


def _run(nightkey: Nightkey, program: str) -> str:
    """The last line that it says of itself."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=nightkey.environment,
        check=False,  # a morning without a night is none that went well
        timeout=300,
    )
    return done.stderr.splitlines()[-1]
