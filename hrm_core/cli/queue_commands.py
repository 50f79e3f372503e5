"""`hrm queue`: runs that wait for their turn: putting them in, ordering them, and the worker that starts them.

Command-line room. ENTRY is an entry's number, or the name of its run. Everything is done by `hrm_core.runs.queue*`;
here are the words. `hrm queue start` starts the worker as a session of its own, which ends when nothing is left to run.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hrm_core.cli.options import (
    clean,
    cpus_option,
    gpus_option,
    json_option,
    on_option,
    print_json,
    print_line,
    print_table,
    runs_folder,
    runs_option,
)
from hrm_core.cli.queue_words import as_json_row, entry_lines, headline, table, why_lines, worker_line
from hrm_core.runs.files import parse_object
from hrm_core.runs.launch import HRM_COMMAND

if TYPE_CHECKING:
    from hrm_core.runs.queue_records import Entry, Queue

_LOOK_S = 120.0

entry_argument = click.argument("entry", metavar="ENTRY")
entries_argument = click.argument("entries", nargs=-1, required=True, metavar="ENTRY...")


@click.group("queue")
def queue() -> None:
    """Put runs in a queue and let a worker start them, one run a device, until nothing is left to run."""


@queue.command("add")
@click.argument("experiment")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--name", default=None, metavar="NAME", help="Name of the run (default: experiment, date and letters).")
@click.option("--after", default=None, metavar="ENTRY|RUN", help="Run only once that has finished.")
@click.option(
    "--from",
    "source",
    default=None,
    metavar="SNAPSHOT",
    help="Begin from a snapshot, as `hrm run --from`; with --after it need not exist yet.",
)
@click.option("--hold", is_flag=True, help="Hold it until `hrm queue hold ENTRY --release`.")
@click.option("--first", is_flag=True, help="Put it before all others.")
@click.option(
    "--on", default="", metavar="local|slurm|ray", help="Where it is to run (default: as `queue start` says)."
)
@click.option(
    "--gpus", type=click.IntRange(1, 1024), default=1, metavar="N", help="Train it on N GPUs of one machine together."
)
@runs_option
@click.option("--data", default=None, metavar="FILE", help="The data file.")
@json_option
def add(
    experiment: str,
    overrides: tuple[str, ...],
    name: str | None,
    after: str | None,
    source: str | None,
    hold: bool,
    first: bool,
    on: str,
    gpus: int,
    runs: Path | None,
    data: str | None,
    as_json: bool,
) -> None:
    """Put a run of EXPERIMENT in the queue, with overrides as for `hrm run`. Recipe and code are pinned."""
    from hrm_core.runs.queue import add as put

    folder = runs_folder(runs)
    if source is not None and after is None:
        from hrm_core.api.run_folders import find_source
        from hrm_core.recipe.lay import build_recipe

        find_source(folder, source, build_recipe(experiment, overrides).recipe)
    more = {"name": name, "after": after, "source": source, "data": data}
    entry = put(folder, experiment, overrides, hold=hold, first=first, on=on, gpus=gpus, **more)
    _say_added(folder, entry, as_json)


def _say_added(folder: Path, entry: Entry, as_json: bool) -> None:
    from hrm_core.runs.queue_status import read_worker
    from hrm_core.runs.queue_store import read_queue

    there = read_queue(folder)
    if as_json:
        print_json(as_json_row(there, entry, []))
        return
    place = there.place_of(entry.id)
    print_line(f"{entry.id} is in the queue" + (f", at place {place}" if place else "") + f": {entry.experiment}")
    if entry.state == "held":
        print_line(f"  it is held; `hrm queue hold {entry.id} --release` lets it run")
    elif not read_worker(folder).alive:
        print_line("  no worker is at work; `hrm queue start` starts one")


@queue.command("list")
@runs_option
@json_option
def list_(runs: Path | None, as_json: bool) -> None:
    """List the queue: what runs, what is to come in its order, what is over; and the worker."""
    from hrm_core.runs.queue_pins import code_differences, code_now
    from hrm_core.runs.queue_records import TO_COME
    from hrm_core.runs.queue_status import read_worker
    from hrm_core.runs.queue_store import read_queue

    folder = runs_folder(runs)
    there, worker = read_queue(folder), read_worker(folder)
    now = code_now()
    known = {
        code: code_differences(code, now)
        for code in {entry.pins.code for entry in there.entries if entry.state in TO_COME}
    }
    differs = {entry.id: known.get(entry.pins.code, []) for entry in there.entries if entry.state in TO_COME}
    if as_json:
        entries = [as_json_row(there, entry, differs.get(entry.id, [])) for entry in there.in_order]
        print_json({"runs": str(folder.absolute()), "stopped": there.stopped, "worker": vars(worker),
                    "code": vars(now), "entries": entries})  # fmt: skip
        return
    print_line(headline(there, folder))
    print_line(worker_line(there, worker))
    if there.entries:
        print_line()
        print_table(*table(there))
        lines = why_lines(there.in_order, differs)
        if lines:
            print_line("\n" + "\n".join(lines))
    else:
        print_line("`hrm queue add EXPERIMENT [key=value ...]` puts a run in it.")


@queue.command("show")
@entry_argument
@runs_option
@json_option
def show(entry: str, runs: Path | None, as_json: bool) -> None:
    """Show an entry: what it is, what it pins, and what is different now."""
    from hrm_core.runs.queue_pins import code_differences, code_now, recipe_differences
    from hrm_core.runs.queue_store import entry_of, read_queue

    there = read_queue(runs_folder(runs))
    found = entry_of(there, entry)
    differs = code_differences(found.pins.code, code_now())
    differs += recipe_differences(found.pins, found.experiment, found.overrides)
    if as_json:
        print_json({**as_json_row(there, found, differs), "recipe_toml": found.pins.recipe_toml})
        return
    for line in entry_lines(there, found, differs):
        print_line(line)


@queue.command("move")
@entry_argument
@click.argument("to", metavar="up|down|first|last|PLACE")
@runs_option
def move(entry: str, to: str, runs: Path | None) -> None:
    """Move an entry that is to come."""
    from hrm_core.runs.queue import move as put
    from hrm_core.runs.queue_store import entry_of

    there = put(runs_folder(runs), entry, to)
    found = entry_of(there, entry)
    print_line(f"{found.id} is at place {there.place_of(found.id)} now")


@queue.command("hold")
@entries_argument
@click.option("--release", "let_go", is_flag=True, help="Let them run again.")
@click.option("--why", default="", metavar="TEXT", help="A word for the list.")
@runs_option
def hold(entries: tuple[str, ...], let_go: bool, why: str, runs: Path | None) -> None:
    """Hold entries, so that they are passed over; --release lets them run again."""
    from hrm_core.runs import queue as edits

    there = edits.release(runs_folder(runs), entries) if let_go else edits.hold(runs_folder(runs), entries, why)
    _say_each(there, entries, "will run when its turn comes" if let_go else "is held")


def _say_each(there: Queue, words: Sequence[str], what: str) -> None:
    from hrm_core.runs.queue_store import entry_of

    for word in words:
        print_line(f"{entry_of(there, word).id} {what}")


@queue.command("after")
@entry_argument
@click.argument("other", metavar="ENTRY|RUN|none")
@runs_option
def after(entry: str, other: str, runs: Path | None) -> None:
    """Let ENTRY run only after another entry or a run has finished; `none`: whenever its turn comes."""
    from hrm_core.runs.queue import run_after
    from hrm_core.runs.queue_store import entry_of

    found = entry_of(run_after(runs_folder(runs), entry, None if other == "none" else other), entry)
    what = "when its turn comes" if found.after is None else f"after {found.after}"
    print_line(f"{found.id} will run {what}")


@queue.command("retry")
@click.argument("entries", nargs=-1, metavar="ENTRY...")
@click.option("--fresh", is_flag=True, help="Begin another run instead of going on from the last checkpoint.")
@click.option("--all", "everything", is_flag=True, help="All that wait, or are held for what they pinned.")
@runs_option
def retry(entries: tuple[str, ...], fresh: bool, everything: bool, runs: Path | None) -> None:
    """Let failed, stopped and held entries run, with the recipe and the code of today."""
    from hrm_core.errors import UserError
    from hrm_core.runs.queue import retry as again

    if not entries and not everything:
        raise UserError("name the entries to try again, or say --all: hrm queue retry ENTRY...")
    there = again(runs_folder(runs), entries, fresh=fresh, everything=everything)
    if everything:
        print_line(f"all that wait ({len(there.in_state('waiting'))}) will run with the code of today")
    else:
        _say_each(there, entries, "will run when its turn comes")


@queue.command("clone")
@entry_argument
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--name", default=None, metavar="NAME", help="Name of the run (default: experiment, date and letters).")
@click.option("--hold", is_flag=True, help="Hold it until it is released.")
@runs_option
@json_option
def clone(entry: str, changes: tuple[str, ...], name: str | None, hold: bool, runs: Path | None, as_json: bool) -> None:
    """Put another entry like ENTRY at the end of the queue, with some overrides changed."""
    from hrm_core.runs.queue import clone as another

    folder = runs_folder(runs)
    _say_added(folder, another(folder, entry, changes, name=name, hold=hold), as_json)


@queue.command("remove")
@click.argument("entries", nargs=-1, metavar="ENTRY...")
@click.option("--ended", is_flag=True, help="Everything that is over: done, stopped, failed.")
@runs_option
def remove(entries: tuple[str, ...], ended: bool, runs: Path | None) -> None:
    """Take entries out of the queue. Runs and their folders are not touched."""
    from hrm_core.errors import UserError
    from hrm_core.runs.queue import remove as take_out
    from hrm_core.runs.queue_store import read_queue

    if not entries and not ended:
        raise UserError("name the entries to remove, or say --ended: hrm queue remove ENTRY...")
    before = len(read_queue(runs_folder(runs)).entries)
    there = take_out(runs_folder(runs), entries, ended=ended)
    print_line(f"{before - len(there.entries)} removed, {len(there.entries)} left")


@queue.command("start")
@click.option("--foreground", is_flag=True, help="Work in this terminal instead of a session of its own.")
@click.option("--as-worker", is_flag=True, hidden=True)
@on_option
@gpus_option
@cpus_option
@runs_option
def start(foreground: bool, as_worker: bool, on: str, gpus: int | None, cpus: int | None, runs: Path | None) -> None:
    """Start the worker: it starts what is to come, one run a device, and ends when nothing is left to run."""
    from hrm_core.runs.backends.choose import check_backend, open_backend
    from hrm_core.runs.queue_status import read_worker, start_worker

    folder = runs_folder(runs)
    check_backend(on)
    if foreground or as_worker:
        from hrm_core.runs.queue_places import Surroundings
        from hrm_core.runs.queue_worker import Worker

        around = Surroundings(
            differs=differs_in_child(folder),
            tell=None if as_worker else print_line,
            on=on,
            backend=lambda name, place: open_backend(name, place, gpus, cpus),
        )
        Worker(folder, HRM_COMMAND, around).run()
        return
    check_engines(folder, on, gpus, cpus)
    words = ["--on", on, *(["--gpus", str(gpus)] if gpus is not None else [])]
    words += ["--cpus", str(cpus)] if cpus is not None else []
    argv = [*HRM_COMMAND, "queue", "start", "--as-worker", "--runs", str(folder.resolve()), *words]
    pid = start_worker(folder, argv)
    if pid is None:
        print_line(read_worker(folder).words)
        return
    print_line(f"the queue is being worked on by process {pid}; it goes on when this terminal closes")
    print_line(f"  watch it: hrm queue list --runs {folder}    stop it: hrm queue stop --runs {folder}")


def check_engines(folder: Path, on: str, gpus: int | None, cpus: int | None) -> None:
    """UserError, here and not in the worker's log, if an engine that waiting entries want is not to be had."""
    from hrm_core.runs.backends.choose import open_backend
    from hrm_core.runs.queue_records import TO_COME
    from hrm_core.runs.queue_store import read_queue

    for name in sorted({entry.on or on for entry in read_queue(folder).in_state(*TO_COME)}):
        backend = open_backend(name, folder, gpus, cpus)
        try:
            backend.check()
        finally:
            backend.close()


