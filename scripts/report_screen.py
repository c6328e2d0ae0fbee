"""Takes the picture of the report's page in docs/screens: the bundled services, checked, in headless Chromium.

    python scripts/report_screen.py [FILE]

It needs the dependency group `browser` and Chromium, in PATH or Playwright's own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Check a copy, open its page, unfold the second finding."""
    picture = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs" / "screens" / "report.png").resolve()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        shutil.copytree(ROOT / "fixtures" / "apps", Path(folder, "apps"))
        command = [sys.executable, "-m", "leakfix", "report", "--exit-zero"]
        subprocess.run(command, cwd=Path(folder, "apps"), check=True)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1020}, color_scheme="light")
        page.goto(Path(folder, "apps", "leakfix-report.html").as_uri())
        page.locator(".finding > details").nth(1).evaluate("one => one.open = true")
        page.locator("h2").nth(1).scroll_into_view_if_needed()
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
