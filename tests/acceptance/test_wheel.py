"""What an installation brings: the packages with everything in them that is no code."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_carries_types_templates_and_migrations(tmp_path: Path) -> None:
    carried = _build(ROOT, tmp_path)
    wanted = {"worker/py.typed", "vaultcore/py.typed", "vaultcore/migrations/script.py.mako"}
    for folder in ("worker/delivery/templates", "vaultcore/migrations/versions"):
        wanted |= {f"{folder}/{file.name}" for file in (ROOT / folder).iterdir() if file.is_file()}
    assert wanted <= carried
    assert not [name for name in carried if name.startswith(("tests/", "deploy/"))]
    assert [name for name in carried if "demo" in name] == ["worker/cli/demo.py"]


def test_the_demo_is_a_wheel_of_its_own_with_its_sample(tmp_path: Path) -> None:
    """And of the release of the worker that its extra names."""
    folder = ROOT / "deploy" / "demo"
    carried = _build(folder, tmp_path)
    sample = (folder / "nightkey_demo" / "sample").iterdir()
    assert {f"nightkey_demo/sample/{file.name}" for file in sample} <= carried
    assert not [name for name in carried if not name.startswith(("nightkey_demo/", "nightkey_demo-"))]
    worker, demo = (
        tomllib.loads((place / "pyproject.toml").read_text())["project"] for place in (ROOT, folder)
    )
    assert worker["optional-dependencies"]["demo"] == [f"nightkey-demo=={demo['version']}"]
    assert any(needed.endswith(f"=={worker['version']}") for needed in demo["dependencies"])


def _build(project: Path, into: Path) -> set[str]:
    """The names of all files of the project's wheel."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(into)]
    subprocess.run(build, cwd=project, check=True, capture_output=True, timeout=300)
    (wheel,) = into.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())
