"""`hrm predict`: what a snapshot's model answers, to a puzzle in a file or to tokens.

Command-line room: a snapshot and TASK.json -> two answers for each test, drawn or as JSON; or IN.npz -> OUT.npz.
Heavy imports are inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import click

from hrm_core.cli.options import json_option, print_json, print_line, progress, runs_folder, runs_option
from hrm_core.cli.snapshot_options import adapting_options, weights_option
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from hrm_core.api.results import Predictions, PuzzleAnswer


@final
@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line, beside the snapshot."""

    puzzle: Path | None
    name: str | None
    views: int | None
    adapt: int | None
    adapt_what: Literal["rows", "all"]
    adapt_rate: float
    tokens: Path | None
    segments: int | None
    out: Path | None
    weights: str


@click.command("predict")
@click.argument("snapshot", metavar="RUN|SNAPSHOT")
@click.argument("puzzle", type=click.Path(path_type=Path), required=False, metavar="[TASK.json]")
@click.option("--task", "name", metavar="NAME", help="Of a file with several tasks, this one.")
@click.option(
    "--views", type=click.IntRange(1, 2000), default=None, help="Views that vote (default: the recipe's, at most 16)."
)
@adapting_options
@click.option(
    "--tokens", type=click.Path(path_type=Path), metavar="IN.npz", help="tokens (N, T), identity (N,) integers."
)
@click.option("--segments", type=click.IntRange(1, 1024), metavar="N", help="With --tokens (default: the recipe's).")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="OUT.npz", help="logits (N, T, V), halting_logits (N, 2), fp32."
)
@weights_option
@runs_option
@json_option
def predict(snapshot: str, runs: Path | None, as_json: bool, **asked: Any) -> None:
    """Predict the tests of TASK.json, or logits for --tokens, with RUN (its last checkpoint), RUN@best or a folder."""
    from hrm_core.runs.snapshot_names import find_snapshot

    given = Asked(**asked)
    if (given.puzzle is None) == (given.tokens is None):
        raise UserError("give either TASK.json, or --tokens IN.npz and --out OUT.npz")
    if given.tokens is not None and given.out is None:
        raise UserError("--tokens needs --out OUT.npz")
    if given.puzzle is not None and (given.out is not None or given.segments is not None):
        raise UserError("--out and --segments belong to --tokens; --json prints the grids of TASK.json")
    folder = find_snapshot(runs_folder(runs), snapshot)
    if given.puzzle is None:
        said = predict_tokens(folder, given)
        if as_json:
            print_json(said)
        else:
            print_line(f"{given.out}: logits {said['logits']} and halting logits after {said['segments']} segments")
        return
    found, head = predict_puzzles(folder, given)
    if as_json:
        print_json({"snapshot": str(folder), **head, "tests": [as_row(test) for test in found.tests]})
    else:
        _print(found, head)


def predict_tokens(folder: Path, asked: Asked) -> dict[str, Any]:
    """Reads, predicts in fp32 and writes; what was done."""
    from hrm_core.api.results import Model
    from hrm_core.interchange.token_files import read_tokens, write_logits
    from hrm_core.training.checkpoint import load_snapshot

    assert asked.tokens is not None and asked.out is not None
    batch = read_tokens(asked.tokens)
    # On the CPU with all of its cores: a comparison of numbers, not what a run would do.
    model = Model(load_snapshot(folder, asked.weights))
    found = model.logits(batch.tokens, batch.identity, asked.segments, watch=progress)
    write_logits(asked.out, found.logits, found.halting_logits)
    return {
        "snapshot": str(folder),
        "out": str(asked.out),
        "segments": found.segments,
        "logits": list(found.logits.shape),
    }


def predict_puzzles(folder: Path, asked: Asked) -> tuple[Predictions, dict[str, Any]]:
    """The answers to every test of the file, and what was done for them."""
    from hrm_core import api
    from hrm_core.interchange.puzzles import read_puzzles

    assert asked.puzzle is not None
    puzzles = read_puzzles(asked.puzzle, asked.name)
    found = api.predict(
        api.load(folder, weights=asked.weights),
        puzzles,
        views=asked.views,
        adapt=asked.adapt,
        adapt_what=asked.adapt_what,
        adapt_rate=asked.adapt_rate,
        watch=progress,
    )
    head = {"step": found.step, "weights": found.weights, "views": found.views, "unknown": list(found.unknown)}
    if asked.adapt is not None:
        head |= {"adapt": asked.adapt, "adapt_what": asked.adapt_what, "adapt_seconds": found.adapt_seconds}
    return found, head


def as_row(test: PuzzleAnswer) -> dict[str, Any]:
    """For --json: grids as lists, as ARC's files have them."""
    return {
        "task": test.task,
        "test": test.test,
        "attempts": list(test.attempts),
        "votes": list(test.votes),
        "confidence": list(test.confidence),
        "right": test.right,
        "copying_right": test.copying_right,
    }


def _print(found: Predictions, head: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for name in found.unknown:
        print_line(f"{name}: no identity row; one was trained from the mean of the others")
    if "adapt" in head:
        moved = "its identity row" if head["adapt_what"] == "rows" else "all weights"
        print_line(
            f"adapted in {head['adapt']} steps on each task's demonstrations ({moved}): {head['adapt_seconds']:.1f} s"
        )
    for test in found.tests:
        _print_test(console, test, found.views)


def _print_test(console: Console, test: PuzzleAnswer, views: int) -> None:
    import numpy as np
    from rich.text import Text

    from hrm_core.cli.options import clean
    from hrm_core.data.draw import ShownPair, pair_lines

    console.print(Text(f"\n{clean(test.task)}, test {test.test + 1}: {verdict(test)}", style="bold"))
    colored = console.color_system is not None and not console.no_color
    given = np.array(test.input, np.uint8)
    for number, attempt in enumerate(test.attempts):
        size = f"{len(attempt)}x{len(attempt[0])}"
        votes, confidence = test.votes[number], test.confidence[number]
        console.print(Text(f"attempt {number + 1}, {size}: {votes} of {views} views, confidence {confidence:.2f}"))
        for line in pair_lines(ShownPair("", given, np.array(attempt, np.uint8)), console.width, colored):
            console.print(line)
    if not test.attempts:
        console.print(Text("no view gave a grid"))


def verdict(test: PuzzleAnswer) -> str:
    """Whether an attempt is right, beside whether copying the input would be."""
    if test.target is None:
        return "no output is given to compare with"
    said = f"attempt {test.attempts.index(test.target) + 1} is right" if test.right else "no attempt is right"
    return f"{said} (copying the input: {'right' if test.copying_right else 'wrong'})"
