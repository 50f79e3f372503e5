"""Room `runs`: what a queue's worker asks of its surroundings: the machine's devices, settings, and the back ends.

Devices, claims, heat, battery and run folders -> a free device, or in words what is waited for; an entry -> the command
line that begins its run or takes it up again. Nothing is started here: that is `queue_worker.py`'s.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from hrm_core.runs.backends.base import LOCAL, Backend
from hrm_core.runs.backends.choose import open_backend
from hrm_core.runs.catalogue import list_runs
from hrm_core.runs.devices import Device, devices_here, occupant, on_battery
from hrm_core.runs.files import integer, mapping, string
from hrm_core.runs.layout import RunFolder, new_run_id
from hrm_core.runs.queue_records import Code, Entry
from hrm_core.runs.snapshots import newest_first
from hrm_core.runs.user_settings import UserSettings, read_settings

QUICK_S: Final = 60.0
POLL_S: Final = 0.5
LOOK_S: Final = 2.0
NAME_MOST: Final = 64


def _pinned(entry: Entry) -> Code | None:
    return entry.pins.code


@final
@dataclass(frozen=True)
class Surroundings:
    """What a worker asks of the machine. `differs` gives what is different from what an entry pins, a phrase each;
    `quick_s`: a run that fails sooner stops the queue; `claims`: where devices are claimed (default: the user's); `on`:
    the back end of entries that name none; `backend`: opens one for a runs folder; `code`: what a node must have."""

    differs: Callable[[Entry], Sequence[str]]
    devices: Callable[[], Sequence[Device]] = devices_here
    battery: Callable[[], bool] = on_battery
    settings: Callable[[], UserSettings] = read_settings
    claims: Path | None = None
    quick_s: float = QUICK_S
    poll_s: float = POLL_S
    look_s: float = LOOK_S
    tell: Callable[[str], None] | None = None
    on: str = LOCAL
    backend: Callable[[str, Path], Backend] = open_backend
    code: Callable[[Entry], Code | None] = _pinned


def free_devices(
    around: Surroundings, runs_dir: Path, ours: Collection[str], gpus: int = 1
) -> tuple[tuple[Device, ...], str]:
    """Devices that may take a run of so many GPUs now, or none and what is waited for; empty words: our own runs, whose
    names are `ours`. Where there are fewer, all of them: `too_few` says that. The CPU is one place for any number.
    """
    settings = around.settings()
    if settings.flag("queue.hold_on_battery") and around.battery():
        return (), "waiting for mains power (setting queue.hold_on_battery)"
    devices = list(around.devices())
    wanted = min(gpus, len(devices))
    taken = {device.name: occupant(device, around.claims) for device in devices}
    free = [device for device in devices if taken[device.name] is None]
    rows = [row for row in taken.values() if row is not None]
    # The folder is listed only where it matters: with a device that nobody has claimed.
    strangers = _strangers(runs_dir, ours, devices, rows) if free else []
    if len(free) - len(strangers) < wanted:
        others = [row for row in rows if string(row, "runs") != str(runs_dir)]
        names = strangers + [string(row, "run", 80) or f"process {_pid(row)}" for row in others]
        kind = "a free device" if wanted == 1 else f"{wanted} free devices"
        return (), f"waiting for {kind}: {', '.join(names)} runs" if names else ""
    limit = settings.number("queue.hold_above_c")
    cool = [device for device in free if not limit or (device.temperature_c or 0.0) <= limit]
    if len(cool) < wanted:
        hot = next(device for device in free if device not in cool)
        return (), f"waiting for {hot.label} to cool: {hot.temperature_c:.0f} °C, the limit is {limit:.0f}"
    return tuple(cool[:wanted]), ""


def too_few(around: Surroundings, gpus: int) -> list[str]:
    """What is wrong with this machine for a run of so many GPUs, a phrase or none."""
    there = [device for device in around.devices() if device.is_gpu]
    if not there or len(there) >= gpus:
        return []
    return [f"it is to have {gpus} GPUs and this machine has {len(there)}"]


def _strangers(
    runs_dir: Path, ours: Collection[str], devices: Sequence[Device], known: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Runs of this folder that take a device and have not claimed it: started by hand, or sharing one."""
    names = {*ours, *(string(row, "run") for row in known)}
    pids = {_pid(row) for row in known}
    on_gpu = devices[0].is_gpu if devices else False
    found = []
    for view in list_runs(runs_dir):
        elsewhere = bool(view.where) or (on_gpu and string(view.run_json, "device_kind") == "cpu")
        if view.is_live and not elsewhere and view.run_id not in names and view.pid not in pids - {None}:
            found.append(view.run_id)
    return found


def _pid(row: Mapping[str, Any]) -> int | None:
    return integer(mapping(row, "process"), "pid")


def command_of(runs_dir: Path, entry: Entry) -> tuple[str, list[str]]:
    """The run's name, and the words that begin it or take it up again."""
    data = ["--data", entry.data] if entry.data is not None else []
    ours = ["--runs", str(runs_dir), *data, *(["--gpus", str(entry.gpus)] if entry.gpus > 1 else [])]
    run_id = None if entry.fresh else entry.run_id
    layout = RunFolder(runs_dir / (run_id or ""))
    if run_id is not None and layout.run_json.exists():
        if entry.source is None or newest_first(layout.checkpoints):
            return run_id, ["resume", run_id, *ours]
        run_id = None  # its first weights are in the snapshot alone: another run begins with them
    run_id = run_id or _free_name(runs_dir, entry.name or new_run_id(entry.experiment))
    source = ["--from", entry.source] if entry.source is not None else []
    return run_id, ["run", entry.experiment, *entry.overrides, "--name", run_id, *ours, *source]


def _free_name(runs_dir: Path, name: str) -> str:
    number, found = 1, name
    while os.path.lexists(runs_dir / found):
        number += 1
        found = f"{name[: NAME_MOST - len(str(number)) - 1]}-{number}"
    return found
