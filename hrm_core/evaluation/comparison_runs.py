"""What a comparison needs of a run, read from its folder.

Evaluation room: run folder -> `RunFacts`: recipe, seed, how it ended, the full validations in order, the training log,
and where it was (segments, seconds, joules) at any step. Which tests a validation solved comes from the predictions
that are kept. Only `hrm_core.runs` opens files. Measures are in `comparison_measures.py`; no torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from hrm_core.errors import UserError
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.toml_io import from_toml
from hrm_core.runs.files import Row, integer, mapping, number, read_small, string
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.predictions import read_predictions, steps_kept
from hrm_core.runs.reader import best_trivial, evaluation_rows, metrics_rows, read_run
from hrm_core.runs.text import clean


@final
@dataclass(frozen=True)
class Place:
    """How far a run was: steps, segments, seconds of training, joules (None where power was not measured)."""

    step: int
    segments: int
    seconds: float | None
    joules: float | None


@final
@dataclass(frozen=True)
class RunFacts:
    """One run. `full`: its full validations by step, of each step the last written; `metrics`: the training log."""

    folder: Path
    state: str
    recipe: Recipe
    run_json: Row
    result: Row
    full: tuple[Row, ...]
    metrics: tuple[Row, ...]

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return RunFolder(self.folder).run_id

    @property
    def seed(self) -> int:
        """The recipe's seed."""
        return self.recipe.training.seed

    @property
    def began_from(self) -> str:
        """The snapshot that its first weights came from, RUN@STEP; empty if it began with drawn ones."""
        parent = mapping(self.run_json, "parent")
        return f"{string(parent, 'run', 200)}@{integer(parent, 'step')}" if parent else ""

    @property
    def final(self) -> Row | None:
        """The full validation of the last step of a finished run; None for any other run."""
        if self.state != "finished" or not self.full:
            return None
        ended = integer(self.result, "step")
        return self.full[-1] if ended is None or self.full[-1]["step"] == ended else None

    @property
    def score(self) -> float | None:
        """Val `exact` of the last step's evaluation weights: what verdicts are about."""
        return exact_of(self.final)

    @property
    def best(self) -> float | None:
        """The highest `exact` of its full validations."""
        return max((value for row in self.full if (value := exact_of(row)) is not None), default=None)

    @property
    def tests(self) -> tuple[str, int, int, str]:
        """What the final validation was made on: split, pairs, tasks, digest of the data. Equal or not comparable."""
        row = self.full[-1] if self.full else {}
        pairs = integer(row, "pairs") or 0
        digest = string(self.run_json, "data_digest") or ""
        return string(row, "split") or "", pairs, integer(row, "tasks") or pairs, digest

    def place(self, step: int) -> Place:
        """Where the run was at `step`, from the last row of the training log up to it."""
        rows = [row for row in self.metrics if row["step"] <= step]
        slots = self.recipe.training.batch * self.recipe.training.accumulation
        seconds = number(rows[-1], "elapsed_s") if rows else None
        return Place(step, step * slots, seconds, joules_of(rows))


def exact_of(row: Row | None) -> float | None:
    """`exact` of a validation row."""
    return number(mapping(row, "metrics"), "exact")


def trivial_of(row: Row | None) -> tuple[str, float] | None:
    """The best trivial predictor's name and `exact` on the same tests."""
    return best_trivial(row, "exact")


def joules_of(rows: Sequence[Row]) -> float | None:
    """Energy of these rows of the training log: power x time between rows; None where a row lacks either."""
    if not rows:
        return None
    total, before = 0.0, 0.0
    for row in rows:
        power, now = number(row, "power_w"), number(row, "elapsed_s")
        if power is None or now is None:
            return None
        total += power * (now - before)
        before = now
    return total


def read_facts(folder: Path | RunFolder) -> RunFacts:
    """A run as it is now. UserError (1) if its recipe cannot be read."""
    layout = RunFolder.of(folder)
    view = read_run(layout)
    name = clean(layout.run_id)
    try:
        recipe = from_toml((read_small(layout.recipe_toml) or b"").decode("utf-8"))
    except (UserError, UnicodeDecodeError) as error:
        why = error.message.split("\n")[0] if isinstance(error, UserError) else "it is no text"
        raise UserError(f"run {name} cannot be compared: its recipe.toml cannot be read ({clean(why)}).", 1) from error
    if view.run_json == {}:
        raise UserError(f"run {name} cannot be compared: its run.json is missing or damaged.", 1)
    by_step = {row["step"]: row for row in evaluation_rows(layout) if row.get("kind") == "full"}
    full = tuple(by_step[step] for step in sorted(by_step))
    rows = sorted(metrics_rows(layout), key=lambda row: int(row["step"]))
    return RunFacts(layout.path, view.state, recipe, view.run_json, view.result or {}, full, tuple(rows))


def solved_tests(run: RunFacts, step: int) -> dict[str, bool]:
    """`task:test` -> solved, at a validation whose predictions are kept; empty if they are not."""
    found = {}
    for record in read_predictions(run.folder, step):
        task, test, exact = string(record, "task"), integer(record, "test"), record.get("exact")
        if task is not None and test is not None and isinstance(exact, bool):
            found[f"{task}:{test}"] = exact
    return found


def kept_full_steps(run: RunFacts) -> list[int]:
    """Steps of full validations whose predictions are kept, in order."""
    known = {int(row["step"]) for row in run.full}
    return [step for step in steps_kept(run.folder) if step in known]
