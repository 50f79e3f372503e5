"""`hrm list | show | tail | stop | pause | continue`: looking at runs and steering them.

Command-line room. RUN is a name in the runs folder, the beginning of exactly one, or a path. Reads run folders through
`hrm_core.runs` only, so no torch is loaded. Steering writes a request file and says what came of it; the words are in
`runs_words.py`. Starting and resuming are in `run_commands.py`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hrm_core.cli import runs_words as words
from hrm_core.cli.options import (
    clean,
    json_option,
    print_json,
    print_line,
    print_table,
    runs_folder,
    runs_option,
)
from hrm_core.cli.puzzle_words import print_puzzle, puzzle_options
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from hrm_core.runs.control import Kind
    from hrm_core.runs.files import Row
    from hrm_core.runs.layout import RunFolder
    from hrm_core.runs.reader import RunView

_POLL_S = 0.1
_FOLLOW_S = 0.5
_CHART_ROWS = 12
_INTERRUPT_S = 10.0

run_argument = click.argument("run", metavar="RUN")
wait_option = click.option(
    "--wait", type=click.FloatRange(0, 3600), default=8.0, show_default=True, help="Seconds to wait for an answer."
)


@click.command("list")
@runs_option
@json_option
@click.option("--filter", "text", default="", metavar="TEXT", help="Only runs such as 'exp:EXP-07 val>20% -alarm'.")
@click.option("--sort", "order", default="", metavar="KEY", help="Sort by val, loss, age, ...; -KEY turns it round.")
def list_(runs: Path | None, as_json: bool, text: str, order: str) -> None:
    """List the runs, the newest first: state, step, loss, score beside the best trivial one, alarms.

    \b
    --filter takes terms that must all hold; '|' between groups of which one must; '-' before a term turns it round:
      exp:EXP-07  state:running,lost  name:night*  alarm  alarm:input_blind  has:best  or a part of a name
      val>20%  lift>0  best>0.3  loss<0.5  step>=10k  speed>1k  eta<2h  age<3d  seed=1  cfg.optimizer=lion  cfg.lr<1e-3
    """
    from hrm_core import api

    folder = runs_folder(runs)
    everything = [run.view for run in api.runs(folder)]
    views = _chosen(everything, text, order)
    if everything and not views and not as_json:
        print_line(f"None of the {len(everything)} runs in {folder.absolute()} is such: {text}")
        return
    if as_json:
        print_json([words.summary(view) for view in views])
        return
    if not views:
        why = "" if folder.is_dir() else " (the folder does not exist)"
        print_line(
            f"No runs in {folder.absolute()}{why}.\n`hrm run demo --detach` starts one, `hrm demo` shows it all."
        )
        return
    print_line(f"Runs in {folder.absolute()}")
    _print_runs(views)


def _chosen(views: list[RunView], text: str, order: str) -> list[RunView]:
    """The runs that a filter chooses, in the order of a sort key. UserError for what cannot be understood."""
    from hrm_core.runs.facts import check_sort, facts_of, in_order
    from hrm_core.runs.filtering import parse

    facts = [facts_of(view) for view in views]
    question = parse(text, [one.recipe for one in facts])
    if order:
        check_sort(order)
    kept = [(view, one) for view, one in zip(views, facts, strict=True) if question(one)]
    return [view for view, _ in (in_order(kept, order, lambda pair: pair[1]) if order else kept)]


def _print_runs(views: list[RunView]) -> None:
    """A table in colour where there is a terminal, else plain columns that are never cut."""
    columns, rows = words.list_table(views)
    if not sys.stdout.isatty():
        print_table(columns, rows)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(columns):
        # Numbers line up at the right; names and alarms give way when the terminal is narrow.
        table.add_column(name, justify="right" if 2 <= place <= 7 else "left", no_wrap=place not in (0, 8))
    for row in rows:
        styles = [""] * len(row)
        styles[1], styles[8] = words.STATE_COLORS.get(row[1], "dim"), "yellow"
        table.add_row(*(Text(clean(cell), style=style) for cell, style in zip(row, styles, strict=True)))
    Console(highlight=False).print(table)


@click.command()
@run_argument
@runs_option
@json_option
@click.option("--plot", is_flag=True, help="Draw the curves too.")
@puzzle_options
def show(run: str, runs: Path | None, as_json: bool, plot: bool, puzzle: str | None, step: int | None) -> None:
    """Show a run: status in words, the last validation beside trivial predictors, alarms with advice."""
    from hrm_core.runs.catalogue import find_run
    from hrm_core.runs.reader import read_run

    layout = find_run(runs_folder(runs), run)
    if puzzle is not None or step is not None:
        print_puzzle(layout, puzzle, step, as_json)
        return
    view = read_run(layout)
    if as_json:
        print_json(_everything(view))
        return
    for line in words.status_lines(view):
        print_line(line)
    alarms = words.alarm_lines(view)
    if alarms:
        print_line("\n" + "\n".join(alarms))
    if view.evaluation is None:
        print_line("\nNo validation yet.")
    else:
        _print_evaluation(view.evaluation)
    if plot:
        print_line()
        click.echo(_curves(view))


def _everything(view: RunView) -> dict[str, Any]:
    """All that the reader knows of a run, as plain values."""
    return {
        **words.summary(view),
        "heartbeat_age_s": view.heartbeat_age_s,
        "pid": view.pid,
        "status": view.status,
        "result": view.result,
        "metrics": view.metrics,
        "evaluation": view.evaluation,
        "latest_evaluation": view.latest_evaluation,
        "run_json": view.run_json,
    }


def _print_evaluation(row: Row) -> None:
    print_line("\n" + words.evaluation_title(row))
    table = words.evaluation_table(row)
    if table:
        print_table(words.EVALUATION_COLUMNS, table)
    for line in words.evaluation_lines(row):
        print_line(line)
    for columns, key in ((words.FAMILY_COLUMNS, "families"), (words.PLAN_FAMILY_COLUMNS, "plan_families")):
        families = words.family_table(row, key)
        if families:
            print_line()
            print_table(columns, families)


def _curves(view: RunView) -> str:
    """The curves of a run as characters, as wide as the terminal; plotext is loaded only here."""
    import shutil

    from hrm_console.charts.chart import Chart, Guide, Line
    from hrm_console.charts.printed import render_curves
    from hrm_console.charts.series import Series
    from hrm_core.runs.files import mapping, number
    from hrm_core.runs.reader import best_trivial, evaluation_rows, metrics_rows

    def series(rows: list[Row], label: str, pick: Callable[[Row], float | None]) -> Line:
        drawn = Series(label)
        for row in rows:
            drawn.append(float(row["step"]), pick(row), time=number(row, "elapsed_s") or 0.0)
        return Line(drawn, label)

    training, validations = metrics_rows(view.folder), evaluation_rows(view.folder)
    trivial = best_trivial(view.evaluation, "exact")
    guides = [] if trivial is None else [Guide(trivial[1], "best trivial")]
    losses = [
        series(training, "training", lambda row: number(row, "loss")),
        series(validations, "validation", lambda row: number(row, "loss")),
    ]
    exact = [series(validations, "validation", lambda row: number(mapping(row, "metrics"), "exact"))]
    rate = [series(training, "learning rate", lambda row: number(row, "lr"))]
    norm = [series(training, "gradient norm", lambda row: number(row, "grad_norm"))]
    charts = [
        Chart("loss", [line for line in losses if len(line.series)]),
        Chart("exact", exact, guides=guides, unit="%"),
        Chart("learning rate", rate),
        Chart("gradient norm", norm),
    ]
    charts = [chart for chart in charts if any(line.series.num_finite for line in chart.lines)]
    if not charts:
        return "No curves yet."
    width = shutil.get_terminal_size().columns
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return render_curves(charts, width=width, height=_CHART_ROWS, color=color).rstrip("\n")


@click.command()
@run_argument
@runs_option
@click.option("--follow", "-f", is_flag=True, help="Go on printing what comes, until the run ends.")
@click.option("--lines", "-n", type=click.IntRange(0), default=20, show_default=True, help="How many to begin with.")
@click.option("--log", "as_log", is_flag=True, help="The lines of log.txt instead of the rows of the training log.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON, one a line.")
def tail(run: str, runs: Path | None, follow: bool, lines: int, as_log: bool, as_json: bool) -> None:
    """Print the last rows of the training log and the validations between them; --follow goes on."""
    from hrm_core.runs.catalogue import find_run

    layout = find_run(runs_folder(runs), run)
    poll = _log_lines(layout) if as_log else _row_lines(layout, as_json)
    first: list[str] = []
    while more := poll():
        first += more
    if not first and not follow and not as_json:
        print_line(f"run {layout.run_id} has written nothing yet; --follow waits for it.")
    for line in first[len(first) - min(lines, len(first)) :]:
        print_line(line)
    while follow:
        # The state is read before the files, so that the last rows of a run that ends are not missed.
        state = _state_of(layout)
        for line in poll():
            print_line(line)
        if state not in ("starting", "running", "paused", "stopping", "stalled"):
            if not as_json:
                print_line(f"the run is {state}.")
            return
        sys.stdout.flush()
        time.sleep(_FOLLOW_S)


def _log_lines(layout: RunFolder) -> Callable[[], list[str]]:
    from hrm_core.runs.tail import TextTail

    return TextTail(layout.log, last_bytes=2**20).poll


def _row_lines(layout: RunFolder, as_json: bool) -> Callable[[], list[str]]:
    """New rows of metrics and evaluations in the order of their steps, as lines; after a cut, all of them."""
    from hrm_core.runs.files import integer
    from hrm_core.runs.tail import JsonlTail

    tails = ((JsonlTail(layout.metrics), words.metrics_line), (JsonlTail(layout.evaluations), words.evaluation_line))

    def poll() -> list[str]:
        found: list[tuple[int, int, str]] = []
        for order, (source, write) in enumerate(tails):
            for row in source.poll():
                step = integer(row, "step")
                if step is not None:
                    found.append((step, order, json.dumps(row) if as_json else write(row)))
        return [line for _, _, line in sorted(found, key=lambda entry: entry[:2])]

    return poll


def _state_of(layout: RunFolder) -> str:
    from hrm_core.runs.reader import read_run

    return read_run(layout).state


@click.command()
@run_argument
@runs_option
@click.option("--now", is_flag=True, help="Do not write a checkpoint; interrupt a process that does not answer.")
@wait_option
def stop(run: str, runs: Path | None, now: bool, wait: float) -> None:
    """Ask a run to write a checkpoint and stop. `hrm resume` goes on with it."""
    from hrm_core.runs.catalogue import find_run

    try:
        layout = _steer(run, runs, "stop-now" if now else "stop", wait, ("finished", "stopped", "failed", "lost"))
    except OSError:
        if not now:
            raise
        layout = find_run(runs_folder(runs), run)  # a full disk takes no request
    if now and _state_of(layout) not in ("finished", "stopped", "failed", "lost"):
        _interrupt(layout)


@click.command()
@run_argument
@runs_option
@wait_option
def pause(run: str, runs: Path | None, wait: float) -> None:
    """Ask a run to wait, keeping its memory. `hrm continue` lets it go on."""
    _steer(run, runs, "pause", wait, ("paused",))


@click.command("continue")
@run_argument
@runs_option
@wait_option
def continue_(run: str, runs: Path | None, wait: float) -> None:
    """Ask a paused run to go on."""
    _steer(run, runs, "continue", wait, ("running",))


def _steer(run: str, runs: Path | None, kind: Kind, wait_s: float, reached: tuple[str, ...]) -> RunFolder:
    """Leaves a request, waits for its effect at most `wait_s`, and says what happened."""
    from hrm_core.runs.catalogue import find_run
    from hrm_core.runs.control import request
    from hrm_core.runs.reader import read_run

    layout = find_run(runs_folder(runs), run)
    view, name = read_run(layout), layout.run_id
    if not view.is_live:
        raise UserError(
            f"run {name} cannot {kind.split('-')[0]}: it is {view.state}; {_remedy(view, name)}", exit_code=1
        )
    if view.state in reached:
        print_line(f"run {name} is {view.state} already.")
        return layout
    left = request(layout, kind)
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        view = read_run(layout)
        if view.state in reached:
            print_line(f"run {name} is {view.state}, at step {view.step}.")
            return layout
        if not view.is_live:
            break
        time.sleep(_POLL_S)
    if not view.is_live:
        raise UserError(f"run {name} is {view.state} now; {_remedy(view, name)}", exit_code=1)
    taken = "has taken the request" if not left.exists() else "has not taken the request yet; it looks between steps"
    print_line(f"run {name} {taken}. It is {view.state}, at step {view.step}; see `hrm show {name}`.")
    return layout


def _remedy(view: RunView, name: str) -> str:
    if view.state == "finished":
        return f"`hrm show {name}` has its result."
    return f"`hrm resume {name}` goes on with it."


def _interrupt(layout: RunFolder) -> None:
    """SIGTERM to the process that holds the run's lock: the last resort for one that reads no requests."""
    from hrm_core.runs.locks import holder

    pid = holder(layout)
    if not pid:
        return
    print_line(f"interrupting process {pid}, which has not answered.")
    try:
        os.kill(pid, signal.SIGTERM)
    except OSError as error:
        raise UserError(f"process {pid} cannot be interrupted: {clean(str(error.strerror))}.", exit_code=1) from error
    end = time.monotonic() + _INTERRUPT_S
    while time.monotonic() < end:
        if holder(layout) is None:
            print_line(f"run {layout.run_id} is {_state_of(layout)}.")
            return
        time.sleep(_POLL_S)
    raise UserError(
        f"process {pid} of run {layout.run_id} does not end; `kill -9 {pid}` ends it, "
        f"`hrm resume {layout.run_id}` then goes on from the last checkpoint.",
        exit_code=1,
    )
