"""What an installation brings: the packages with everything in them that is no code."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_carries_types_templates_migrations_and_the_sample(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    carried = set(zipfile.ZipFile(wheel).namelist())
    wanted = {"worker/py.typed", "vaultcore/py.typed", "vaultcore/migrations/script.py.mako"}
    for folder in ("worker/delivery/templates", "vaultcore/migrations/versions"):
        wanted |= {f"{folder}/{file.name}" for file in (ROOT / folder).iterdir() if file.is_file()}
    wanted |= {f"worker/demo/sample/{file.name}" for file in (ROOT / "deploy" / "sample").iterdir()}
    assert wanted <= carried
    assert not [name for name in carried if name.startswith(("tests/", "deploy/"))]
