"""`hrm bench kernels`, `hrm bench tune` and `hrm bench aot`: operations against their peers, and their launch tables.

Command-line room: options -> a table, a page under `docs/benchmarks`, or rewritten launch tables. What is measured and
how is in `hrm_core/benchmarks`.
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING

import click

from hrm_core.cli.bench_pages import checkout, say
from hrm_core.cli.options import json_option, print_json, print_line, print_table, progress
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from hrm_core.benchmarks.kernels import Report

op_option = click.option(
    "--op",
    "--ops",
    "ops",
    multiple=True,
    metavar="OP",
    help="An operation, or several with commas; may be given more than once (default: all).",
)


def chosen_operations(ops: tuple[str, ...]) -> tuple[str, ...]:
    """The operations asked for, or all. UserError for a name that is none."""
    from triton_kernels.runtime import OPERATIONS

    ops = tuple(op for given in ops for op in given.split(",") if op)
    for op in ops:
        if op not in OPERATIONS:
            raise UserError(f"--op {op}: there is no such operation; there are {', '.join(OPERATIONS)}")
    return tuple(dict.fromkeys(ops)) or tuple(OPERATIONS)


@click.command("kernels")
@op_option
@click.option("--threads", type=click.IntRange(1, 1024), default=None, help="CPU threads (default: all cores but one).")
@click.option("--seconds", type=click.FloatRange(0.01, 60), default=0.3, show_default=True, help="Time for each peer.")
@click.option("--report", is_flag=True, help="Also write docs/benchmarks/kernels-DEVICE.md in the checkout.")
@json_option
def kernels(ops: tuple[str, ...], threads: int | None, seconds: float, report: bool, as_json: bool) -> None:
    """Time every operation against its peers. One that fails its check first gets no speed, and the exit code is 1."""
    chosen = chosen_operations(ops)
    folder = checkout() / "docs/benchmarks" if report else None
    from hrm_core.benchmarks.kernels import COLUMNS, measure_operations, page, table_row, to_json
    from hrm_core.benchmarks.tune import forced
    from hrm_core.recipe.training import TrainingConfig
    from hrm_core.runs.atomic import write_bytes
    from hrm_core.training.setup import apply_device, choose_device

    device = choose_device(TrainingConfig(threads=threads))
    apply_device(device, deterministic=False)
    with forced():
        measured = measure_operations(chosen, device.device, device.dtype, say, seconds)
    if folder is not None:
        path = folder / f"kernels-{measured.machine.slug}.md"
        write_bytes(path, page(measured).encode())
        say(f"written: {path}")
    if as_json:
        print_json(to_json(measured))
    else:
        print_table(COLUMNS, [table_row(row) for row in measured.rows])
        _print_foot(measured)
    sys.exit(1 if measured.refused else 0)


def _print_foot(measured: Report) -> None:
    peaks = measured.peaks
    print_line(f"measured peaks: {peaks.flops / 1e12:.3g} TFLOP/s ({peaks.dtype}), {peaks.bytes / 1e9:.3g} GB/s")
    print_line(measured.machine.line())
    for op, words in measured.refused.items():
        print_line(f"no speed for {op}: {words}")


@click.command("tune")
@op_option
@click.option("--dry-run", is_flag=True, help="List and compile what would be tried; time and write nothing.")
@click.option("--arch", type=click.Choice(["87", "89", "90"]), default="90", show_default=True, help="For --dry-run.")
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True, help="Compilers at once.")
@click.option("--seconds-limit", type=click.FloatRange(1), default=None, help="Start no candidate after so many.")
def tune(ops: tuple[str, ...], dry_run: bool, arch: str, processes: int, seconds_limit: float | None) -> None:
    """Try other tiles, warps and stages for the kernels on this GPU, and write the best into the launch tables."""
    chosen = chosen_operations(ops)
    if dry_run:
        _dry_run(chosen, int(arch), processes)
        return
    from hrm_core.benchmarks.machine import require_gpu

    device = require_gpu("hrm bench tune", "use --dry-run to see and compile what it would try")
    from hrm_core.benchmarks.tune import options_text, tune_operation

    until = time.monotonic() + (math.inf if seconds_limit is None else seconds_limit)
    for op in chosen:
        for outcome in tune_operation(op, device, processes, say, until):
            gain = f"{options_text(outcome.best)}, {outcome.speedup:.2f} x as fast" if outcome.speedup > 1 else "stays"
            print_line(f"{outcome.target.name}: {gain} ({outcome.tried} tried)")
    print_line(
        "rewritten rows are unverified: run `hrm bench gpu-all`, and `hrm bench aot --write` for the table of resources"
    )


def _dry_run(ops: tuple[str, ...], arch: int, processes: int) -> None:
    from hrm_core.benchmarks.tune import candidates, compile_candidates, options_text, targets

    wanted = targets(ops, arch)
    total = sum(len(candidates(target.row)) for target in wanted)
    with progress(f"compiling {total} candidates for sm_{arch}", total) as advance:
        compiled = compile_candidates(wanted, processes, lambda done, _: advance(1))
    fit = 0
    for target, rows in zip(wanted, compiled, strict=True):
        print_line(f"{target.name}: now {options_text(target.row)}")
        for row, wrong in rows:
            fit += not wrong
            print_line(f"  {options_text(row)}: {wrong[0].partition(': ')[2] if wrong else 'would be timed'}")
    print_line(f"{len(wanted)} rows, {total} candidates, {fit} within the limits of sm_{arch}; nothing was run")


@click.command("aot", hidden=True)
@click.option("--write", is_flag=True, help="Renew this Triton version's part of tests/kernels/aot_table.json.")
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True, help="Compilers at once.")
@op_option
def aot(ops: tuple[str, ...], write: bool, processes: int) -> None:
    """Compile every kernel for every architecture and hold it against the limits and the committed table."""
    from importlib import metadata

    from hrm_core.runs.atomic import write_bytes
    from triton_kernels.aot import Resources, cases_of
    from triton_kernels.aot_gate import compile_all, judge, read_table, write_table

    path = checkout() / "tests/kernels/aot_table.json"
    version = metadata.version("triton")
    table = read_table(path.read_text(encoding="utf-8"))
    chosen = chosen_operations(ops)
    cases = [case for op in chosen for case in cases_of(op)]
    with progress("compiling") as advance:
        found = compile_all(cases, processes, lambda done, total: advance(1))
    print_table(["case", *Resources._fields], [[key, *_figures(found[key])] for key in sorted(found)])
    wrong = judge(cases, found, None if write else table.get(version))
    if write:
        others = {key: row for key, row in table.get(version, {}).items() if key.partition(".")[0] not in chosen}
        compiled = {key: row for key, row in found.items() if isinstance(row, Resources)}
        write_bytes(path, write_table({**table, version: {**others, **compiled}}).encode())
        print_line(f"written: {path}")
    for words in wrong:
        print_line(words)
    print_line(f"{len(cases)} cases, {len(wrong)} complaints, triton {version}")
    sys.exit(1 if wrong else 0)


def _figures(result: object) -> list[str]:
    return [str(value) for value in result] if isinstance(result, tuple) else [str(result)]
