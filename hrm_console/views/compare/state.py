"""Which runs are compared, and what of them is listed. Pure; no Textual here.

app's runs + session -> `Chosen`: the baseline, the others, the one of them that tests are paired with. Settings that
differ and lists of tests are made here; words are in compare_words.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

from hrm_console.rows.listing import RunLine
from hrm_console.session import Session
from hrm_console.views.run.config import flat, written
from hrm_core.runs.files import mapping
from hrm_core.runs.paired import OUTCOMES, PairedRuns, PairedTest

FILTERS = ("changed", "all", *OUTCOMES)
ABSENT = "–"
# A run's name and place, not its settings.
LEFT_OUT = frozenset({"experiment"})


@final
@dataclass(frozen=True)
class Chosen:
    """runs: the baseline first; at: which of the others is paired with it, from 1."""

    runs: tuple[str, ...] = ()
    at: int = 1

    @property
    def baseline(self) -> str:
        """The run that others are held against; empty where there is none."""
        return self.runs[0] if self.runs else ""

    @property
    def other(self) -> str:
        """The run whose tests are paired with the baseline's; empty where there is none."""
        return self.runs[self.at] if 0 < self.at < len(self.runs) else ""

    @property
    def is_pair(self) -> bool:
        """Whether there is anything to compare."""
        return len(self.runs) > 1

    def turned(self, step: int) -> Chosen:
        """With the next or previous of the others."""
        return Chosen(self.runs, 1 + (self.at - 1 + step) % (len(self.runs) - 1)) if self.is_pair else self

    def swapped(self) -> Chosen:
        """With the other run as baseline, and the baseline in its place."""
        if not self.other:
            return self
        rest = tuple(self.baseline if name == self.other else name for name in self.runs[1:])
        return Chosen((self.other, *rest), self.at)


def chosen_runs(wanted: Sequence[str], session: Session, subject: str | None, there: Iterable[str]) -> Chosen:
    """The runs to compare, of those that are there: the wanted ones, else the marked ones with the baseline first, else
    the baseline and the run last looked at.
    """
    known = set(there)
    names = list(wanted) or [session.baseline, *session.marked]
    if not wanted and len({name for name in names if name in known}) < 2:
        names.append(subject or "")
    found = tuple(dict.fromkeys(name for name in names if name in known))
    return Chosen(found)


def differing(lines: Sequence[RunLine]) -> list[tuple[str, tuple[str, ...]]]:
    """Settings that are not alike in these runs: key, and each run's value as it is written."""
    recipes = [dict(flat(mapping(line.run_json, "recipe"))) for line in lines]
    keys = dict.fromkeys(key for recipe in recipes for key in recipe if key not in LEFT_OUT)
    rows = []
    for key in keys:
        values = tuple(written(recipe[key]) if key in recipe else ABSENT for recipe in recipes)
        if len(set(values)) > 1:
            rows.append((key, values))
    return rows


def listed_tests(paired: PairedRuns | None, kind: str, family: str) -> list[PairedTest]:
    """The tests of one outcome (or those that changed, or all), of one family or all; gained before lost."""
    wanted = {"changed": ("gained", "lost"), "all": OUTCOMES}.get(kind, (kind,))
    found = [] if paired is None else [test for outcome in wanted for test in paired.of(outcome)]
    return [test for test in found if not family or family in (test.families or ("no family",))]
