"""The page of the console's benchmark: each number beside its bar, and how it was measured.

Benchmarks room: `Measured` + `Machine` -> rows of a table, Markdown, JSON. A bar that is missed is said to be.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple

from hrm_core.benchmarks.console import LIVE_SIZE, AtSize, Measured, middle
from hrm_core.benchmarks.machine import Machine

COLUMNS: Final = ("what", "size", "bar", "measured", "met")
START_S, LIST_S, COLD_S, WARM_S = 0.15, 1.0, 1.5, 0.3
KEY_S, WORST_KEY_S = 0.030, 0.120
TICK_CPU_S, TICK_BYTES, IDLE_BYTES_S, IDLE_CPU = 0.060, 2560.0, 307.2, 0.02
ROW_TIMES: Final = 5.0  # a write while the line stalls may take so many times the longest write before
BACK_S: Final = 5.0


class Line(NamedTuple):
    """One row of the table."""

    what: str
    size: str
    bar: str
    measured: str
    met: bool


def _least(values: Sequence[float | None], bar: float) -> bool:
    return bool(values) and all(value is not None and value <= bar for value in values)


def _s(value: float | None) -> str:
    return "not in time" if value is None else f"{value:.2f} s"


def _ms(value: float | None) -> str:
    return "not in time" if value is None else f"{1e3 * value:.0f} ms"


def _of_size(found: AtSize) -> list[Line]:
    size = f"{found.size[0]}x{found.size[1]}"
    more = statistics.median(found.start_s) - statistics.median(found.empty_s)
    keys = sorted(found.keys_s)
    answered = not found.keys_without_a_frame and bool(keys)
    missing = f", {found.keys_without_a_frame} without a frame" if found.keys_without_a_frame else ""
    return [
        Line(
            "start to first frame, beyond an empty Textual app",
            size,
            f"{START_S} s",
            f"{more:.2f} s ({_s(middle(found.start_s))} and {_s(middle(found.empty_s))})",
            more <= START_S,
        ),
        Line(
            "start to the list of runs: first time, later",
            size,
            f"{LIST_S} s",
            f"{_s(found.list_cold_s)}, {_s(found.list_warm_s)}",
            _least([found.list_cold_s, found.list_warm_s], LIST_S),
        ),
        Line(
            "a run's curves, first time",
            size,
            f"{COLD_S} s",
            _s(found.open_cold_s),
            _least([found.open_cold_s], COLD_S),
        ),
        Line(
            "a run's curves from the index: after a new start, again",
            size,
            f"{WARM_S} s",
            f"{_s(found.open_warm_s)}, {_s(found.open_again_s)}",
            _least([found.open_warm_s, found.open_again_s], WARM_S),
        ),
        Line(
            f"key to paint: median, 95 %, worst of {len(keys)}",
            size,
            f"{_ms(KEY_S)}, -, {_ms(WORST_KEY_S)}",
            f"{_ms(middle(keys))}, {_ms(keys[int(0.95 * len(keys))] if keys else None)}, "
            f"{_ms(keys[-1] if keys else None)}{missing} (list {_ms(middle(found.list_keys_s))}, "
            f"run {_ms(middle(found.run_keys_s))})",
            answered and _least([middle(keys)], KEY_S) and keys[-1] <= WORST_KEY_S,
        ),
    ]


def lines(measured: Measured) -> list[Line]:
    """The table."""
    live, stall, size = measured.live, measured.stall, f"{LIVE_SIZE[0]}x{LIVE_SIZE[1]}"
    found = [
        Line(
            "imported by the first frame, of torch, numpy, h5py, plotext",
            "80x24",
            "none",
            ", ".join(measured.at_start) or "none",
            not measured.at_start,
        )
    ]
    for at_size in measured.sizes:
        found += _of_size(at_size)
    idle_bytes, idle_cpu = (
        max(live.idle_list_bytes_s, live.idle_run_bytes_s),
        max(live.idle_list_cpu, live.idle_run_cpu),
    )
    unharmed = stall.rows_read == stall.rows_written and stall.row_stalled_ms <= max(100.0, ROW_TIMES * stall.row_ms)
    return [
        *found,
        Line("live tick: CPU", size, _ms(TICK_CPU_S), _ms(live.tick_cpu_s), live.tick_cpu_s <= TICK_CPU_S),
        Line(
            "live tick: sent",
            size,
            f"{TICK_BYTES / 1024:.1f} KB",
            f"{live.tick_bytes / 1024:.2f} KB",
            live.tick_bytes <= TICK_BYTES,
        ),
        Line(
            "at rest: sent in a second, list and run",
            size,
            f"{IDLE_BYTES_S / 1024:.1f} KB",
            f"{live.idle_list_bytes_s / 1024:.2f} KB, {live.idle_run_bytes_s / 1024:.2f} KB",
            idle_bytes <= IDLE_BYTES_S,
        ),
        Line(
            "at rest: share of a core, list and run",
            size,
            f"{100 * IDLE_CPU:.0f} %",
            f"{100 * live.idle_list_cpu:.1f} %, {100 * live.idle_run_cpu:.1f} %",
            idle_cpu <= IDLE_CPU,
        ),
        Line(
            f"a line that stalls for {stall.seconds:.0f} s: rows of the run",
            size,
            "all there, as quick as before",
            f"{stall.rows_read} of {stall.rows_written}, longest write {stall.row_stalled_ms:.0f} ms "
            f"({stall.row_ms:.0f} ms before)",
            unharmed,
        ),
        Line(
            "... the console is back: newest row shown, next key",
            size,
            f"comes back ({BACK_S:.0f} s)",
            f"{_s(stall.back_s)}, {_ms(stall.key_s)}",
            _least([stall.back_s, stall.key_s], BACK_S),
        ),
    ]


def page(measured: Measured, machine: Machine) -> str:
    """The page in docs/benchmarks."""
    effort, rows = measured.effort, lines(measured)
    missed = [line for line in rows if not line.met]
    table = "\n".join(
        f"| {line.what} | {line.size} | {line.bar} | {line.measured} | {'yes' if line.met else '**no**'} |"
        for line in rows
    )
    verdict = "Every bar is met." if not missed else f"**{len(missed)} of {len(rows)} bars are missed.**"
    return f"""# The console with {effort.runs} long runs

`hrm bench console`: the console as a process in a pty of 256 colours that knows synchronized updates, caches and
settings of its own, {effort.runs} ended runs of {effort.rows:,} rows each (4 files of metrics, linked). {verdict}

| {" | ".join(COLUMNS)} |
|---|---|---|---|---|
{table}

{machine.line()}; load {measured.load_before:.1f} before and {measured.load_after:.1f} after.

How: the first frame is out when every cell has been written once; an empty app and the console start in turn,
{effort.starts} times each, medians. The list is there when the newest run's name is. A run's curves are there when the
loss of its last row stands in the chart's title: from Enter on the second run of the list, whose file is another than
that of the first; after a new start it is the median of {effort.opens}. A key is answered with the last byte of the
next frame; it is typed when nothing has come for 80 ms, {effort.keys} keys on the list and {effort.keys} on a run's
charts (crosshair, zoom, axis, log scale, smoothing). A tick is a row of metrics and a status, each second,
{effort.ticks} times; its CPU is all that the process used meanwhile. At rest is {effort.idle_s:.0f} s after 7 s in
which nothing happened.
"""


def to_json(measured: Measured, machine: Machine) -> dict[str, Any]:
    """Everything, for scripts."""
    found = [line._asdict() for line in lines(measured)]
    return {"lines": found, "measured": asdict(measured), "machine": asdict(machine)}