@queue.command("ray-start")
@click.option("--address", default="127.0.0.1:6379", show_default=True, metavar="HOST:PORT", help="Of Ray's head.")
@click.option("--join", is_flag=True, help="Join the head at that address instead of being it.")
@gpus_option
@cpus_option
def ray_start(address: str, join: bool, gpus: int | None, cpus: int | None) -> None:
    """Be a node of a Ray cluster in this terminal: with a token, without its dashboard; Ctrl-C ends it."""
    import os

    from hrm_core.errors import UserError
    from hrm_core.runs.backends.ray_node import command
    from hrm_core.runs.backends.ray_setup import (
        LOOPBACK,
        has_token,
        make_token,
        need_ray,
        parse_address,
        ray_environment,
        token_path,
    )

    host, port = parse_address(address)
    need_ray()
    if not join:
        make_token()
    elif not has_token(os.environ):
        raise UserError(f"there is no token in {token_path()}; copy it from the machine of Ray's head.", 1)
    if host not in LOOPBACK and not join:
        print_line(f"Ray will listen on every address of this machine; whoever has {token_path()} runs what he likes.")
    print_line(f"{'joining' if join else 'starting'} Ray at {host}:{port}; Ctrl-C ends this node")
    argv = command(address, head=not join, cpus=cpus, gpus=gpus)
    os.execve(argv[0], argv, ray_environment(os.environ))


