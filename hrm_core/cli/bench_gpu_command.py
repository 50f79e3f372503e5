"""`hrm bench gpu-all`: every check and every speed that needs a GPU, in one command of less than four minutes.

Command-line room. Everything it finds lies under one folder, with `summary.md` on top. `--dry-run` needs no GPU: it
prints the plan and compiles what the plan would launch on an H100. The work is in `hrm_core/benchmarks`.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import click

from hrm_core.cli.bench_pages import checkout, say
from hrm_core.cli.options import print_line, print_table, progress
from hrm_core.errors import UserError


@click.command("gpu-all")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    metavar="FOLDER",
    help="A new folder for everything it finds (default: gpu-all-DATE-TIME here).",
)
@click.option("--only", multiple=True, metavar="STAGE", help="Run this stage only; may be given more than once.")
@click.option("--dry-run", is_flag=True, help="Print the plan and compile every kernel for sm_90; run nothing.")
@click.option("--write-verified", is_flag=True, help="Mark launch rows as verified that this run proves.")
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True, help="For --dry-run: compilers.")
def gpu_all(out: Path | None, only: tuple[str, ...], dry_run: bool, write_verified: bool, processes: int) -> None:
    """Check and measure everything that needs a GPU: one command, under 4 minutes, all findings in one folder."""
    checkout()
    from hrm_core.benchmarks.gpu_plan import chosen, plan, run_stages

    if dry_run:
        sys.exit(_dry_run(out or Path("gpu-all-DATE-TIME"), only, processes))
    chosen(plan(Path()), only)
    from hrm_core.benchmarks.machine import require_gpu

    require_gpu("hrm bench gpu-all", "use --dry-run to see its plan and compile what it would launch")
    folder = _new_folder(out)
    from hrm_core.benchmarks.gpu_page import machine_of, summary
    from hrm_core.benchmarks.gpu_summary import mark_verified, read_findings, verifiable
    from hrm_core.runs.atomic import write_bytes

    stages = chosen(plan(folder), only)
    _build_data()
    results = run_stages(stages, folder, say)
    found = read_findings(folder, results)
    rows, why = verifiable(found, results)
    done = "marked as verified" if write_verified else "may be marked with --write-verified"
    words = "; ".join(part for part in (f"{len(rows)} {done}" if rows else "", why) if part)
    if write_verified:
        mark_verified(rows)
    text = summary(results, found, words)
    write_bytes(folder / "summary.md", text.encode())
    print_line(text.rstrip())
    slug = machine_of(found).get("slug")
    kept = f"; to keep the page: summary.md as docs/benchmarks/gpu-{slug}.md" if slug else ""
    print_line(f"all of it: {folder}{kept}")
    sys.exit(0 if all(result.fine for result in results) else 1)


def _build_data() -> None:
    """Once, before stages that would each do it at the same time; their own complaint is told where it fails."""
    from hrm_core.data.prepare import ensure_built
    from hrm_core.recipe.lay import build_recipe

    with suppress(UserError):
        ensure_built(build_recipe("EXP-00", []).recipe.data.source)


def _new_folder(out: Path | None) -> Path:
    from datetime import datetime

    folder = (out or Path(f"gpu-all-{datetime.now():%Y%m%d-%H%M%S}")).resolve()
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"--out {folder}: the folder is not empty; give a new one")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _dry_run(out: Path, only: tuple[str, ...], processes: int) -> int:
    from hrm_core.benchmarks.gpu_plan import LIMIT_S, chosen, longest, plan
    from triton_kernels.aot import cases_of
    from triton_kernels.aot_gate import compile_all, judge
    from triton_kernels.runtime import OPERATIONS

    stages = chosen(plan(out), only)
    rows = [
        [stage.name, f"{stage.budget_s:.0f}", "alone" if stage.alone else "together", stage.title] for stage in stages
    ]
    print_table(["stage", "at most s", "runs", "what"], rows)
    for stage in stages:
        print_line(f"{stage.name}: {' '.join(stage.command)}")
    total = min(longest(stages), LIMIT_S)
    print_line(f"{len(stages)} stages, {total:.0f} s at most; findings under {out}")
    cases = []
    for op in OPERATIONS:
        with suppress(ModuleNotFoundError):
            cases += [case for case in cases_of(op) if case.arch == 90]
    with progress("compiling for sm_90") as advance:
        compiled = compile_all(cases, processes, lambda done, all_: advance(1))
    wrong = judge(cases, compiled, None)
    idle = sorted(set(OPERATIONS) - {case.op for case in cases})
    wrong += [f"{op}: nothing to launch on sm_90" for op in idle]
    for words in wrong:
        print_line(words)
    print_line(f"{len(cases)} kernels compile for sm_90 from the present launch tables, {len(wrong)} complaints")
    return 1 if wrong else 0
