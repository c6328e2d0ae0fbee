"""Plugins are found in the files of what is installed, as importlib.metadata would find them."""

from __future__ import annotations

import importlib.metadata
import zipfile
from pathlib import Path

import pytest

from leakfix.plugins import GROUP, packages

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
WRITTEN = {
    "plain": f"[{GROUP}]\nplain = plain_rules\n",
    "among_others": f"[console_scripts]\nshop = shop:main\n\n[{GROUP}]\none = first_rules\n"
    "two = more.rules:ALL [fast]\n",
    "commented": f"# ours\n[{GROUP}]\n# off = off_rules\n  spaced   =   spaced_rules  \n\n[other]\nx = y\n",
    "none": "[console_scripts]\nshop = shop:main\n",
    "empty": "",
}


def _install(folder: Path, name: str, written: str, ending: str = "dist-info") -> None:
    info = folder / f"{name}-1.0.{ending}"
    info.mkdir(parents=True)
    (info / ("METADATA" if ending == "dist-info" else "PKG-INFO")).write_text(METADATA.format(name=name))
    (info / "entry_points.txt").write_text(written)


def _asked() -> list[str]:
    return sorted({point.module for point in importlib.metadata.entry_points(group=GROUP)})


def test_those_installed_here() -> None:
    assert packages() == _asked()
    assert "leakfix_codemods" in packages()


@pytest.mark.parametrize("ending", ["dist-info", "egg-info"])
def test_as_importlib_metadata_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    for name, written in WRITTEN.items():
        _install(tmp_path, name, written, ending)
    monkeypatch.setattr("sys.path", [str(tmp_path), str(tmp_path / "nowhere")])
    assert packages() == _asked() == ["first_rules", "more.rules", "plain_rules", "spaced_rules"]


def test_an_archive_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "zipped.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("zipped-1.0.dist-info/METADATA", METADATA.format(name="zipped"))
        packed.writestr("zipped-1.0.dist-info/entry_points.txt", f"[{GROUP}]\nzipped = zipped_rules\n")
    monkeypatch.setattr("sys.path", [str(archive)])
    assert packages() == ["zipped_rules"]
