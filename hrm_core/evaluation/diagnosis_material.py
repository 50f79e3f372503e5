"""What a diagnosis is made from and made of: plain frozen records, and which rows can be trusted to be whole.

Evaluation room. Filled by `diagnosis.gather`; nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

from hrm_core.evaluation.remedies import named, remedies
from hrm_core.recipe.schema import Recipe
from hrm_core.runs.files import Row, integer, items, mapping, number, string
from hrm_core.runs.layout import RunFolder

MOST_EVIDENCE = 3


@final
@dataclass(frozen=True)
class Puzzle:
    """One piece of evidence: a test of a task, and what is wrong with its answer."""

    task: str
    test: int
    what: str


@final
@dataclass(frozen=True)
class Finding:
    """One thing that holds a run back. gravity: 0 to 1, what it is ordered by; experiments: best first."""

    name: str
    gravity: float
    sentence: str
    advice: str
    numbers: dict[str, Any]
    evidence: tuple[Puzzle, ...]
    experiments: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@final
@dataclass(frozen=True)
class Diagnosis:
    """All findings about a run at its last validation, gravest first, and what could not be looked at."""

    run_id: str
    step: int
    kind: str
    split: str
    pairs: int
    findings: tuple[Finding, ...]
    not_looked_at: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@final
@dataclass(frozen=True)
class Material:
    """A run folder's content. row: the last full evaluation row (the last of any kind where there is none); rows: all
    evaluation rows; metrics: all rows of the training log; records: predictions of the last full validation; missing:
    gets a phrase for each thing that could not be looked at.
    """

    layout: RunFolder
    recipe: Recipe
    row: Row
    rows: tuple[Row, ...]
    metrics: tuple[Row, ...]
    records: tuple[Row, ...]
    policy: Row
    max_steps: int
    missing: list[str]


def is_sound(row: Row) -> bool:
    """Whether an evaluation row has what the alarms read from it, in the right types."""
    histogram = items(mapping(row, "halting"), "histogram")
    return (
        None not in (integer(row, "step"), integer(row, "pairs"), integer(row, "oversize"), number(row, "score"))
        and None not in (string(row, "kind"), string(row, "split"), number(mapping(row, "metrics"), "exact"))
        and all(isinstance(count, int) for count in histogram)
        and ("loss" in row and (row["loss"] is None or number(row, "loss") is not None))
    )


def make_finding(
    name: str,
    gravity: float,
    sentence: str,
    advice: str,
    numbers: Mapping[str, Any],
    evidence: tuple[Puzzle, ...] = (),
    experiments: tuple[str, ...] | None = None,
) -> Finding:
    """A finding with the experiments that address it (default: those of `remedies`); its advice ends in their names."""
    experiments = remedies(name) if experiments is None else experiments
    said = " ".join(part for part in (advice, f"Experiments: {named(experiments)}." if experiments else "") if part)
    return Finding(name, gravity, sentence, said, dict(numbers), evidence[:MOST_EVIDENCE], experiments)
