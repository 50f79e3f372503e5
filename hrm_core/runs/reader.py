"""Room `runs`: what the files of a run say, to anybody who asks.

run folder -> RunView, rows, events, lines. Every file may be missing, half-written, truncated, of an old process or
hostile: then it counts as missing, and nothing raises (but `read_policy`). Whether a run lives is decided by its lock
on this host, elsewhere by the age of its heartbeat; `lost` and `stalled` are decided here, since a dead process cannot
say so, and so is `throttled`, from what the trainer saw of its device. Never opens the lock file itself (see
`locks.py`). The list of all runs is in `catalogue.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from hrm_core.errors import UserError
from hrm_core.runs import disk, locks, throttling
from hrm_core.runs.endings import full_disk_words, said_at_the_end
from hrm_core.runs.files import (
    Row,
    integer,
    items,
    last_bytes,
    mapping,
    modified_s,
    number,
    read_json_object,
    read_small,
    string,
)
from hrm_core.runs.formats import RUN_FORMAT, is_newer
from hrm_core.runs.heartbeat import HeartbeatWatch
from hrm_core.runs.launch import is_alive, same_host
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.records import decode_row, decode_status
from hrm_core.runs.tail import JsonlTail
from hrm_core.runs.text import clean
from hrm_core.runs.written import ends_early

STATES: Final = ("starting", "running", "paused", "stopping", "finished", "stopped", "failed", "lost", "stalled")
ENDED: Final = ("finished", "stopped", "failed")
LIVING: Final = ("starting", "running", "paused", "stopping")
STALLED_S: Final = 120.0
_YOUNG_S: Final = 10.0
_LAST_BYTES: Final = 256 * 1024
_FULL: Final = b'"full"'
_MAX_ROWS: Final = 10_000_000


@final
@dataclass(frozen=True)
class RunView:
    """A run at one moment. Dicts are as they were written (checked to be objects, no more); times in seconds.

    `evaluation` is the last full validation, or the last fast one while there is none; `latest_evaluation` is the last
    of either kind. `best` is {metric, value, step}. `alarms` are {name, sentence, advice}, the run's and the reader's.
    """

    folder: Path
    state: str
    experiment: str
    run_json: Row = field(default_factory=dict)
    status: Row = field(default_factory=dict)
    result: Row | None = None
    metrics: Row | None = None
    evaluation: Row | None = None
    latest_evaluation: Row | None = None
    best: Row | None = None
    alarms: tuple[Row, ...] = ()
    pid: int | None = None
    heartbeat_age_s: float | None = None
    where: str = ""  # the back end and the node, empty on this machine

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return RunFolder(self.folder).run_id

    @property
    def step(self) -> int | None:
        """The last step known."""
        for row, key in ((self.status, "global_step"), (self.result, "step"), (self.metrics, "step")):
            found = integer(row, key)
            if found is not None:
                return found
        return None

    @property
    def max_steps(self) -> int | None:
        """Where the run ends."""
        return integer(self.status, "max_steps")

    @property
    def is_live(self) -> bool:
        """Whether a process works on it (or should: stalled)."""
        return lives(self.state)


def lives(state: str | None) -> bool:
    """Whether a process works on a run of this state (or should: stalled)."""
    return state in LIVING or state == "stalled"


def best_trivial(evaluation: object, metric: str) -> tuple[str, float] | None:
    """(name, value) of the best trivial predictor's `metric` in an evaluation row, or None."""
    return best_of(mapping(mapping(evaluation, "trivial"), metric))


def best_of(values: Row) -> tuple[str, float] | None:
    """(name, value) of the largest of the trivial predictors' values, `{name: value}`, or None without any."""
    found = [(number(values, name), name) for name in values]
    known = [(value, name) for value, name in found if value is not None]
    return (max(known)[1], max(known)[0]) if known else None


def lift_of(evaluation: object, metric: str) -> float | None:
    """The lift as an evaluation row has it, else its metric minus the best trivial predictor's; None if neither is."""
    written = number(mapping(evaluation, "lift"), metric)
    value, trivial = number(mapping(evaluation, "metrics"), metric), best_trivial(evaluation, metric)
    return written if written is not None else None if value is None or trivial is None else value - trivial[1]


