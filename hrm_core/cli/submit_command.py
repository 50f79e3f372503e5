"""`hrm submit`: Kaggle's submission.json from one or more snapshots, or a check of one.

Command-line room. The form and the votes are `hrm_core.interchange.submission`'s; heavy imports are inside.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import click

from hrm_core.cli.options import clean, json_option, print_json, print_line, progress, runs_folder, runs_option
from hrm_core.cli.snapshot_options import adapting_options
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from hrm_core.interchange.puzzles import Answered, Puzzle


@final
@dataclass(frozen=True)
class Asked:
    """How the snapshots are to answer."""

    views: int | None
    adapt: int | None
    adapt_what: Literal["rows", "all"]
    adapt_rate: float
    fill: bool


@click.command("submit")
@click.argument("snapshots", nargs=-1, metavar="RUN|SNAPSHOT...")
@click.option("--challenges", type=click.Path(path_type=Path), required=True, metavar="FILE", help="*_challenges.json")
@click.option("--solutions", type=click.Path(path_type=Path), metavar="FILE", help="Also score it, beside copying.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("submission.json"), show_default=True, metavar="FILE"
)
@click.option("--check", type=click.Path(path_type=Path), metavar="FILE", help="Check this submission, make none.")
@click.option("--views", type=click.IntRange(1, 2000), default=None, help="Views of a snapshot that vote.")
@adapting_options
@click.option("--fill", is_flag=True, help="Tasks that no snapshot can answer get the input and a black grid.")
@runs_option
@json_option
def submit(
    snapshots: tuple[str, ...],
    challenges: Path,
    solutions: Path | None,
    out: Path,
    check: Path | None,
    runs: Path | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Make submission.json: two distinct attempts at every test of FILE, by the votes of all SNAPSHOTs."""
    from hrm_core.interchange.puzzles import read_puzzles
    from hrm_core.interchange.submission import check_submission, read_solutions
    from hrm_core.runs.atomic import explain_os_error, write_bytes

    if (check is None) == (not snapshots):
        raise UserError("give snapshots to make a submission, or --check FILE to look at one")
    puzzles = read_puzzles(challenges)
    targets = None if solutions is None else read_solutions(solutions, puzzles)
    said: dict[str, Any] = {"tasks": len(puzzles)}
    if check is not None:
        out, made = check, _read(check)
    else:
        made, said["filled"], said["snapshots"] = _make(snapshots, puzzles, runs_folder(runs), Asked(**asked))
    checked = check_submission(made, puzzles)
    if check is None:
        try:
            write_bytes(out, (json.dumps(made) + "\n").encode("ascii"))
        except OSError as error:
            raise explain_os_error(error) from error
    said |= {"submission": str(out), "tests": checked.tests, "same": checked.same}
    if targets is not None:
        said |= _scores(made, puzzles, targets)
    if as_json:
        print_json(said)
    else:
        _print(said, check is not None)


def _read(path: Path) -> Any:
    from hrm_core.data.parse import BadTask, read_json

    try:
        return read_json(path)
    except BadTask as error:
        raise UserError(f"{clean(str(path))}: {clean(str(error))}", 1) from None


def _scores(made: Any, puzzles: list[Puzzle], targets: Any) -> dict[str, float]:
    from hrm_core.interchange.submission import copying, score

    return {"score": score(made, targets), "copying_score": score(copying(puzzles), targets)}


def _make(
    words: tuple[str, ...], puzzles: list[Puzzle], runs: Path, asked: Asked
) -> tuple[Any, int, list[dict[str, Any]]]:
    """The submission, how many attempts no model made, and what each snapshot answered."""
    from hrm_core.interchange.submission import submission_of, vote
    from hrm_core.runs.snapshot_names import find_snapshot

    folders = [find_snapshot(runs, word) for word in words]
    answered, rows = [], []
    for folder in folders:
        found, row = _answers(folder, puzzles, asked)
        answered.append(found)
        rows.append({"snapshot": str(folder), **row})
    left = {puzzle.task.id for puzzle in puzzles} - {test.task for one in answered for test in one}
    if left and not asked.fill:
        raise UserError(
            f"no snapshot can answer task {clean(sorted(left)[0])} and {len(left) - 1} more: no identity row, or no "
            "canvas that holds it.\n--adapt STEPS trains rows on demonstrations; --fill writes the input instead.",
            1,
        )
    chosen = vote(puzzles, answered)
    return submission_of(puzzles, chosen), sum(one.filled for one in chosen.values()), rows


def _answers(folder: Path, puzzles: list[Puzzle], asked: Asked) -> tuple[list[Answered], dict[str, Any]]:
    from hrm_core.interchange.puzzles import Adapting, PuzzleRunner, answerable
    from hrm_core.training.checkpoint import load_snapshot
    from hrm_core.training.setup import apply_device, choose_device
    from hrm_core.training.snapshot_files import read_recipe

    chosen = choose_device(read_recipe(folder).training)
    apply_device(chosen, False)
    loaded = load_snapshot(folder, "evaluation", chosen.dtype, chosen.device)
    mine = answerable(loaded, puzzles, asked.adapt is not None)
    if not mine:
        return [], {"tasks": 0, "adapt_seconds": 0.0}
    adapting = None if asked.adapt is None else Adapting(asked.adapt, asked.adapt_what, asked.adapt_rate)
    runner = PuzzleRunner(loaded, mine, asked.views, adapting)
    with progress(
        f"answering with {loaded.run_id or folder.name}", runner.views * sum(len(one.task.tests) for one in mine)
    ) as done:
        found = runner.answers(done)
    return found, {"tasks": len(mine), "adapt_seconds": round(runner.seconds, 3)}


def _print(said: dict[str, Any], checked: bool) -> None:
    print_line(
        f"{said['submission']}: {'valid' if checked else 'written'}, {said['tasks']} tasks, {said['tests']} tests"
    )
    for row in said.get("snapshots", []):
        adapted = f", adapting took {row['adapt_seconds']:.1f} s" if row["adapt_seconds"] else ""
        print_line(f"  {row['snapshot']}: {row['tasks']} tasks{adapted}")
    if said.get("filled"):
        print_line(f"{said['filled']} attempts are no model's: the input or a black grid, where answers were too few")
    if said["same"]:
        print_line(f"{said['same']} tests have the same attempt twice")
    if "score" in said:
        print_line(
            f"score {100 * said['score']:.2f} % (the input and a black grid: {100 * said['copying_score']:.2f} %)"
        )
