"""`hrm compare`: verdicts on experiments against their control, and the pages of a sweep.

Command-line room: runs, experiments or a sweep -> words, JSON, a Markdown file or a folder of pages. What is said is
made by `hrm_core.evaluation.comparison*`; nothing here loads torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hrm_core.cli.options import json_option, print_json, print_line, print_table, runs_folder, runs_option
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrm_core.evaluation.blocks import Block


@click.command("compare")
@click.argument("base", required=False)
@click.argument("others", nargs=-1, metavar="OTHER...")
@click.option("--sweep", "sweep", default=None, metavar="NAME", help="Compare everything in a sweep instead.")
@click.option(
    "--report",
    "report",
    type=click.Path(path_type=Path),
    default=None,
    metavar="PATH",
    help="Write FILE.md; with --sweep, a folder of pages, curves and a CSV (such as docs/experiments).",
)
@runs_option
@json_option
def compare(
    base: str | None, others: tuple[str, ...], sweep: str | None, report: Path | None, runs: Path | None, as_json: bool
) -> None:
    """Compare OTHER with BASE, each a run or an experiment (all its finished runs). Verdicts need three seeds."""
    folder = runs_folder(runs)
    if sweep is not None:
        if base is not None:
            raise UserError(f"--sweep {sweep} says what to compare already; leave {base} out.")
        _compare_sweep(folder, sweep, report, as_json)
        return
    if base is None or not others:
        raise UserError("name a run or experiment to compare with and at least one other: hrm compare EXP-00 EXP-02")
    from hrm_core.evaluation.comparison import compare as document_of
    from hrm_core.evaluation.comparison_select import arms_of_words
    from hrm_core.evaluation.comparison_words import comparison_blocks

    document = document_of(*arms_of_words(folder, base, others))
    _tell(document, comparison_blocks(document), as_json)
    if report is not None:
        from hrm_core.evaluation.experiment_pages import write_report

        names = ", ".join(arm["name"] for arm in document["arms"])
        write_report(report, f"{names} against {document['control']['name']}", comparison_blocks(document))
        _say_written(report, as_json)


def _compare_sweep(folder: Path, name: str, report: Path | None, as_json: bool) -> None:
    from hrm_core.evaluation.comparison import compare as document_of
    from hrm_core.evaluation.comparison_select import arms_of_sweep
    from hrm_core.evaluation.comparison_words import comparison_blocks, missing_block, sweep_block
    from hrm_core.evaluation.experiment_pages import write_pages, write_report
    from hrm_core.runs.sweeps import read_sweep

    sweep = read_sweep(folder, name)
    control, arms, missing = arms_of_sweep(folder, sweep)
    document = document_of(control, arms) | {"sweep": name, "missing": missing}
    blocks = [sweep_block(document), *missing_block(missing), *comparison_blocks(document)]
    _tell(document, blocks, as_json)
    if report is None:
        return
    if report.suffix == ".md":
        write_report(report, f"Sweep {name}", blocks)
    else:
        write_pages(report, document, [control, *arms])
    _say_written(report, as_json)


def _tell(document: dict[str, Any], blocks: Sequence[Block], as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    for place, block in enumerate(blocks):
        if block.title:
            print_line(("\n" if place else "") + block.title)
        for line in block.lines:
            print_line(f"  {line}")
        if block.columns and block.rows:
            print_table(block.columns, block.rows)


def _say_written(report: Path, as_json: bool) -> None:
    if not as_json:
        print_line(f"\nwritten: {report}")
