"""Records the full-screen review on the bundled order service: screenshots for the README, and what its keys did.

    python scripts/review_screens.py [FOLDER]

Without a folder they go to docs/screens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from textual.pilot import Pilot

from leakfix import engine
from leakfix.config import Config
from leakfix.registry import Registry
from leakfix.report.text import rendered_finding
from leakfix.review.app import Ending, ReviewApp
from leakfix.review.decisions import Review

ROOT = Path(__file__).parent.parent
SERVICE = ROOT / "fixtures" / "apps" / "orders"
SIZE = (132, 38)
SCREENS = (
    ("review", (), "the first finding: the leaking path, and its repair"),
    ("accepted", ("y", "y", "k"), "two accepted, back to the one before"),
    ("by-rule", ("g",), "the same findings by rule"),
)


def main() -> None:
    """Drive the review with keys and save what the screen shows after each group of them."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs" / "screens").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(SERVICE, copy, dirs_exist_ok=True)
        with contextlib.chdir(copy):
            report = engine.check(["."], Config(root=os.getcwd()), Registry.load(Config()), jobs=1)
            review = Review(report.findings, report.sources, report.run.checked)
            app = ReviewApp(
                review, lambda f, source: "".join(rendered_finding(f, source, True)), lambda path, data: None
            )
            asyncio.run(_recorded(app, folder))
            for result in review.results():
                print(f"{result.read.path}: {len(result.fixed)} to be written")


async def _recorded(app: ReviewApp, folder: Path) -> None:
    async with app.run_test(size=SIZE) as pilot:
        for name, keys, told in SCREENS:
            await _pressed(pilot, keys)
            text = app.export_screenshot(title="leakfix review").rstrip() + "\n"
            (folder / f"{name}.svg").write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")
            print(f"{name}.svg: {' '.join(keys) or 'started'}: {told}")


async def _pressed(pilot: Pilot[Ending], keys: tuple[str, ...]) -> None:
    await pilot.pause()
    for key in keys:
        await pilot.press(key)
        await pilot.pause()


if __name__ == "__main__":
    main()
