"""What the console remembers of a runs folder from one opening to the next: marks, baseline, filter, sort, last look.

The last look is the state, best score, alarms and expected end of every run then: digest.py says what is different.

`~/.cache/hrm-console/session-<digest of the folder>.json`, replaced atomically; a file that cannot be read is an empty
session, and one that cannot be written is no harm. Two consoles on one folder: the last one to write wins.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, final

from hrm_core.errors import UserError
from hrm_core.runs.files import items, mapping, number, read_json_object, string

MAX_MARKED = 32


@final
@dataclass(frozen=True)
class Session:
    """marked: run names in the order of marking; seen_s: seconds since the epoch of the last look, None: never;
    states, bests, alarms: the state, the best score and the alarms' names of each run then; ends_s: when it would end;
    views: what a screen wants to find again, by its name; is_read: it comes from the file, or there was none."""

    marked: tuple[str, ...] = ()
    baseline: str = ""
    filter: str = ""
    sort: str = ""
    seen_s: float | None = None
    states: dict[str, str] = field(default_factory=dict)
    bests: dict[str, float] = field(default_factory=dict)
    alarms: dict[str, list[str]] = field(default_factory=dict)
    ends_s: dict[str, float] = field(default_factory=dict)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_read: bool = False

    def toggled(self, run_id: str) -> Session:
        """With the run marked if it was not, and not if it was."""
        kept = tuple(name for name in self.marked if name != run_id)
        return replace(self, marked=kept if len(kept) < len(self.marked) else (*kept, run_id)[-MAX_MARKED:])

    def renamed(self, old: str, new: str) -> Session:
        """With a run that was renamed known by its new name; with an empty one, a run that is gone forgotten."""
        marked = tuple(new if name == old else name for name in self.marked if new or name != old)
        return replace(self, marked=marked, baseline=new if self.baseline == old else self.baseline)

    def with_view(self, room: str, **values: Any) -> Session:
        """With values of a screen changed."""
        return replace(self, views={**self.views, room: {**self.views.get(room, {}), **values}})


def session_path(runs_dir: Path) -> Path:
    """Where a folder's session is kept. UserError where there is no home."""
    from hrm_core.runs.user_settings import cache_dir

    digest = hashlib.sha256(str(runs_dir.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return cache_dir() / f"session-{digest}.json"


def read_session(runs_dir: Path) -> Session:
    """The session of a folder; an empty one where there is none to be had."""
    try:
        row = read_json_object(session_path(runs_dir))
    except UserError:
        return Session(is_read=True)
    states = {name: state for name, state in mapping(row, "states").items() if isinstance(state, str)}
    alarms = {name: [str(alarm) for alarm in items(mapping(row, "alarms"), name)] for name in mapping(row, "alarms")}
    views = {name: view for name, view in mapping(row, "views").items() if isinstance(view, dict)}
    return Session(
        marked=tuple(name for name in items(row, "marked") if isinstance(name, str))[:MAX_MARKED],
        baseline=string(row, "baseline") or "",
        filter=string(row, "filter", 400) or "",
        sort=string(row, "sort", 40) or "",
        seen_s=number(row, "seen_s"),
        states=states,
        bests=_numbers(row, "bests"),
        alarms=alarms,
        ends_s=_numbers(row, "ends_s"),
        views=views,
        is_read=True,
    )


def _numbers(row: object, key: str) -> dict[str, float]:
    values = mapping(row, key)
    return {name: value for name in values if (value := number(values, name)) is not None}


def write_session(runs_dir: Path, session: Session) -> bool:
    """Keep a session; False where it cannot be."""
    from hrm_core.runs.atomic import write_json

    try:
        path = session_path(runs_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {key: value for key, value in asdict(session).items() if key != "is_read"})
    except (UserError, OSError):
        return False
    return True
