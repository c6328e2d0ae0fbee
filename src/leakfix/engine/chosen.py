"""What settings choose of all there is: which rules a file is looked at for, and what of it is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leakfix.analysis import Rules
from leakfix.codemod import GoPatternCodemod, PatternCodemod
from leakfix.config import Config
from leakfix.finding import Category
from leakfix.project.baseline import Baseline
from leakfix.project.prefilter import Triggers
from leakfix.registry import Registry


@dataclass(frozen=True)
class Chosen:
    """What the settings of a file choose. config is kept so that its identity stays its own.

    names: all rules that are selected.
    """

    config: Config
    names: frozenset[str]
    rules: Rules
    patterns: Mapping[str, PatternCodemod]
    go_patterns: Mapping[str, GoPatternCodemod]
    triggers: Triggers
    baseline: Baseline

    @classmethod
    def of(cls, config: Config, registry: Registry) -> Chosen:
        """What settings choose. Raises ConfigError where their baseline is none."""
        selected = {name: each for name, each in registry.codemods.items() if config.selected(name, each.category)}
        every = registry.codemods.items()
        resources = {each.resource: (name, Category(each.category)) for name, each in every if each.resource}
        rules = Rules(resources, config.wishes_for)
        patterns = {name: each.pattern for name, each in selected.items() if each.pattern}
        plain = {name: item for name, item in patterns.items() if not item.refines}
        triggers = Triggers({name: (item.imports, item.words, item.shape) for name, item in plain.items()})
        go_patterns = {name: each.go_pattern for name, each in selected.items() if each.go_pattern}
        return cls(config, frozenset(selected), rules, patterns, go_patterns, triggers, Baseline.of(config))
