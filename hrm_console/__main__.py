"""The `hrm-console` command: arguments first, the app's imports after them.

`hrm-console [--runs DIR] [--once] [RUN]` -> exit code 0 on leaving, 2 for wrong use. What Textual reads when it is
imported is set here before: fifteen frames a second over SSH, where a repaint costs kilobytes, and no animation.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="hrm-console",
        description="Watch, start and steer runs from the keyboard. ? shows the keys, ctrl+q leaves; runs go on.",
    )
    made.add_argument(
        "--runs", type=Path, metavar="DIR", help="the folder of runs (default: ./runs, or ~/.local/share/hrm/runs)"
    )
    made.add_argument("--once", action="store_true", help="print the runs and the newest one's curves, and leave")
    made.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    made.add_argument("run", nargs="?", help="open this run at once")
    return made


def refuse(message: str, exit_code: int) -> int:
    """Say what is wrong and give the exit code."""
    sys.stderr.write(f"error: {message}\n")
    return exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. Files that it or the runs it starts make are the user's alone."""
    os.umask(0o077)
    options = parser().parse_args(argv)
    from hrm_core.errors import UserError
    from hrm_core.runs.layout import check_name, default_runs_dir
    from hrm_core.runs.text import clean

    try:
        if options.run is not None:
            check_name(options.run)
        runs_dir = options.runs if options.runs is not None else default_runs_dir()
        runs_dir = runs_dir.expanduser().absolute()
        if runs_dir.exists() and not runs_dir.is_dir():
            raise UserError(f"{runs_dir} is a file; give --runs the folder that holds the runs")
    except UserError as error:
        return refuse(clean(error.message), error.exit_code)
    if options.once:
        from hrm_console.once import print_once

        return print_once(runs_dir)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return refuse("hrm-console needs a terminal; hrm-console --once and hrm list print instead", 2)
    from hrm_console.collecting import rarely
    from hrm_console.terminal import end_when_gone
    from hrm_core.runs.user_settings import read_settings

    rarely()
    end_when_gone()
    settings = read_settings()
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    if os.environ.get("SSH_CONNECTION"):
        os.environ.setdefault("TEXTUAL_FPS", "15")
    from hrm_console.app import ConsoleApp

    app = ConsoleApp(runs_dir, open_run=options.run, settings=settings)
    app.run(mouse=settings.flag("console.mouse") and not options.no_mouse)
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
