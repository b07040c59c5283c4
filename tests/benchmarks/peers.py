"""Other products that ours is measured beside, from the dependency group `bench`: whether they are here.

`python -m tests.benchmarks.peers` installs what is missing of the group, and says what it could not get: rows
beside that are then skipped, with the reason. The lock has none of them, for nothing else needs them.
"""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def requirements() -> list[str]:
    groups: dict[str, list[str]] = tomllib.loads(_PROJECT.read_text("utf-8"))["dependency-groups"]
    return groups["bench"]


def why_missing(package: str) -> str:
    """Why rows beside it are skipped; empty: it is here."""
    return "" if _has(package) else f"{package} is not installed: python -m tests.benchmarks.peers"


def _has(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def main() -> None:
    for requirement in requirements():
        package = re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0]
        if _has(package):
            continue
        print(f"installing {requirement} for the benchmarks")
        asked = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
        if subprocess.run(asked, check=False).returncode:
            print(f"{requirement} cannot be had here: rows beside it are skipped")


if __name__ == "__main__":
    main()