def _heartbeat_age_s(layout: RunFolder, status: Row, watch: HeartbeatWatch | None) -> float | None:
    changed = modified_s(layout.status_json)
    if changed is None:
        return None
    age = max(time.time() - changed, 0.0)
    beat = integer(status, "heartbeat")
    return age if watch is None or beat is None else watch.age_s(layout.path, beat, age)


def _stalled_after_s(status: Row, run_json: Row) -> float:
    recipe = mapping(run_json, "recipe")
    for limit in (number(status, "stalled_s"), number(mapping(recipe, "alarms"), "stalled_s")):
        if limit is not None and limit > 0:
            return limit
    return STALLED_S


def _launch_is_new(layout: RunFolder) -> tuple[Row, bool]:
    """launch.json, and whether it was written after the result and the status (so it speaks of what comes)."""
    launch = read_json_object(layout.launch_json)
    launched = modified_s(layout.launch_json)
    if launch is None or launched is None:
        return {}, False
    others = (modified_s(layout.result), modified_s(layout.status_json))
    return launch, all(other is None or other < launched for other in others)


def _age_of_folder_s(layout: RunFolder) -> float:
    born = modified_s(layout.run_json) or modified_s(layout.launch_json) or modified_s(layout.path)
    return time.time() - born if born is not None else float("inf")


def _is_of_an_earlier_process(layout: RunFolder, status: Row) -> bool:
    """Whether the one who has the lock has written no status yet: what is there was said by another, dead by now."""
    has, said = locks.written_by(layout), mapping(status, "process")
    fields = ("pid", "start_ticks", "boot_id")
    return bool(has and said) and any(has.get(name) != said.get(name) for name in fields)


def _state(
    layout: RunFolder, pid: int | None, run_json: Row, status: Row, result: Row | None, age_s: float | None
) -> str:
    """The state by result, lock (held by `pid`), launch and heartbeat, in this order of trust."""
    launch, launch_is_new = _launch_is_new(layout)
    starts = launch_is_new and is_alive(mapping(launch, "process"))
    ended = string(result, "state")
    if ended in ENDED:
        return "starting" if starts else ended
    said = string(status, "state")
    living = said if said in LIVING else "running" if status else "starting"
    stale = age_s is not None and age_s > _stalled_after_s(status, run_json)
    if pid is not None:
        if _is_of_an_earlier_process(layout, status):
            begun_s = modified_s(layout.lock)
            stale = begun_s is not None and time.time() - begun_s > _stalled_after_s(status, run_json)
            living = "starting"
        return "stalled" if stale else living
    if starts:
        return "starting"
    process = mapping(status, "process") or mapping(run_json, "process") or mapping(launch, "process")
    known = string(process, "boot_id") or string(process, "host")
    if known and not same_host(process):
        # Its lock cannot be seen from here; a heartbeat that goes on can.
        silent = stale or (age_s is None and _age_of_folder_s(layout) > STALLED_S)
        return "stalled" if silent else living
    if age_s is not None:
        return "lost"
    if launch:
        return "failed"
    return "starting" if _age_of_folder_s(layout) < _YOUNG_S else "lost"


def _reader_alarms(layout: RunFolder, view_state: str, status: Row, age_s: float | None, limit_s: float) -> list[Row]:
    name = layout.run_id
    step = integer(status, "global_step")
    if view_state == "stalled":
        return [
            {
                "name": "stalled",
                "sentence": f"No sign of life for {_age_of_folder_s(layout) if age_s is None else age_s:.0f} s"
                f" (limit {limit_s:.0f} s).",
                "advice": f"See its log in `hrm show {name}`; `hrm stop {name} --now`, then `hrm resume {name}`.",
            }
        ]
    if view_state == "lost":
        return [
            {
                "name": "lost",
                "sentence": f"The process is gone and left no result; the last known step is {step or 0}."
                + full_disk_words(layout, _written_alarms(status)),
                "advice": f"`hrm resume {name}` goes on from its last good checkpoint.",
            }
        ]
    if view_state == "failed" and age_s is None:
        said = output_tail(layout, 1)
        reason = said[-1] if said else "it said nothing"
        return [
            {
                "name": "never_began",
                "sentence": f"The process ended before its first step: {reason}",
                "advice": f"Read {layout.output.name} in the run folder, put it right and start it again.",
            }
        ]
    return _throttled(layout, status) if view_state == "running" else []


