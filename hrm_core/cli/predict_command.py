"""`hrm predict`: what a snapshot's model answers, for tokens in a file or for a puzzle.

Command-line room. Heavy imports are inside.
"""

from __future__ import annotations

from pathlib import Path

import click

from hrm_core.cli.options import json_option, print_json, print_line, progress, runs_folder, runs_option
from hrm_core.errors import UserError

BATCH = 16


@click.command("predict")
@click.argument("snapshot", metavar="RUN|SNAPSHOT")
@click.option(
    "--tokens", type=click.Path(path_type=Path), metavar="IN.npz", help="tokens (N, T) int, identity (N,) int."
)
@click.option("--segments", type=click.IntRange(1, 1024), metavar="N", help="Segments (default: the recipe's).")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="OUT.npz", help="logits (N, T, V), halting_logits (N, 2), fp32."
)
@click.option("--weights", type=click.Choice(["evaluation", "raw"]), default="evaluation", show_default=True)
@runs_option
@json_option
def predict(
    snapshot: str,
    tokens: Path | None,
    segments: int | None,
    out: Path | None,
    weights: str,
    runs: Path | None,
    as_json: bool,
) -> None:
    """Predict with RUN (its last checkpoint), RUN@best, a promoted snapshot or a folder."""
    from hrm_core.runs.snapshot_names import find_snapshot

    folder = find_snapshot(runs_folder(runs), snapshot)
    if tokens is None or out is None:
        raise UserError("give --tokens IN.npz and --out OUT.npz")
    said = predict_tokens(folder, tokens, out, segments, weights)
    if as_json:
        print_json(said)
    else:
        print_line(f"{out}: logits {said['logits']} and halting logits after {said['segments']} segments")


def predict_tokens(folder: Path, tokens: Path, out: Path, segments: int | None, weights: str) -> dict[str, object]:
    """Reads, predicts in fp32 and writes; what was done."""
    from hrm_core.interchange.token_files import read_tokens, write_logits
    from hrm_core.training.checkpoint import load_snapshot

    batch = read_tokens(tokens)
    loaded = load_snapshot(folder, weights)
    count = segments or loaded.recipe.halting.max_segments
    with progress(f"predicting {folder.name}", len(batch.tokens)) as done:
        logits, halting = batch.predict(loaded.model, count, BATCH, done)
    write_logits(out, logits, halting)
    return {"snapshot": str(folder), "out": str(out), "segments": count, "logits": list(logits.shape)}
