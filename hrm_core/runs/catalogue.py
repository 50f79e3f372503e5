"""Room `runs`: all runs of a folder, and the run a user means.

runs folder -> list of RunView, the newest first; a few small reads for each. A word on the command line (name, unique
beginning of one, or path) -> RunFolder.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from hrm_core.errors import UserError
from hrm_core.runs.files import modified_s, string
from hrm_core.runs.heartbeat import HeartbeatWatch
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import RunView, read_run
from hrm_core.runs.text import clean


def is_run(folder: Path) -> bool:
    """Whether a folder is a run: it has a run.json, or a process was started in it that should write one."""
    layout = RunFolder(folder)
    return os.path.isfile(layout.run_json) or os.path.isfile(layout.launch_json)


def _names(runs_dir: Path) -> list[str]:
    """Names of the runs in a folder; none if there is no such folder. OSError if it cannot be read."""
    try:
        entries = os.listdir(runs_dir)
    except FileNotFoundError:
        return []
    return sorted(name for name in entries if not name.startswith(".") and is_run(runs_dir / name))


def list_runs(runs_dir: Path, watch: HeartbeatWatch | None = None) -> list[RunView]:
    """Every run in `runs_dir`, the newest first. OSError if the folder is there but cannot be read."""
    views = [read_run(runs_dir / name, watch) for name in _names(runs_dir)]

    def begun(view: RunView) -> tuple[str, float, str]:
        changed = modified_s(RunFolder(view.folder).run_json) or 0.0
        return string(view.run_json, "created_utc") or "", changed, view.run_id

    return sorted(views, key=begun, reverse=True)


def find_run(runs_dir: Path, word: str) -> RunFolder:
    """The run that `word` names: a name in `runs_dir`, the beginning of exactly one, or a path. UserError (2) if none.

    The whole name goes before a beginning, and a name before a path.
    """
    shown = clean(word[:120])
    names = _names(runs_dir)
    if word in names:
        return RunFolder(runs_dir / word)
    begun = [name for name in names if word and name.startswith(word)]
    if len(begun) == 1:
        return RunFolder(runs_dir / begun[0])
    if word and is_run(Path(word)):
        return RunFolder(Path(word))
    if begun:
        few = ", ".join(clean(name) for name in begun[:4]) + (" ..." if len(begun) > 4 else "")
        raise UserError(f"{shown!r} could be {len(begun)} runs in {clean(runs_dir)}: {few}; write more of the name.")
    near = difflib.get_close_matches(word[:120], names, n=3, cutoff=0.4)
    if near:
        hint = "did you mean " + " or ".join(clean(name) for name in near) + "?"
    elif names:
        hint = "`hrm list` shows what is there, --runs DIR looks elsewhere."
    else:
        hint = "there are no runs there yet; start one with `hrm run`, or look elsewhere with --runs DIR."
    raise UserError(f"there is no run {shown!r} in {clean(runs_dir)}; {hint}")
