"""What `mkdocs build` adds to docs: the pages of the rules, those of the repository's root, links to rules.

Nothing of it is kept in the repository, so none of it can be out of date.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import rules
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
FROM_ROOT = {name: f"{name.lower()}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY")}
FENCE, CODE = re.compile(r"^ *```"), re.compile(r"(?<!\[)`([a-z0-9_]+/[a-z0-9-]+)`")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """A section for each library, below that of the rules."""
    section = next(entry for entry in config.nav if "Rules" in entry)
    for library, codemods in rules.libraries():
        names = [{codemod.name.partition("/")[2]: f"rules/{codemod.name}.md"} for codemod in codemods]
        section["Rules"].append({library: [f"rules/{library}/index.md", *names]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages that are made here."""
    for path, text in rules.pages():
        files.append(File.generated(config, path, content=text))
    for name, path in FROM_ROOT.items():
        text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
        files.append(File.generated(config, path, content=text.replace("](docs/", "](")))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Names of rules become links to their pages, outside of blocks of code and of links."""
    folder = posixpath.dirname(page.file.src_uri)
    known = rules.registry().codemods

    def link(found: re.Match[str]) -> str:
        target = f"rules/{found[1]}.md"
        if found[1] not in known or target == page.file.src_uri:
            return found[0]
        return f"[{found[0]}]({posixpath.relpath(target, folder or '.')})"

    lines, in_block = [], False
    for line in markdown.split("\n"):
        in_block ^= bool(FENCE.match(line))
        lines.append(line if in_block else CODE.sub(link, line))
    return "\n".join(lines)
