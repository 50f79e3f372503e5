"""A real training on a real disk that fills up in the middle, gets room later, and must end as if nothing had been.

Torture room. Bench -> one row. The disk is a tmpfs of a few MiB, mounted in a name space of its own (`unshare`), so
that nothing is left of it; `python -m hrm_core.torture.small_disk PLACE DATA ROOM` is what runs in there. A file of
ballast leaves only ROOM bytes to the run and is removed once the run waits.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import events, metrics_rows, read_run
from hrm_core.runs.snapshots import latest_good
from hrm_core.torture.bench import SMALL_RUN, Bench, Row

FAULT = "a disk that fills up in the middle of a training"
BAR = "pauses with the alarm disk_full, the last checkpoint whole; goes on when there is room; final weights equal"
DISK_BYTES: Final = 32 * 2**20
ROOMS_MIB: Final = (5.0, 6.0, 8.0, 10.0, 12.0)  # each runs out somewhere else; the whole run takes some 15
LAST_STEP: Final = 40
PATIENCE_S: Final = 240.0
STAYS_S: Final = 2.0  # so long it must wait where there is no room
WEIGHTS: Final = ("weights.safetensors", "evaluation.safetensors", "state.safetensors")


def full_run(bench: Bench) -> Row:
    """The row: so many trainings, each on a disk with other room, against one that always had it."""
    inside = name_space(bench.folder)
    rooms = ROOMS_MIB[1:2] if bench.short else ROOMS_MIB
    how = f"tmpfs with {', '.join(f'{room:g}' for room in rooms)} MiB of room, more of it once the run waits"
    if inside is None:
        return Row(
            FAULT, how, 0, BAR, "not run: a tmpfs can be mounted neither by root nor by `unshare -rm`", "-", False
        )
    plain = RunFolder(bench.folder / "plain" / "one")
    command = training(bench.command(), plain.path.parent, bench.data)
    done = subprocess.run(command, env=dict(bench.environment()), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"a training with room enough fails: {done.stderr[-500:]}")
    wrong: list[str] = []
    for number, room in enumerate(rooms):
        place = bench.folder / f"disk-{number}"
        place.mkdir()
        words = [str(place), str(bench.data), str(int(room * 2**20))]
        child = subprocess.run(
            [*inside, sys.executable, "-m", "hrm_core.torture.small_disk", *words],
            env=dict(bench.environment()), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if child.returncode:
            wrong.append(f"{room:g} MiB: {child.stderr.strip()[-300:]}")
            continue
        report = json.loads(child.stdout)
        wrong += [f"{room:g} MiB: {problem}" for problem in problems_of(report, outcome_of(plain))]
        bench.say(f"{room:g} MiB of room: {report['alarm']}")
    return run_row(how, len(rooms), wrong)


def run_row(how: str, times: int, wrong: list[str]) -> Row:
    """What the trainings gave."""
    found = f"{times} of {times} paused, waited, went on and ended with the same bytes"
    if wrong:
        found = f"{len(wrong)} faults in {times} trainings"
    return Row(FAULT, how, times, BAR, found, "; ".join(wrong[:3]) or "nothing", times > 0 and not wrong)


def name_space(folder: Path) -> list[str] | None:
    """The command before a command that may mount, or None where nobody lets us."""
    place = folder / "mount-test"
    place.mkdir(exist_ok=True)
    for words in (["unshare", "-rm"], ["unshare", "-m"]):
        try:
            tried = subprocess.run([*words, *mount(place, 2**20)], capture_output=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if tried.returncode == 0:
            return words
    return None


def mount(place: Path, size: int) -> list[str]:
    """The command that mounts a tmpfs."""
    return ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]


def training(hrm: list[str], runs: Path, data: Path) -> list[str]:
    """The command of the small run."""
    return [*hrm, "run", "demo", *SMALL_RUN, "--name", "one", "--runs", str(runs), "--data", str(data)]


def outcome_of(layout: RunFolder) -> dict[str, Any]:
    """What must be the same however often the disk was full."""
    import hashlib

    last = layout.checkpoint(LAST_STEP)
    return {
        "weights": [hashlib.sha256((last / name).read_bytes()).hexdigest() for name in WEIGHTS]
        if last.exists()
        else [],
        "steps": [row["step"] for row in metrics_rows(layout)],
        "state": (read_run(layout).result or {}).get("state"),
        "archive": sorted(path.name for path in layout.archive.iterdir()),
    }


def problems_of(report: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """What is wrong with a training on a small disk, in words."""
    problems = []
    if not report["alarm"]:
        problems.append(f"no alarm disk_full: it ends with {report['code']} ({report['output']})")
    elif report["state"] != "paused":
        problems.append(f"it is {report['state']}, not paused")
    if report["alarm"] and report["good"] != report["good_named"]:
        problems.append(f"the newest checkpoint is {report['good_named']}, the newest whole one {report['good']}")
    if report["code"] != 0:
        problems.append(f"it ends with {report['code']} ({report['output']})")
    problems += [
        f"{name} {str(report['end'].get(name))[:120]}, alone {str(value)[:120]}"
        for name, value in expected.items()
        if report["end"].get(name) != value
    ]
    if {"disk_full", "disk_room"} - set(report["events"]):
        problems.append(f"events are {', '.join(sorted(set(report['events'])))}")
    return problems


def main(place: Path, data: Path, room: int) -> None:
    """Mounts the disk, trains on it, makes room once the run waits; the report goes to standard output."""
    subprocess.run(mount(place, DISK_BYTES), check=True)
    ballast, output = place / "ballast", place.with_suffix(".txt")
    ballast.write_bytes(bytes(DISK_BYTES - room))
    layout = RunFolder(place / "runs" / "one")
    with output.open("wb") as stream:
        command = training([sys.executable, "-m", "hrm_core.cli.main"], layout.path.parent, data)
        child = subprocess.Popen(command, stdout=stream, stderr=stream)
    end, alarm, state = time.monotonic() + PATIENCE_S, "", ""
    while child.poll() is None and time.monotonic() < end and state != "paused":
        view = read_run(layout)
        sentences = [row["sentence"] for row in view.alarms if row["name"] == "disk_full"]
        if sentences:
            alarm, state = sentences[0], view.state
        time.sleep(0.05)
    if state == "paused":
        time.sleep(STAYS_S)
        state = read_run(layout).state if child.poll() is None else "ended"
    good = latest_good(layout.checkpoints)
    named = sorted(path.name for path in layout.checkpoints.glob("step-*")) if layout.checkpoints.exists() else []
    ballast.unlink()
    try:
        code = child.wait(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        code = child.wait()
    report = {
        "alarm": alarm, "state": state, "code": code, "output": output.read_text()[-300:],
        "good": None if good is None else good.name, "good_named": named[-1] if named else None,
        "end": outcome_of(layout), "events": [row["kind"] for row in events(layout)],
    }  # fmt: skip
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
