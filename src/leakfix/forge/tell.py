"""What a run about pull requests did, or would do: for people, for programs, for a job's summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from leakfix.forge.plan import Step
from leakfix.forge.publish import Done
from leakfix.project.display import visible

_DONE = {
    Step.OPEN: "opened",
    Step.UPDATE: "updated",
    Step.CLOSE: "closed",
    Step.LEAVE: "left",
    Step.WAIT: "waiting",
    Step.NEVER: "not opened again",
}
_TO_DO = {
    Step.OPEN: "would open",
    Step.UPDATE: "would update",
    Step.CLOSE: "would close",
    Step.LEAVE: "would leave",
    Step.WAIT: "would wait",
    Step.NEVER: "would not open again",
}


@dataclass(frozen=True)
class Outcome:
    """One run. bodies: what the pull requests of a dry run would say, by branch."""

    repository: str
    base: str
    findings: int
    without: int
    done: Sequence[Done]
    dashboard: str
    dry: bool
    trouble: tuple[str, ...] = ()
    bodies: dict[str, str] | None = None

    @property
    def failed(self) -> bool:
        """Whether something could not be done."""
        return bool(self.trouble) or any(item.trouble for item in self.done)


def as_text(outcome: Outcome) -> Iterator[str]:
    """For a terminal or a log."""
    words = _TO_DO if outcome.dry else _DONE
    for item in outcome.done:
        action = item.action
        if item.trouble:
            yield f"failed: {visible(action.title)}: {visible(item.trouble)}\n"
            continue
        where = f" {item.url}" if item.url else ""
        yield f"{words[action.step]}{where}: {visible(action.title)} ({visible(action.why)})\n"
        yield from (f"  warning: {visible(text)}\n" for text in item.warnings)
        if outcome.dry and action.proposal is not None and action.step in (Step.OPEN, Step.UPDATE):
            yield f"  branch {visible(action.branch)} upon {outcome.base[:12]}\n"
            yield from (f"  changes {visible(path)}\n" for path in sorted(action.proposal.files))
            body = (outcome.bodies or {}).get(action.branch, "")
            yield from (f"  | {visible(line)}".rstrip() + "\n" for line in body.splitlines())
    yield from (f"failed: {visible(text)}\n" for text in outcome.trouble)
    if outcome.dashboard:
        yield f"dashboard {outcome.dashboard}\n"
    yield f"{_summary(outcome)}\n"


def _summary(outcome: Outcome) -> str:
    found = f"{outcome.findings} finding{'' if outcome.findings == 1 else 's'}"
    without = f", {outcome.without} without a repair that may be proposed" if outcome.without else ""
    return f"{visible(outcome.repository)} at {outcome.base[:12]}: {found}{without}."


def as_document(outcome: Outcome) -> dict[str, Any]:
    """For programs."""
    return {
        "repository": outcome.repository,
        "commit": outcome.base,
        "dry_run": outcome.dry,
        "findings": outcome.findings,
        "without_repair": outcome.without,
        "dashboard": outcome.dashboard or None,
        "errors": list(outcome.trouble),
        "actions": [
            {
                "step": str(item.action.step),
                "why": item.action.why,
                "title": item.action.title,
                "branch": item.action.branch,
                "url": item.url or None,
                "error": item.trouble or None,
                "warnings": list(item.warnings),
                "fingerprints": [finding.fingerprint for finding in item.action.proposal.findings]
                if item.action.proposal is not None
                else [],
            }
            for item in outcome.done
        ],
    }


def as_markdown(outcome: Outcome) -> Iterator[str]:
    """For a job's summary."""
    yield "## leakfix\n\n"
    yield f"{_cell(_summary(outcome))}\n\n"
    if outcome.done:
        yield "| | pull request | why |\n|---|---|---|\n"
    for item in outcome.done:
        title = _cell(item.action.title)
        link = f"[{title}]({item.url})" if item.url else title
        state, why = ("failed", item.trouble) if item.trouble else (_DONE[item.action.step], item.action.why)
        yield f"| {state} | {link} | {_cell(why)} |\n"
    yield from (f"\nFailed: {_cell(text)}\n" for text in outcome.trouble)


def _cell(text: str) -> str:
    shown = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("`", "\\`")
    return shown.replace("@", "&#64;").replace("[", "\\[").replace("]", "\\]")
