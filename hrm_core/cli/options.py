"""What commands share: the options --runs and --json, printing, progress, and errors as one or two lines.

Command-line room. Imports only click and the standard library at the top, so that `hrm --help` stays fast. Text from
files, names and exceptions passes `hrm_core.runs.text.clean` before it reaches the terminal.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from hrm_core.errors import UserError

INTERRUPTED = 130
_PLAIN_EVERY_S = 5.0
_LONGEST_LINE = 1500
_OURS = ("hrm_core", "hrm_console", "triton_kernels")

runs_option = click.option(
    "--runs",
    "runs",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    metavar="DIR",
    help="Folder of the runs (default: ./runs, else under ~/.local/share/hrm).",
)
on_option = click.option(
    "--on", default="local", show_default=True, metavar="local|slurm|ray", help="Where runs that name no place run."
)
gpus_option = click.option(
    "--gpus", type=click.IntRange(0, 64), default=None, metavar="N", help="GPUs of a run (setting queue.job_gpus)."
)
cpus_option = click.option(
    "--cpus", type=click.IntRange(1, 256), default=None, metavar="N", help="Cores of a run (setting queue.job_cpus)."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def clean(text: str) -> str:
    """Text that came from outside -> text without control characters."""
    from hrm_core.runs.text import clean as clean_text

    return clean_text(text)


def runs_folder(runs: Path | None) -> Path:
    """The folder given with --runs, or the default one."""
    if runs is not None:
        return runs
    from hrm_core.runs.layout import default_runs_dir

    return default_runs_dir()


def print_json(value: Any) -> None:
    """One JSON document on stdout. Values must be plain; NaN is a mistake of ours."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False))


def print_line(text: str = "") -> None:
    """Lines on stdout, each cleaned."""
    for line in text.split("\n"):
        click.echo(clean(line))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns on stdout, cut to the width of a terminal (never when piped); cells are cleaned."""
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    terminal = sys.stdout.isatty()
    limit = shutil.get_terminal_size().columns if terminal else None

    def line(row: Sequence[str]) -> str:
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"

    click.echo(click.style(line(columns), bold=True))
    for row in cells:
        click.echo(line(row))


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr that is advanced by calling what it gives, with a number of units.

    On a terminal a bar with the time left; elsewhere a plain line now and then. `total` None: unknown. The function
    may be called from any thread.
    """
    if sys.stderr.isatty():
        with _bar(label, total) as advance:
            yield advance
    else:
        with _plain(label, total) as advance:
            yield advance


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task(clean(label), total=total)
        yield lambda amount: bar.advance(task, amount)


@contextmanager
def _plain(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    begin = last = time.monotonic()
    done = 0
    name = clean(label)

    def advance(amount: int) -> None:
        nonlocal done, last
        done += amount
        now = time.monotonic()
        if now - last >= _PLAIN_EVERY_S:
            last = now
            click.echo(f"{name}: {done}" + (f" of {total}" if total is not None else ""), err=True)

    click.echo(f"{name} ...", err=True)
    yield advance
    click.echo(f"{name}: done in {time.monotonic() - begin:.1f} s", err=True)


def foreign_kernels() -> str | None:
    """Where a package of another project that is also named triton_kernels was found; None where it is ours."""
    import importlib

    try:
        found = importlib.import_module("triton_kernels")
    except ImportError:
        return None
    if getattr(found, "PROJECT", None) == "hrm-console":
        return None
    return str(getattr(found, "__file__", "unknown place"))


def error_text(error: Exception) -> str | None:
    """The one or two lines that tell a user what is wrong; None for what is a fault of ours."""
    if isinstance(error, UserError):
        return error.message
    if isinstance(error, click.ClickException):
        return _usage_text(error)
    if isinstance(error, ImportError) and (stranger := foreign_kernels()) is not None:
        return (
            f"another package named triton_kernels is in the way: {stranger}\n"
            "install hrm-console into an environment of its own (`make install`)"
        )
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.partition(".")[0] not in _OURS:
        return f"the package {error.name} is not installed; run `make install`, or `pip install -e .` in the checkout"
    if isinstance(error, MemoryError):
        return "there is not enough memory for this; close other programs or use smaller files"
    if isinstance(error, OSError):
        from hrm_core.runs.atomic import explain_os_error

        return explain_os_error(error).message
    return None


def _usage_text(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None) if isinstance(error, click.UsageError) else None
    return f"{message}\nsee: {context.command_path} --help" if context is not None else message


def exit_code(error: Exception) -> int:
    """2 for wrong use, 1 for what failed."""
    if isinstance(error, UserError):
        return error.exit_code
    return error.exit_code if isinstance(error, click.ClickException) else 1


def print_error(text: str) -> None:
    """`error: ...` on stderr, at most two lines, cleaned; a name of kilobytes does not scroll the sentence away."""
    lines = [clean(line[:_LONGEST_LINE]) for line in text.split("\n") if line.strip()]
    click.echo("error: " + "\n       ".join(lines[:2]), err=True)
