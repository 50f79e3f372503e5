"""`hrm log`: a run's rows as CSV or for TensorBoard, after the run or live beside it.

Command-line room. No torch is loaded.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hrm_core.cli.options import clean, print_line, runs_folder, runs_option
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from hrm_core.interchange.log_files import Form

FOLLOW_S = 2.0


@click.command("log")
@click.argument("run", metavar="RUN")
@click.option("--to", "form", type=click.Choice(["csv", "tensorboard"]), required=True, help="What is written.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="FOLDER", help="Where to."
)
@click.option("--follow", is_flag=True, help="Go on until the run ends, or ^C.")
@runs_option
def log(run: str, form: Form, out: Path, follow: bool, runs: Path | None) -> None:
    """Write RUN's metrics and validations, trivial predictors' values included, for other tools."""
    from hrm_core.interchange.log_files import Follower, open_log
    from hrm_core.runs.atomic import explain_os_error
    from hrm_core.runs.catalogue import find_run
    from hrm_core.runs.reader import LIVING, read_run

    layout = find_run(runs_folder(runs), run)
    if out.exists() and any(out.iterdir()):
        raise UserError(f"--out {clean(str(out))} is not empty; give a new folder")
    try:
        written = open_log(form, out)
        follower = Follower(layout, written)
        try:
            living = follow
            while True:
                follower.poll()
                if not living:
                    break
                # One more look after it ended: its last rows come before its result.
                living = read_run(layout.path).state in (*LIVING, "stalled")
                time.sleep(FOLLOW_S)
        finally:
            written.close()
    except OSError as error:
        raise explain_os_error(error) from error
    passed = f", {follower.damaged} damaged lines passed over" if follower.damaged else ""
    print_line(f"{out}: {follower.rows} rows of {layout.run_id}{passed}")