def _newer(run_json: Row) -> list[Row]:
    """What a newer version wrote is shown as far as it can be read, and said to be so."""
    if not is_newer(run_json, RUN_FORMAT):
        return []
    sentence = f"Its format is {integer(run_json, 'format')}, this version reads up to {RUN_FORMAT}."
    return [{"name": "newer_format", "sentence": sentence, "advice": "Update hrm-console; what is shown may be wrong."}]


def _no_room(layout: RunFolder, view_state: str, alarms: list[Row]) -> list[Row]:
    """A run whose disk is full may not be able to say so."""
    unsaid = lives(view_state) and all(alarm["name"] != disk.ALARM for alarm in alarms)
    sentence = disk.no_room(layout.path) if unsaid else ""
    return [{"name": disk.ALARM, "sentence": sentence, "advice": disk.ADVICE}] if sentence else []


def _rows_missing(layout: RunFolder, state: str, result: Row | None, *last: Row | None) -> list[Row]:
    """Whether metrics and validations, of which these are the `last` rows, end before those that were on the disk. Of
    a run that lives the files are in its hands."""
    sentence = "" if lives(state) else ends_early(layout, result, *last)
    advice = f"`hrm verify {layout.run_id}` counts them. They do not come back; the weights do not hang on them."
    return [{"name": "rows_missing", "sentence": sentence, "advice": advice}] if sentence else []


def _throttled(layout: RunFolder, status: Row) -> list[Row]:
    """Whether heat or power slows the device; the log is read for it only where the device is hot."""
    sentence = throttling.slowed_by_heat(status)
    if not sentence and throttling.is_hot(status):
        sentence = throttling.slower_while_hot(status, last_rows(layout.metrics))
    return [{"name": "throttled", "sentence": sentence, "advice": throttling.ADVICE}] if sentence else []


def _written_alarms(status: Row) -> list[Row]:
    found = []
    for alarm in items(status, "alarms")[:50]:
        words: Row = {key: string(alarm, key, 2000) for key in ("name", "sentence", "advice")}
        if words["name"]:
            found.append({**words, "sentence": words["sentence"] or words["name"], "advice": words["advice"] or ""})
    return found


def last_rows(path: Path) -> list[Row]:
    """The rows with a step in the last 256 KiB of a .jsonl file, oldest first."""
    return _with_step(map(decode_row, last_bytes(path, _LAST_BYTES).split(b"\n")))


def _last_row(path: Path, lines: int = 4) -> Row | None:
    """The last row alone, without decoding the others."""
    rows = _with_step(map(decode_row, last_bytes(path, 16 * 1024).split(b"\n")[-lines:]))
    return rows[-1] if rows else None


def _last_validations(path: Path) -> tuple[Row | None, Row | None]:
    """The last validation, and the last full one, in the last 256 KiB of a file; no other row is decoded."""
    latest: Row | None = None
    for line in reversed(last_bytes(path, _LAST_BYTES).split(b"\n")):
        if latest is not None and _FULL not in line:
            continue
        for row in _with_step([decode_row(line)]):
            latest = row if latest is None else latest
            if row.get("kind") == "full":
                return latest, row
    return latest, None


def _with_step(rows: Iterable[Row | None]) -> list[Row]:
    return [row for row in rows if row is not None and integer(row, "step") is not None]


def read_status(folder: Path | RunFolder) -> Row:
    """The content of status.json, empty if it is missing or not what was written."""
    return decode_status(read_small(RunFolder.of(folder).status_json) or b"") or {}


