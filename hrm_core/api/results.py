"""What the API gives back: frozen records, with plain numbers, lists and dicts wherever that is possible.

API room. Importing this loads no torch: a Model, the one that holds tensors, is made by `load`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from hrm_core.api.watching import Watch, disk_told, silent
from hrm_core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from hrm_core.recipe.schema import Recipe
    from hrm_core.runs import reader
    from hrm_core.runs.files import Row
    from hrm_core.training.checkpoint import Snapshot

BATCH: Final = 16
MOST_SEGMENTS: Final = 1024
Cells = list[list[int]]


@final
@dataclass(frozen=True)
class Logits:
    """logits (N, T, V) and halting_logits (N, 2; q_halt, q_continue), fp32, after so many segments."""

    logits: NDArray[np.float32]
    halting_logits: NDArray[np.float32]
    segments: int


@final
@dataclass(frozen=True)
class Model:
    """A snapshot's model, ready to predict. Its weights are the same after every call."""

    snapshot: Snapshot

    @property
    def path(self) -> Path:
        """The snapshot's folder."""
        return self.snapshot.path

    @property
    def name(self) -> str:
        """The run that it is of, or the folder's name."""
        return self.snapshot.run_id or self.snapshot.path.name

    @property
    def recipe(self) -> Recipe:
        """The recipe that it was trained with."""
        return self.snapshot.recipe

    @property
    def step(self) -> int:
        """The step of its training."""
        return self.snapshot.step

    @property
    def task_ids(self) -> tuple[str, ...]:
        """The tasks that it has an identity row for, in the order of the rows."""
        return self.snapshot.task_ids

    @property
    def weights(self) -> str:
        """Which weights it holds: "raw", or the name of the average."""
        return self.snapshot.weights

    def logits(
        self, tokens: ArrayLike, identity: ArrayLike, segments: int | None = None, *, watch: Watch = silent
    ) -> Logits:
        """Logits for tokens (N, T), integers 0 to 11 in raster order with T the square of a side up to 30, and
        identity (N,), each a row of the identity table. segments: how long it thinks (default: the recipe's).

        It computes in the number format that it was loaded with. UserError (2) for arrays that are not so.
        """
        import numpy as np

        from hrm_core.interchange.token_files import make_batch

        count = self.recipe.halting.max_segments if segments is None else segments
        if not 1 <= count <= MOST_SEGMENTS:
            raise UserError(f"segments={count}: give 1 to {MOST_SEGMENTS}")
        batch = make_batch(np.asarray(tokens), np.asarray(identity))
        with watch(f"predicting {self.path.name}", len(batch.tokens)) as done:
            logits, halting = batch.predict(self.snapshot.model, count, BATCH, done)
        return Logits(logits, halting, count)


@final
@dataclass(frozen=True)
class PuzzleAnswer:
    """Of one test: the best attempts (at most two, as ARC allows) as lists of rows, with the views that voted for each
    and their mean confidence. `right`: whether an attempt is; `copying_right`: whether the input itself would be; both
    None where no output was given."""

    task: str
    test: int
    input: Cells
    target: Cells | None
    attempts: tuple[Cells, ...]
    votes: tuple[int, ...]
    confidence: tuple[float, ...]
    right: bool | None
    copying_right: bool | None


@final
@dataclass(frozen=True)
class Predictions:
    """The tests of all puzzles in their order. `unknown`: tasks without an identity row of their own, for which one was
    trained; `adapt_seconds`: what test-time training took, None without any."""

    tests: tuple[PuzzleAnswer, ...]
    views: int
    step: int
    weights: str
    unknown: tuple[str, ...]
    adapt_seconds: float | None


@final
@dataclass(frozen=True)
class Evaluation:
    """One evaluation. `row` is what a run folder keeps of it, as JSON has it (`hrm eval --json` prints it)."""

    snapshot: Path
    row: dict[str, Any]

    @property
    def metrics(self) -> dict[str, float | None]:
        """Each measure; None where it was not measured."""
        found: dict[str, float | None] = self.row["metrics"]
        return found

    @property
    def trivial(self) -> dict[str, dict[str, float | None]]:
        """Of each measure, what each trivial predictor gets on the same samples."""
        found: dict[str, dict[str, float | None]] = self.row["trivial"]
        return found

    @property
    def lift(self) -> dict[str, float | None]:
        """Each measure less the best trivial predictor's."""
        found: dict[str, float | None] = self.row["lift"]
        return found


@final
@dataclass(frozen=True)
class RunView:
    """A run at the moment of the call; `view` has all of it (`hrm_core.runs.reader`)."""

    view: reader.RunView

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.view.run_id

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.view.folder

    @property
    def state(self) -> str:
        """starting, running, paused, stopping, finished, stopped, failed, lost or stalled."""
        return self.view.state

    @property
    def experiment(self) -> str:
        """The experiment's name."""
        return self.view.experiment

    @property
    def step(self) -> int | None:
        """The last step known."""
        return self.view.step

    @property
    def best(self) -> Row | None:
        """{metric, value, step} of the best full validation so far."""
        return self.view.best

    @disk_told()
    def metrics(self) -> tuple[Row, ...]:
        """All rows of its training log, the oldest first, read now; damaged lines are passed over."""
        from hrm_core.runs.reader import metrics_rows

        return tuple(metrics_rows(self.view.folder))

    @disk_told()
    def evaluations(self) -> tuple[Row, ...]:
        """All of its validations, the oldest first, read now; damaged lines are passed over."""
        from hrm_core.runs.reader import evaluation_rows

        return tuple(evaluation_rows(self.view.folder))


@final
@dataclass(frozen=True)
class RunResult:
    """A run that ended: `state` is finished, stopped or failed."""

    name: str
    folder: Path
    state: str
    run: RunView