@queue.command("stop")
@click.option("--run", "runs_too", is_flag=True, help="Stop the runs under way too, at their next checkpoint.")
@runs_option
def stop(runs_too: bool, runs: Path | None) -> None:
    """Stop the worker. Runs under way go on; --run stops them too."""
    from hrm_core.runs.queue_status import ask_stop

    alive, asked = ask_stop(runs_folder(runs), runs_too=runs_too)
    print_line("the worker will start nothing more" if alive else "no worker is at work")
    for run_id in asked:
        print_line(f"{run_id} will stop at its next checkpoint")


def differs_in_child(folder: Path, command: Sequence[str] = HRM_COMMAND) -> Callable[[Entry], list[str]]:
    """What is different from an entry's pins, asked of a new process: this one may be older than the code on disk."""

    def differs(entry: Entry) -> list[str]:
        argv = [*command, "queue", "show", entry.id, "--json", "--runs", str(folder.resolve())]
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LOOK_S, check=False, errors="replace"
            )
        except (OSError, subprocess.SubprocessError) as error:
            return [f"its pins could not be looked at: {clean(str(error))}"]
        if done.returncode:
            said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            return [f"the code does not start now: {clean(' '.join(said[-2:]))[:300]}"]
        found = parse_object(done.stdout.encode())
        if found is None or not isinstance(found.get("differs"), list):
            return ["its pins could not be looked at: the code says something else now"]
        return [str(part) for part in found["differs"]]

    return differs