def read_run(folder: Path | RunFolder, watch: HeartbeatWatch | None = None) -> RunView:
    """A run at this moment. Costs some ten small reads, however long the run is. Never raises for its content."""
    layout = RunFolder.of(folder)
    run_json = read_json_object(layout.run_json) or {}
    status = read_status(layout)
    result = read_json_object(layout.result)
    age_s = _heartbeat_age_s(layout, status, watch)
    pid = locks.holder(layout)
    state = _state(layout, pid, run_json, status, result, age_s)
    if state == "lost" and (said := said_at_the_end(layout)) is not None:
        state, result = str(said["state"]), said
    latest, full = _last_validations(layout.evaluations)
    best = mapping(status, "best") or mapping(result, "best") or None
    alarms = _written_alarms(status)
    if not lives(state):  # nobody waits for room any more
        alarms = [alarm for alarm in alarms if alarm["name"] != disk.ALARM]
    alarms += _newer(run_json)
    alarms += _no_room(layout, state, alarms)
    metrics = _last_row(layout.metrics)
    alarms += _rows_missing(layout, state, result, metrics, latest)
    alarms += _reader_alarms(layout, state, status, age_s, _stalled_after_s(status, run_json))
    return RunView(
        folder=layout.path,
        state=state,
        experiment=string(run_json, "experiment") or string(mapping(run_json, "recipe"), "experiment") or "",
        run_json=run_json,
        status=status,
        result=result,
        metrics=metrics,
        evaluation=full or latest,
        latest_evaluation=latest,
        best=best,
        alarms=tuple(alarms),
        pid=pid,
        heartbeat_age_s=age_s,
        where=string(read_json_object(layout.launch_json), "where", 200) or "",
    )


def _all_rows(path: Path) -> list[Row]:
    tail = JsonlTail(path)
    rows = tail.poll()
    restarts = 0
    while (more := tail.poll()) and len(rows) < _MAX_ROWS:
        if tail.restarts != restarts:
            # The file was cut between two polls: what was read before is in it once more.
            restarts = tail.restarts
            rows = []
        rows += more
    return rows


def metrics_rows(folder: Path | RunFolder) -> list[Row]:
    """All rows of the training log that have a step; damaged lines are passed over."""
    return _with_step(_all_rows(RunFolder.of(folder).metrics))


def evaluation_rows(folder: Path | RunFolder) -> list[Row]:
    """All validations that have a step; damaged lines are passed over."""
    return _with_step(_all_rows(RunFolder.of(folder).evaluations))


def events(folder: Path | RunFolder) -> list[Row]:
    """All events that have a kind; damaged lines are passed over."""
    return [row for row in _all_rows(RunFolder.of(folder).events) if string(row, "kind")]


def text_tail(path: Path, lines: int) -> list[str]:
    """The last lines of a text (of its last 256 KiB); not cleaned for a terminal."""
    text = last_bytes(path, _LAST_BYTES).decode("utf-8", errors="replace")
    return text.removesuffix("\n").split("\n")[-lines:] if text and lines > 0 else []


def log_tail(folder: Path | RunFolder, lines: int = 200) -> list[str]:
    """The last lines of log.txt (of its last 256 KiB); not cleaned for a terminal."""
    return text_tail(RunFolder.of(folder).log, lines)


def output_tail(folder: Path | RunFolder, lines: int = 20) -> list[str]:
    """The last lines that a process started apart wrote to its output; not cleaned for a terminal."""
    return text_tail(RunFolder.of(folder).output, lines)


def read_policy(folder: Path | RunFolder) -> Row:
    """The counts that outlive a rollback, empty if there are none. UserError (1) where they are damaged: a run that
    goes on without them would learn at another rate."""
    path = RunFolder.of(folder).policy
    row = read_json_object(path)
    if row is None and os.path.lexists(path):
        raise UserError(
            f"{clean(path)} is damaged: it holds how often the loss was not finite, and what that did to the learning "
            "rate.\nSee the events of the run; delete the file to begin those counts anew.",
            1,
        )
    return row or {}
