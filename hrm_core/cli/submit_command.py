"""`hrm submit`: Kaggle's submission.json from one or more snapshots, or a check of one.

Command-line room. The form and the votes are `hrm_core.interchange.submission`'s; heavy imports are inside.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hrm_core.cli.options import clean, json_option, print_json, print_line, progress, runs_folder, runs_option
from hrm_core.cli.snapshot_options import adapting_options
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from hrm_core.interchange.puzzles import Adapting, Answered, Puzzle


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
    views: int | None,
    fill: bool,
    **asked: Any,
) -> None:
    """Make submission.json: two distinct attempts at every test of FILE, by the votes of all SNAPSHOTs."""
    from hrm_core.api.answering import adapting_of
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
        made, said["filled"], said["snapshots"] = _make(
            snapshots, puzzles, runs_folder(runs), fill, views, adapting_of(**asked)
        )
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
    words: tuple[str, ...],
    puzzles: list[Puzzle],
    runs: Path,
    fill: bool,
    views: int | None,
    adapting: Adapting | None,
) -> tuple[Any, int, list[dict[str, Any]]]:
    """The submission, how many attempts no model made, and what each snapshot answered."""
    from hrm_core.interchange.submission import submission_of, vote
    from hrm_core.runs.snapshot_names import find_snapshot

    folders = [find_snapshot(runs, word) for word in words]  # all, before the first takes its time
    answered, rows = [], []
    for folder in folders:
        found, row = _answers(folder, puzzles, views, adapting)
        answered.append(found)
        rows.append({"snapshot": str(folder), **row})
    left = {puzzle.task.id for puzzle in puzzles} - {test.task for one in answered for test in one}
    if left and not fill:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        raise UserError(
            f"no snapshot can answer task {clean(sorted(left)[0])}{more}: no identity row, or no canvas "
            "that holds it.\n--adapt STEPS trains rows on demonstrations; --fill writes the input instead.",
            1,
        )
    chosen = vote(puzzles, answered)
    return submission_of(puzzles, chosen), sum(one.filled for one in chosen.values()), rows


def _answers(
    folder: Path, puzzles: list[Puzzle], views: int | None, adapting: Adapting | None
) -> tuple[list[Answered], dict[str, Any]]:
    from hrm_core.api import load
    from hrm_core.api.answering import answers_of
    from hrm_core.interchange.puzzles import answerable

    model = load(folder)
    mine = answerable(model.snapshot, puzzles, adapting is not None)
    if not mine:
        return [], {"tasks": 0, "adapt_seconds": 0.0}
    runner, found = answers_of(model, mine, views, adapting, progress)
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
