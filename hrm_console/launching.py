"""Starting, resuming and steering runs. The console never trains: it starts `hrm ... --detach` as a child process.

form -> argv (a list, never a shell line) -> outcome. `run_command` waits for the child and is called in a thread; the
run it starts is its own session, so it outlives the child, the console and the connection. What a run obeys while it
goes on are files in its control folder, written by `steer`.
"""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from hrm_console.children import lines_of, run_child
from hrm_core.errors import UserError
from hrm_core.runs.launch import HRM_COMMAND
from hrm_core.runs.text import clean

# Building ARC-AGI-1 for a first run takes under half a minute on two cores; a slow disk gets ten times that.
PATIENCE_S = 300.0


@final
@dataclass(frozen=True)
class Outcome:
    """How a child ended: whether it did what it was asked, and what it said, cleaned."""

    ok: bool
    text: str


Launcher = Callable[[Sequence[str]], Outcome]


def split_overrides(line: str) -> tuple[str, ...]:
    """The words of an overrides line, with quotes as a shell has them. Raises UserError for an open quote."""
    try:
        return tuple(shlex.split(line))
    except ValueError as error:
        raise UserError(f"overrides: {str(error).lower()}; close the quote") from error


def run_words(experiment: str, overrides: Sequence[str], name: str = "", source: str = "") -> tuple[str, ...]:
    """The words after `hrm` that start a run; `source` is the snapshot whose weights it starts from."""
    begun = ("--from", source) if source else ()
    return ("run", experiment, *overrides, *begun, *(("--name", name) if name else ()))


def run_argv(experiment: str, overrides: Sequence[str], name: str, runs_dir: Path, source: str = "") -> list[str]:
    """The command that starts a run and leaves it alone."""
    return [*HRM_COMMAND, *run_words(experiment, overrides, name, source), "--detach", "--runs", str(runs_dir)]


def queue_argv(experiment: str, overrides: Sequence[str], name: str, runs_dir: Path, source: str = "") -> list[str]:
    """The command that puts a run in the queue."""
    words = run_words(experiment, overrides, name, source)
    return [*HRM_COMMAND, "queue", "add", *words[1:], "--runs", str(runs_dir)]


def resume_argv(run_id: str, runs_dir: Path) -> list[str]:
    """The command that takes up a run at its last checkpoint and leaves it alone."""
    return extend_argv(run_id, (), runs_dir)


def extend_argv(run_id: str, overrides: Sequence[str], runs_dir: Path) -> list[str]:
    """The same with another length, `training.max_steps=N`."""
    return [*HRM_COMMAND, "resume", run_id, *overrides, "--detach", "--runs", str(runs_dir)]


def shell_line(argv: Sequence[str]) -> str:
    """An argv as a person would type it."""
    words = list(argv)
    if tuple(words[: len(HRM_COMMAND)]) == HRM_COMMAND:
        words[: len(HRM_COMMAND)] = ["hrm"]
    return shlex.join(words)


def run_command(argv: Sequence[str]) -> Outcome:
    """Run a child to its end and say how it went, in its last words."""
    ended = run_child(argv, PATIENCE_S, 200_000, together=True)
    if ended.status is None:
        hint = "; see the runs screen whether it came up" if ended.trouble.startswith("no answer") else ""
        return Outcome(False, ended.trouble + hint)
    lines = lines_of(ended.out)
    said = "\n".join(lines[-6:]) if lines else f"the command ended with exit code {ended.status}"
    return Outcome(ended.status == 0, said)


def steer(folder: Path, request: str) -> Outcome:
    """Ask a run for something ("stop", "stop-now", "pause", "continue", "checkpoint") by a file in its control folder,
    or kill its process ("kill")."""
    from hrm_core.runs.control import request as put
    from hrm_core.runs.locks import holder

    try:
        if request == "kill":
            pid = holder(folder)
            if pid is None:
                return Outcome(False, "no process holds it any more")
            os.kill(pid, signal.SIGKILL)
        else:
            put(folder, request)  # type: ignore[arg-type]
    except (UserError, OSError) as error:
        return Outcome(False, clean(str(error)))
    return Outcome(True, request)
