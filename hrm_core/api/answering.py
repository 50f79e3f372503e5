"""`predict`: what a model answers to the tests of puzzles.

API room: a Model and puzzles -> Predictions. How answers are voted for is `hrm_core.interchange.puzzles`'. Heavy
imports are inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hrm_core.api.results import Model, Predictions, PuzzleAnswer
from hrm_core.api.watching import Watch, disk_told, silent
from hrm_core.errors import UserError
from hrm_core.runs.text import clean

if TYPE_CHECKING:
    from hrm_core.interchange.puzzles import Adapting, Answered, Puzzle, PuzzleRunner

ATTEMPTS: Final = 2  # that ARC allows
MOST_VIEWS: Final = 2000
MOST_ADAPT: Final = 100_000
MOST_RATE: Final = 10
UNNAMED: Final = "task"


@disk_told()
def predict(
    model: Model,
    puzzles: str | Path | Mapping[str, Any] | Sequence[Puzzle],
    *,
    views: int | None = None,
    adapt: int | None = None,
    adapt_what: str = "all",
    adapt_rate: float = 0.5,
    watch: Watch = silent,
) -> Predictions:
    """The model's answers to every test of `puzzles`: a file of one task or of many by name, the same as a dict, or a
    list of `hrm_core.interchange.puzzles.Puzzle`. Outputs of tests may be left out. A dict of one task names it "task".

    views: how many vote (default: the recipe's, at most 16). adapt: steps of training on each task's demonstrations
    first, of its identity row ("rows") or of all weights ("all"), at adapt_rate times the recipe's learning rate; the
    model is as it was afterwards. UserError: a value out of its bounds (2); a puzzle that is not valid or too large for
    the model, or, without adapt, has no identity row (1).
    """
    from hrm_core.interchange.puzzles import without_row

    adapting = adapting_of(adapt, adapt_what, adapt_rate)
    if views is not None and not 1 <= views <= MOST_VIEWS:
        raise UserError(f"views={views}: give 1 to {MOST_VIEWS}")
    asked = _puzzles(puzzles)
    unknown = tuple(without_row(model.snapshot, asked))
    runner, answered = answers_of(model, asked, views, adapting, watch)
    seconds = None if adapting is None else round(runner.seconds, 3)
    tests = tuple(_prediction(test) for test in answered)
    return Predictions(tests, runner.views, model.step, model.weights, unknown, seconds)


def answers_of(
    model: Model, puzzles: Sequence[Puzzle], views: int | None, adapting: Adapting | None, watch: Watch
) -> tuple[PuzzleRunner, list[Answered]]:
    """All answers to every test, and what gave them; the model is as it was afterwards."""
    from hrm_core.interchange.puzzles import PuzzleRunner

    table = model.snapshot.model.rows.table
    try:
        runner = PuzzleRunner(model.snapshot, puzzles, views, adapting)
        total = runner.views * sum(len(puzzle.task.tests) for puzzle in puzzles)
        with watch(f"predicting with {model.name}", total) as done:
            return runner, runner.answers(done)
    finally:
        model.snapshot.model.rows.table = table  # without the rows of tasks that were new


def adapting_of(adapt: int | None, adapt_what: str, adapt_rate: float) -> Adapting | None:
    """Test-time training as it was asked for, None without steps. UserError (2) for a value out of its bounds."""
    from hrm_core.interchange.puzzles import Adapting

    if adapt is None:
        return None
    if not 1 <= adapt <= MOST_ADAPT:
        raise UserError(f"adapt={adapt}: give 1 to {MOST_ADAPT} steps")
    if adapt_what not in ("rows", "all"):
        raise UserError(f"adapt_what={clean(adapt_what)[:40]}: there are rows and all")
    if not 0 < adapt_rate <= MOST_RATE:
        raise UserError(f"adapt_rate={adapt_rate}: give a number above 0, up to {MOST_RATE}")
    return Adapting(adapt, "rows" if adapt_what == "rows" else "all", adapt_rate)


def _puzzles(given: str | Path | Mapping[str, Any] | Sequence[Puzzle]) -> Sequence[Puzzle]:
    from hrm_core.interchange.puzzles import parse_puzzles, read_puzzles

    if isinstance(given, str | Path):
        return read_puzzles(Path(given))
    found = parse_puzzles(dict(given), UNNAMED) if isinstance(given, Mapping) else given
    if not found:
        raise UserError("there are no puzzles to predict")
    return found


def _prediction(test: Answered) -> PuzzleAnswer:
    best = test.answers[:ATTEMPTS]
    return PuzzleAnswer(
        task=test.task,
        test=test.test,
        input=test.input.tolist(),
        target=None if test.target is None else test.target.tolist(),
        attempts=tuple(answer.grid.tolist() for answer in best),
        votes=tuple(answer.votes for answer in best),
        confidence=tuple(answer.confidence for answer in best),
        right=None if test.target is None else test.rank is not None and test.rank < ATTEMPTS,
        copying_right=test.copy_right,
    )
