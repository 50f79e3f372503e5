"""The plan's names for families of puzzles, as far as they can be computed. families.toml -> members among the tasks.

Data room: the file beside this one maps each name to labels of `families` and values of `descriptors`, or says why
nothing can be computed. Loaded once and checked: a name that means nothing is a mistake of ours. Like the labels, these
families describe tables and decide nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from hrm_core.data.families import FAMILIES
from hrm_core.data.lanes import TaskTable
from hrm_core.data.schema import DESCRIPTOR_COLUMNS

FILE = Path(__file__).with_name("families.toml")
KEYS = {"name", "where", "rules", "of", "note", "not_computable"}

Members = dict[str, NDArray[np.bool_]]


@final
@dataclass(frozen=True)
class Rule:
    """Labels that a task has, labels that it lacks, and the least value of descriptors."""

    has: tuple[str, ...]
    lacks: tuple[str, ...]
    least: dict[str, int]

    def holds(self, labels: Mapping[str, NDArray[np.bool_]], tasks: TaskTable) -> NDArray[np.bool_]:
        """(T) bool."""
        found = np.ones(len(tasks), dtype=np.bool_)
        for name in self.has:
            found &= labels[name]
        for name in self.lacks:
            found &= ~labels[name]
        for name, least in self.least.items():
            found &= tasks.descriptors[name].numpy() >= least
        return found


@final
@dataclass(frozen=True)
class PlanFamily:
    """One name of the plan. `where`: what the plan says with it; `not_computable`: why not, empty if it is."""

    name: str
    where: str
    note: str
    rules: tuple[Rule, ...]
    of: tuple[str, ...]
    not_computable: str


@cache
def plan_families() -> tuple[PlanFamily, ...]:
    """All names, in the order of the file."""
    return parse_families(tomllib.loads(FILE.read_text(encoding="utf-8")))


def parse_families(document: Mapping[str, Any]) -> tuple[PlanFamily, ...]:
    """Checked content of a families.toml; ValueError names what is wrong with it."""
    if set(document) != {"family"}:
        raise ValueError("families.toml holds [[family]] tables only")
    found: list[PlanFamily] = []
    for table in document["family"]:
        name = table.get("name", "?")
        strange = sorted(set(table) - KEYS)
        if strange:
            raise ValueError(f"family {name}: {strange[0]} means nothing")
        if not table.get("where") or sum(key in table for key in ("rules", "of", "not_computable")) != 1:
            raise ValueError(f"family {name}: it needs `where` and one of rules, of, not_computable")
        if name in [other.name for other in found]:
            raise ValueError(f"family {name} is there twice")
        missing = [part for part in table.get("of", ()) if part not in [other.name for other in found]]
        if missing:
            raise ValueError(f"family {name}: {missing[0]} is no family before it")
        rules = tuple(_parse_rule(name, rule) for rule in table.get("rules", ()))
        of, reason = tuple(table.get("of", ())), table.get("not_computable", "")
        found.append(PlanFamily(name, table["where"], table.get("note", ""), rules, of, reason))
    return tuple(found)


def _parse_rule(name: str, rule: Mapping[str, Any]) -> Rule:
    has, lacks = tuple(rule.get("has", ())), tuple(rule.get("lacks", ()))
    least = {key: value for key, value in rule.items() if key not in ("has", "lacks")}
    strange = [label for label in has + lacks if label not in FAMILIES]
    strange += [key for key, value in least.items() if key not in DESCRIPTOR_COLUMNS or not isinstance(value, int)]
    if strange or not rule:
        raise ValueError(f"family {name}: {strange[0] if strange else 'an empty rule'} is no label and no descriptor")
    return Rule(has, lacks, least)


def plan_members(tasks: TaskTable, families: Sequence[PlanFamily] | None = None) -> Members:
    """Name -> (T) bool for every family that can be computed."""
    masks = tasks.families.numpy()
    labels = {name: (masks >> bit & 1).astype(np.bool_) for bit, name in enumerate(FAMILIES)}
    members: Members = {}
    for family in plan_families() if families is None else families:
        if family.not_computable:
            continue
        held = [rule.holds(labels, tasks) for rule in family.rules] + [members[name] for name in family.of]
        members[family.name] = np.logical_or.reduce(held)
    return members


def plan_family_counts(tasks: TaskTable) -> dict[str, dict[str, Any]]:
    """For each name of the plan: training and evaluation tasks (None where not computable), what it is taken for."""
    members, evaluation = plan_members(tasks), tasks.evaluation.numpy()
    counts: dict[str, dict[str, Any]] = {}
    for family in plan_families():
        held = members.get(family.name)
        counts[family.name] = {
            "training": None if held is None else int((held & ~evaluation).sum()),
            "evaluation": None if held is None else int((held & evaluation).sum()),
            "where": family.where,
            "taken_for": family.note,
            "not_computable": family.not_computable or None,
        }
    return counts


def plan_family_rows(tasks: TaskTable) -> list[list[str]]:
    """The counts as rows of text; the last cell says what the name is taken for, or why it cannot be computed."""
    rows = []
    for name, count in plan_family_counts(tasks).items():
        numbers = ["-" if count[kind] is None else str(count[kind]) for kind in ("training", "evaluation")]
        reason = count["not_computable"]
        rows.append([name, *numbers, f"not computable: {reason}" if reason else count["taken_for"]])
    return rows
