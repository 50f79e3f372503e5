"""`hrm verify RUN`: whether every file of a run is still what was written.

Command-line room. run folder -> a line for each file, and exit code 1 where something is damaged or gone. What is
looked at is in `hrm_core.runs.verify`; nothing is mended.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hrm_core.cli.options import json_option, print_json, print_line, print_table, runs_folder, runs_option
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from hrm_core.runs.verify import Finding


def _recipe(path: Path) -> Finding:
    from hrm_core.recipe.toml_io import read_recipe
    from hrm_core.runs.verify import Finding

    try:
        read_recipe(path)
    except UserError as error:
        return Finding(path.name, (error.message.split("\n")[0],))
    return Finding(path.name)


@click.command()
@click.argument("run", metavar="RUN")
@runs_option
@json_option
def verify(run: str, runs: Path | None, as_json: bool) -> None:
    """Say whether every byte of RUN is as it was written: its rows, the files that steer it, checkpoints and archive.

    Rows cut off after they were written are told by the newest checkpoint, which holds how many there were.
    """
    from hrm_core.runs.catalogue import find_run
    from hrm_core.runs.verify import verify_run

    layout = find_run(runs_folder(runs), run)
    found = [_recipe(layout.recipe_toml), *verify_run(layout)]
    bad = [one for one in found if one.problems]
    if as_json:
        print_json([{"what": one.what, "problems": list(one.problems), "note": one.note} for one in found])
    else:
        print_table(("file", "what was found"), [(one.what, _words(one)) for one in found])
        counted = f"{len(found)} files and folders"
        print_line(f"{counted}: {len(bad)} not as they were written." if bad else f"{counted}, all whole.")
    sys.exit(1 if bad else 0)


def _words(one: Finding) -> str:
    said = "; ".join(one.problems) or "whole"
    return f"{said} ({one.note})" if one.note else said
