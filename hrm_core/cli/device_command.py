"""`hrm device`: what the GPU and host do at this moment, and what holds them.

Command-line room. `hrm_core.runs.device` -> words or JSON, once or every other second. No torch: it asks the driver.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hrm_core.cli.options import json_option, print_json, print_line, runs_folder, runs_option

if TYPE_CHECKING:
    from hrm_core.runs.device import Gpu, Host, Reading

WATCH_S = 2.0
FIRST_S = 0.2
GIB = 2**30
UNKNOWN = "not told"


@click.command("device")
@click.option("--watch", is_flag=True, help="Go on, every other second, until ^C.")
@runs_option
@json_option
def device(watch: bool, runs: Path | None, as_json: bool) -> None:
    """Say what the GPU and host do: memory, power, temperature, clocks, what slows them and what holds them."""
    from hrm_core.runs.device import DeviceReader, hold_reason, run_pids
    from hrm_core.runs.layout import default_built_dir
    from hrm_core.runs.user_settings import read_settings

    folder, settings, reader = runs_folder(runs), read_settings(), DeviceReader()
    time.sleep(FIRST_S)  # the share of the CPU is one since the reader was made
    while True:
        reading = reader.read([("runs", folder), ("data", default_built_dir())], run_pids(folder))
        held = hold_reason(reading, settings.flag("queue.hold_on_battery"), settings.number("queue.hold_above_c"))
        if as_json:
            print_json({**reading.to_json(), "queue_held": held})
        else:
            if watch and sys.stdout.isatty():
                click.clear()
            for line in lines_of(reading, held):
                print_line(line)
        if not watch:
            return
        sys.stdout.flush()
        time.sleep(WATCH_S)


def lines_of(reading: Reading, held: str) -> Iterator[str]:
    """A reading in words; cleaned where they are printed."""
    for gpu in reading.gpus:
        yield from _gpu_lines(gpu)
    if reading.trouble:
        yield f"no GPU: {reading.trouble}"
    yield from _host_lines(reading.host)
    yield f"  queue        {'would start nothing: ' + held if held else 'nothing here holds it'}"


def _row(name: str, value: str) -> str:
    return f"  {name:<13}{value}"


def _gpu_lines(gpu: Gpu) -> Iterator[str]:
    yield f"GPU {gpu.index}: {gpu.name} {gpu.uuid}".rstrip()
    yield _row("memory", _of(gpu.memory_used, gpu.memory_total))
    yield _row("busy", _share(gpu.utilisation))
    yield _row("power", _against(gpu.power_w, gpu.power_cap_w, "W", "cap"))
    yield _row("temperature", UNKNOWN if gpu.temperature_c is None else f"{gpu.temperature_c:.0f} °C")
    yield _row("clock", _against(gpu.clock_mhz, gpu.clock_max_mhz, "MHz", "most"))
    yield _row("slowed by", UNKNOWN if gpu.throttle is None else ", ".join(gpu.throttle) or "nothing")
    if gpu.holders is None:
        yield _row("held by", UNKNOWN)
    elif not gpu.holders:
        yield _row("held by", "nobody")
    for holder in gpu.holders or ():
        size = "" if holder.memory is None else f", {holder.memory / GIB:.1f} GiB"
        yield _row("held by", f"{holder.pid} {holder.name}{size}" + (f", run {holder.run}" if holder.run else ""))


def _host_lines(host: Host) -> Iterator[str]:
    load = "" if host.load is None else f", load {host.load:.1f}"
    yield f"host: {host.cores} cores"
    yield _row("busy", _share(host.cpu) + load)
    yield _row("memory", _of(host.memory_used, host.memory_total))
    if host.swap_total:
        yield _row("swap", _of(host.swap_used, host.swap_total))
    for disk in host.disks:
        yield _row(f"disk, {disk.what}", f"{disk.free / GIB:.1f} of {disk.total / GIB:.1f} GiB free at {disk.folder}")
    battery = host.battery
    if battery is not None:
        charge = "" if battery.charge is None else f", {_share(battery.charge)} full"
        yield _row("battery", ("in use" if battery.on_battery else "not in use") + charge)


def _of(used: int | None, total: int | None) -> str:
    if used is None or total is None:
        return UNKNOWN
    return f"{used / GIB:.1f} of {total / GIB:.1f} GiB"


def _share(value: float | None) -> str:
    return UNKNOWN if value is None else f"{100 * value:.0f} %"


def _against(value: float | None, most: float | None, unit: str, word: str) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.0f} {unit}" + ("" if most is None else f" ({word} {most:.0f} {unit})")
