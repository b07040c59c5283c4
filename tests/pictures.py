"""The pictures of the console in its page and the README, from the demo: python -m tests.pictures [FOLDER]."""

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import ViewportSize, sync_playwright

PAGES = {
    "overview": "/",
    "vault": "/items",
    "item": "/items/prod-ticketing-api-token",
    "rotation": None,
    "workflow": "/workflows/fax-forwarding",
    "calendar": "/calendar",
}
"""By the name of the picture; None: the rotation that was rolled back."""
_SIZE: ViewportSize = {"width": 1120, "height": 760}


def main(folder: Path) -> None:
    home = Path(tempfile.mkdtemp(prefix="nightkey-pictures-")) / "demo"
    command = [sys.executable, "-m", "worker.cli.main", "demo", "--home", str(home), "--stay"]
    folder.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # ourselves
        assert process.stdout is not None
        link = next(
            found[0]
            for line in process.stdout
            if (found := re.search(r"http://127\.0\.0\.1:\d+/console/link/\S+", line))
        )
        try:
            take(folder, link)
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
    shutil.rmtree(home.parent)


def take(folder: Path, link: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=_SIZE, color_scheme="light")
        page.goto(link)
        console = page.url.rstrip("/")
        for name, path in PAGES.items():
            page.goto(console + (path or "/"))
            if path is None:
                page.locator("#night tr", has_text="not replaced").get_by_role("link").first.click()
                page.wait_for_url("**/rotations/rot_*")
            page.screenshot(path=folder / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(Path(*sys.argv[1:2] or ["deploy/pictures"]))
