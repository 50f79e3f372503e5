"""`hrm export`: a snapshot's model as a file for another runtime.

Command-line room. `hrm_core.interchange.export_model` does it; heavy imports are inside.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hrm_core.cli.options import json_option, print_json, print_line, progress, runs_folder, runs_option
from hrm_core.cli.snapshot_options import weights_option

if TYPE_CHECKING:
    from hrm_core.interchange.run_exported import Format

FORMATS = ("safetensors", "torch-export", "onnx", "aoti")


@click.command("export")
@click.argument("snapshot", metavar="RUN|SNAPSHOT")
@click.option("--to", type=click.Choice(FORMATS), required=True, help="Weights alone, or a program with its loop.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE|FOLDER", help="Where it goes.")
@click.option("--side", type=click.IntRange(1, 30), help="Canvas (default: the recipe's largest).")
@click.option("--segments", type=click.IntRange(1, 1024), metavar="N", help="Default: the recipe's.")
@click.option("--halt", is_flag=True, help="Stop when the halting head says so, at the latest after the segments.")
@click.option("--batch", type=click.IntRange(1, 256), default=1, show_default=True, help="Samples in a call, fixed.")
@weights_option
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@runs_option
@json_option
def export(
    snapshot: str,
    to: Format,
    out: Path,
    side: int | None,
    segments: int | None,
    halt: bool,
    batch: int,
    weights: str,
    device: str,
    runs: Path | None,
    as_json: bool,
) -> None:
    """Write the model of RUN (its last checkpoint), RUN@best or a folder, fp32, for one canvas; it is opened again and
    compared with the original before it is called done. Inputs: tokens (B, T) int32, identity row (B,) int64; outputs:
    token logits (B, T, V), halting logits (B, 2). docs/deploy.md tells more."""
    from hrm_core.runs.snapshot_names import find_snapshot

    folder = find_snapshot(runs_folder(runs), snapshot)
    from hrm_core.interchange.export_model import check_possible, export_model, facts_of, place_of
    from hrm_core.training.checkpoint import load_snapshot

    check_possible(to, device)
    loaded = load_snapshot(folder, weights, device=device)
    facts = facts_of(loaded, to, side, segments, batch, halt)
    place_of(out, facts)
    with progress(f"exporting {folder.name} to {to}"):
        made = export_model(loaded, facts, out)
    if as_json:
        numbers = {"bytes": made.bytes, "sha256": made.sha256, "seconds": round(made.seconds, 3)}
        errors = {"error": made.error, "logits_error": made.logits_error, "halting_error": made.halting_error}
        print_json({"snapshot": str(folder), "path": str(made.path), **asdict(facts), **numbers, **errors})
        return
    loop = (
        "the loop is not in it"
        if to == "safetensors"
        else f"halting within {facts.segments} segments"
        if halt
        else (f"{facts.segments} segments")
    )
    print_line(f"{made.path}: {made.bytes / 2**20:.1f} MiB, sha256 {made.sha256}")
    print_line(f"side {facts.side}, batch {facts.batch}, {facts.identity_rows} identity rows, {loop}")
    print_line(f"opened again and compared: relative error {made.error:.2e} ({made.seconds:.1f} s in all)")
