"""Room `runs`: where everything of a run lies, and what a run may be called.

A run folder is `<runs>/<run_id>/`; `RunFolder` knows the name of each file in it and touches none of them. Also the
default folders of runs and of built data: `./runs` and `./datasets/built` where they exist, else under
`~/.local/share/hrm/`. Reading and writing are in `reader.py` and `writer.py`.
"""

from __future__ import annotations

import os
import re
import secrets
import string
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, final

from hrm_core.errors import UserError
from hrm_core.runs.text import clean

NAME_RULE: Final = "letters, digits, '.', '_' and '-', 1 to 64 of them, beginning with a letter or digit"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_STEP_DIGITS: Final = 8


@final
@dataclass(frozen=True)
class RunFolder:
    """The paths of one run. `path` is the folder; nothing needs to exist."""

    path: Path

    @staticmethod
    def of(folder: Path | RunFolder) -> RunFolder:
        """A RunFolder from itself or from a path."""
        return folder if isinstance(folder, RunFolder) else RunFolder(Path(folder))

    @property
    def run_id(self) -> str:
        """The folder's name, which is the run's."""
        return self.path.name or self.path.resolve().name

    @property
    def run_json(self) -> Path:
        """Written once: format, recipe and sources, versions, device, digest, seed, process identity."""
        return self.path / "run.json"

    @property
    def recipe_toml(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.toml"

    @property
    def status_json(self) -> Path:
        """What the run is doing, replaced atomically."""
        return self.path / "status.json"

    @property
    def metrics(self) -> Path:
        """Rows of the training log."""
        return self.path / "metrics.jsonl"

    @property
    def evaluations(self) -> Path:
        """Rows of the validations."""
        return self.path / "evaluations.jsonl"

    @property
    def events(self) -> Path:
        """What happened, one row each; never cut."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """Lines of text; never cut."""
        return self.path / "log.txt"

    @property
    def output(self) -> Path:
        """Standard output and error of a process started apart (`launch.start_detached`)."""
        return self.path / "output.txt"

    @property
    def launch_json(self) -> Path:
        """Identity of the process started apart, so that a run is known to be starting before it takes the lock."""
        return self.path / "launch.json"

    @property
    def policy(self) -> Path:
        """Counts that outlive a rollback."""
        return self.path / "policy.json"

    @property
    def predictions(self) -> Path:
        """Folder of `<step>.jsonl.gz`, `<step>.index.json` and `tasks.jsonl.gz`."""
        return self.path / "predictions"

    @property
    def checkpoints(self) -> Path:
        """Folder of `step-00002000/`."""
        return self.path / "checkpoints"

    @property
    def archive(self) -> Path:
        """Folder of `best-00010000/`."""
        return self.path / "archive"

    @property
    def control(self) -> Path:
        """Folder of requests to the run, one file each."""
        return self.path / "control"

    @property
    def lock(self) -> Path:
        """Held by the trainer all its life. Only `locks.py` opens it: closing any other handle would drop the lock."""
        return self.path / "lock"

    @property
    def result(self) -> Path:
        """Written last: its presence means finished."""
        return self.path / "result.json"

    def checkpoint(self, step: int) -> Path:
        """Folder of the checkpoint at `step`."""
        return self.checkpoints / f"step-{step:0{_STEP_DIGITS}d}"

    def best(self, step: int) -> Path:
        """Folder of the archived best at `step`."""
        return self.archive / f"best-{step:0{_STEP_DIGITS}d}"


def check_name(name: str) -> str:
    """`name` if a run may be called so, else UserError (exit 2). The name is a single folder name, never a path."""
    if _NAME.fullmatch(name) is None:
        shown = clean(name[:80])
        raise UserError(f"name {shown!r} is not allowed for a run: use {NAME_RULE}.")
    return name


def new_run_id(experiment: str, now: datetime | None = None, letters: str | None = None) -> str:
    """`<experiment>-<yyyymmdd-hhmmss>-<4 letters>`; `now` (default: this second, UTC) and `letters` are for tests."""
    when = datetime.now(UTC) if now is None else now
    tail = "".join(secrets.choice(string.ascii_lowercase) for _ in range(4)) if letters is None else letters
    head = re.sub(r"[^A-Za-z0-9._-]", "-", experiment)[:40].lstrip("._-") or "run"
    return check_name(f"{head}-{when:%Y%m%d-%H%M%S}-{tail}")


def data_home() -> Path:
    """`hrm` under XDG_DATA_HOME, else under ~/.local/share. UserError where there is no home."""
    base = os.environ.get("XDG_DATA_HOME", "")
    if base.startswith("/"):
        return Path(base) / "hrm"
    try:
        return Path.home() / ".local" / "share" / "hrm"
    except RuntimeError:
        raise UserError("there is no home folder for runs and data; give one with --runs or make ./runs.") from None


def default_runs_dir() -> Path:
    """`./runs` where it exists, else `runs` under the user's data folder (which need not exist)."""
    here = Path("runs")
    return here if here.is_dir() else data_home() / "runs"


def default_built_dir() -> Path:
    """`./datasets/built` where it exists, else `built` under the user's data folder."""
    here = Path("datasets") / "built"
    return here if here.is_dir() else data_home() / "built"
