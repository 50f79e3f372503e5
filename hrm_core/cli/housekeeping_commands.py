"""`hrm rename` and `hrm remove`: another name for a run, and runs taken away for good.

Command-line room. RUN is a name in the runs folder, the beginning of exactly one, or a path. Removing asks once, with
what would be lost; without a terminal it wants --yes. What is done is in `hrm_core.runs.housekeeping`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hrm_core.cli.options import clean, print_line, runs_folder, runs_option
from hrm_core.errors import UserError


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("name", metavar="NEW")
@runs_option
@click.option("--anyway", is_flag=True, help="Also a run that a sweep or the queue knows by its name.")
def rename(run: str, name: str, runs: Path | None, anyway: bool) -> None:
    """Give RUN the name NEW. Not while it goes on; its files stay as they are."""
    from hrm_core.runs.catalogue import find_run
    from hrm_core.runs.housekeeping import references, rename_run

    folder = find_run(runs_folder(runs), run).path
    known = references(folder)
    renamed = rename_run(folder, name, despite_references=anyway)
    print_line(f"run {folder.name} is {renamed.name} now.")
    for sentence in known.sentences:
        print_line(sentence)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="RUN...")
@runs_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(names: tuple[str, ...], runs: Path | None, yes: bool) -> None:
    """Delete runs for good: curves, checkpoints, archived bests. Asks once. Promoted snapshots stay."""
    from hrm_core.runs.catalogue import find_run
    from hrm_core.runs.housekeeping import check_idle, references, remove_run, weigh

    found = dict.fromkeys(find_run(runs_folder(runs), name).path.absolute() for name in names)
    for folder in found:
        check_idle(folder, "removed")
    if not yes:
        if not somebody_is_there():
            raise UserError("hrm remove asks before it deletes, and nobody can answer here; add --yes.")
        for folder in found:
            print_line(f"{folder.name}: {weigh(folder).words}")
            for sentence in references(folder).sentences:
                print_line(f"  {sentence}")
        many = f"these {len(found)} runs" if len(found) > 1 else "this run"
        if not click.confirm(f"Remove {many} for good?"):
            print_line("Nothing was removed.")
            sys.exit(1)
    done: list[str] = []
    for folder in found:
        try:
            remove_run(folder)
        except UserError as error:
            before = f"\nremoved before that: {clean(', '.join(done))}" if done else ""
            raise UserError(f"{error.message}{before}", 1) from error
        done.append(folder.name)
        print_line(f"run {folder.name} is removed.")


def somebody_is_there() -> bool:
    """Whether a question could be answered."""
    return sys.stdin.isatty()
