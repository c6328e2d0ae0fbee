"""What the tools give, as models: the protocol's JSON schemas are made of them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Step(BaseModel):
    """One line of the path on which a finding leaks."""

    line: int
    what: str


class Fix(BaseModel):
    """A repair that was verified: the repaired file compiles, and the finding is gone."""

    title: str
    safety: Literal["safe", "review"] = Field(description="safe: can be applied blindly; review: read the title first")


class Finding(BaseModel):
    """One place that leaks. Lines and columns count from 1, columns in characters, ends are exclusive."""

    rule: str
    category: Literal["leak", "growth", "advice"]
    severity: Literal["error", "warning", "note"]
    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    function: str
    message: str
    resource: str
    held: Literal["forever", "until-gc", "until-unreferenced"] | None = Field(description="how long what leaks is kept")
    witness: list[Step] = Field(description="the path on which it leaks: acquired, raising or leaving, the exit")
    fingerprint: str = Field(description="stays the same when lines move; names the finding in `apply`")
    fix: Fix | None
    refusal: str | None = Field(description="why there is no fix; the code has to be changed by hand")


class FileError(BaseModel):
    """A file that could not be read, parsed or written, and why."""

    path: str
    message: str


class Summary(BaseModel):
    """How much was looked at."""

    files: int
    parsed: int
    findings: int
    fixable: int
    seconds: float


class Checked(BaseModel):
    """What a check found; the object that `leakfix check --output-format json` prints."""

    model_config = ConfigDict(populate_by_name=True)

    leakfix: str
    version_of_schema: int = Field(alias="schema")
    findings: list[Finding]
    errors: list[FileError]
    summary: Summary


class Left(BaseModel):
    """A finding that is not repaired, and why."""

    rule: str
    path: str
    line: int
    fingerprint: str
    message: str
    reason: str


class Repaired(BaseModel):
    """A finding that is repaired. line: where it stood."""

    rule: str
    path: str
    line: int
    fingerprint: str
    fix: Fix


class Difference(BaseModel):
    """What `apply` would write with the same arguments."""

    diff: str = Field(description="a unified diff for `git apply`; empty where nothing would be written")
    repaired: list[Repaired]
    left: list[Left]
    errors: list[FileError]


class Applied(BaseModel):
    """What was written."""

    written: list[str] = Field(description="files that were replaced, manifests included")
    repaired: list[Repaired]
    refused: list[FileError] = Field(description="files that were left as they are, and why")
    left: list[Left] = Field(description="findings that remain, and why")
    errors: list[FileError]


class Rule(BaseModel):
    """A rule."""

    name: str
    category: Literal["leak", "growth", "advice"]
    repairs: str = Field(description="what its repair does")


class Rules(BaseModel):
    """All rules."""

    rules: list[Rule]


class Explanation(BaseModel):
    """What a rule is about."""

    name: str
    category: Literal["leak", "growth", "advice"]
    what_leaks: str
    why_it_hurts: str
    how_it_is_repaired: str
    when_it_is_left_alone: str
    allow: str = Field(description="the comment that allows it, on the line that acquires or on the def around it")
