"""`hrm bench deploy`: what one answer costs in PyTorch, torch.export, ONNX Runtime and AOTInductor here.

Command-line room. The files are written to a temporary folder and compared with the model; each runtime is timed in a
child process.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from hrm_core.cli.bench_pages import add_to_page, checkout, say
from hrm_core.cli.options import json_option, print_json, print_line, print_table, runs_folder, runs_option
from hrm_core.cli.snapshot_options import weights_option


@click.command("deploy")
@click.argument("snapshot", metavar="RUN|SNAPSHOT")
@click.option("--side", type=click.IntRange(1, 30), help="Canvas (default: the recipe's largest).")
@click.option("--segments", type=click.IntRange(1, 1024), metavar="N", help="Default: the recipe's.")
@click.option("--halt", is_flag=True, help="Stop when the halting head says so.")
@weights_option
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default=None, help="Default: cuda where there is one.")
@click.option("--report", is_flag=True, help="Also add a section to docs/benchmarks/deploy-DEVICE.md in the checkout.")
@runs_option
@json_option
def deploy(
    snapshot: str,
    side: int | None,
    segments: int | None,
    halt: bool,
    weights: str,
    device: str | None,
    report: bool,
    runs: Path | None,
    as_json: bool,
) -> None:
    """Time one answer (batch 1, 30 calls) of a snapshot in every runtime, and what file and process take."""
    if report:
        checkout()  # refused before anything is measured
    from hrm_core.runs.snapshot_names import find_snapshot

    found = find_snapshot(runs_folder(runs), snapshot)
    import torch

    from hrm_core.benchmarks.deploy import measure_deploy
    from hrm_core.benchmarks.deploy_page import COLUMNS, cells, machine_line, page, shape_line
    from hrm_core.benchmarks.machine import require_gpu
    from hrm_core.training.checkpoint import load_snapshot

    if device == "cuda":
        require_gpu("hrm bench deploy --device cuda", "leave --device out")
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    loaded = load_snapshot(found, weights, device=chosen)
    with tempfile.TemporaryDirectory(prefix="hrm-deploy-") as made:
        measured = measure_deploy(loaded, Path(made), side, segments, halt, weights, say)
    if report:
        add_to_page(f"deploy-{measured.machine.slug}.md", lambda earlier: page(earlier, measured))
    if as_json:
        print_json(asdict(measured))
        return
    print_table(COLUMNS, [cells(cost) for cost in measured.costs])
    print_line(shape_line(measured))
    print_line(machine_line(measured))
