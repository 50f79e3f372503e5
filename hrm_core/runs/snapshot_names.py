"""Room `runs`: the snapshot a person means.

word -> snapshot folder: its path, a promoted snapshot's NAME, RUN (its last checkpoint), RUN@last, RUN@best or
RUN@STEP. What is in such a folder is in `snapshots.py`; what is archived in `archive.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hrm_core.errors import UserError
from hrm_core.runs.catalogue import find_run, is_run
from hrm_core.runs.snapshots import META_NAME, latest_good, refuse_newer_snapshot
from hrm_core.runs.text import clean

PROMOTED: Final = "promoted"


def promoted_folder(runs_dir: Path, name: str) -> Path:
    """Where the promoted snapshot `name` lies; it need not exist."""
    return runs_dir / PROMOTED / name


def find_snapshot(runs_dir: Path, word: str) -> Path:
    """The snapshot folder that `word` names. UserError: nothing is called so (2), or it has no such snapshot (1).

    A path goes before a name, a run of exactly that name before a promoted snapshot, and that before the beginning of
    a run's name. UserError (1) too where a newer version made it.
    """
    if word and (Path(word) / META_NAME).is_file():
        return _readable(Path(word))
    if word and "/" not in word and not is_run(runs_dir / word):
        promoted = promoted_folder(runs_dir, word)
        if (promoted / META_NAME).is_file():
            return _readable(promoted)
    name, at, which = word.rpartition("@")
    if not at:
        name, which = word, "last"
    layout = find_run(runs_dir, name)
    if which == "last":
        found = latest_good(layout.checkpoints)
    elif which == "best":
        found = latest_good(layout.archive)
    elif which.isascii() and which.isdigit() and len(which) <= 12:
        step = int(which)
        # The archived one first: its weights are the same, and no newer checkpoint takes its place.
        found = next((path for path in (layout.best(step), layout.checkpoint(step)) if path.is_dir()), None)
    else:
        raise UserError(f"{clean(word)}: write @last, @best or @ and a step after the run, such as {clean(name)}@best")
    if found is None:
        raise UserError(
            f"run {clean(layout.run_id)} has no whole snapshot {clean(which)!r}; "
            "its folders checkpoints and archive show which steps there are",
            1,
        )
    return _readable(found)


def _readable(folder: Path) -> Path:
    refuse_newer_snapshot(folder)
    return folder
