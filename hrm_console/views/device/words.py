"""GPU and host in words: what is used, what slows, what holds, and whether the queue would start anything now.

`Reading` of hrm_core.runs.device -> rows of Text for a width in cells. Pure functions, tested alone. Curves are in
device_history.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from rich.text import Text

from hrm_console.theme import Palette
from hrm_console.words import count, number, plain, progress_bar, wrap
from hrm_core.runs.device import Gpu, Holder, Host, Reading
from hrm_core.runs.throttling import HOT_C, HOT_WORDS

GIB = 2**30
NAME_WIDTH = 13
BAR = 10
UNKNOWN = "not told"


@final
@dataclass(frozen=True)
class Energy:
    """What a run has used: joules of its training steps, and how many segments it has made; None: not measured."""

    run_id: str
    joules: float | None
    segments: float | None


def device_rows(
    reading: Reading,
    runs: Mapping[int, str],
    queue: list[str],
    energy: Energy | None,
    palette: Palette,
    size: tuple[int, int],
) -> list[Text]:
    """Everything for a size in cells. `runs`: pid -> run at work; `queue`: whether it holds, and its settings."""
    width, height = size
    parts = [gpu_rows(gpu, palette, width) for gpu in reading.gpus]
    if reading.trouble:
        parts.append(wrap(f"No GPU: {reading.trouble}.", width - 1, palette.warn, indent=" "))
    host = host_rows(reading.host, palette, width)
    if not reading.gpus:
        host += [_row("at work", plain(f"{name}  process {pid}"), palette, width) for pid, name in runs.items()]
    parts.append(host)
    if energy is not None:
        parts.append(energy_rows(energy, palette, width))
    held = [row for line in queue for row in wrap(line, width - 1, palette.text, indent="   ", first="   ")]
    parts.append([_head("queue", palette), *held])
    gap = [Text("")] if sum(map(len, parts)) + len(parts) - 1 <= height else []
    return [row for place, part in enumerate(parts) for row in (*(gap if place else []), *part)]


def _head(text: str, palette: Palette) -> Text:
    return plain(f" {text}", palette.strong)


def _row(name: str, value: Text, palette: Palette, width: int) -> Text:
    row = Text(f"   {name:<{NAME_WIDTH}}", style=palette.muted, no_wrap=True, end="")
    if not value.style:
        value.style = palette.text
    row.append_text(value)
    row.truncate(max(0, width), overflow="ellipsis")
    return row


def _measure(name: str, used: float | None, whole: float | None, words: str, palette: Palette, width: int) -> Text:
    """A bar and what it means; the words alone where there is nothing to measure against."""
    value = Text(no_wrap=True, end="")
    if used is not None and whole:
        value.append_text(progress_bar(used / whole, BAR, palette))
        value.append("  ")
    value.append(words if used is not None else UNKNOWN, palette.text if used is not None else palette.muted)
    return _row(name, value, palette, width)


def gpu_rows(gpu: Gpu, palette: Palette, width: int) -> list[Text]:
    """One GPU."""
    rows = [plain(f" GPU {gpu.index}  {gpu.name}", palette.strong, width)]
    rows.append(_bytes("memory", gpu.memory_used, gpu.memory_total, palette, width))
    rows.append(_share("busy", gpu.utilisation, "", palette, width))
    cap = "" if gpu.power_cap_w is None else f" of a cap of {gpu.power_cap_w:.0f} W"
    rows.append(_measure("power", gpu.power_w, gpu.power_cap_w, f"{gpu.power_w or 0:.0f} W{cap}", palette, width))
    heat = gpu.temperature_c
    style = palette.warn if heat is not None and heat >= HOT_C else palette.text
    rows.append(_row("temperature", plain(UNKNOWN if heat is None else f"{heat:.0f} °C", style), palette, width))
    most = "" if gpu.clock_max_mhz is None else f" of {gpu.clock_max_mhz:.0f} MHz"
    rows.append(_measure("clock", gpu.clock_mhz, gpu.clock_max_mhz, f"{gpu.clock_mhz or 0:.0f}{most}", palette, width))
    rows.append(_row("slowed by", slowed_words(gpu.throttle, palette), palette, width))
    if gpu.holders is None:
        rows.append(_row("held by", plain(f"{UNKNOWN} by the driver", palette.muted), palette, width))
    elif not gpu.holders:
        rows.append(_row("held by", plain("nobody", palette.muted), palette, width))
    for place, holder in enumerate(gpu.holders or ()):
        rows.append(_row("held by" if not place else "", holder_words(holder, palette), palette, width))
    return rows


def slowed_words(reasons: tuple[str, ...] | None, palette: Palette) -> Text:
    """Throttle reasons; heat and power supply stand out, a power cap is as it should be."""
    if reasons is None:
        return plain(UNKNOWN, palette.muted)
    hot = not HOT_WORDS.isdisjoint(reasons)
    return plain(", ".join(reasons) or "nothing", palette.warn if hot else palette.text)


def holder_words(holder: Holder, palette: Palette) -> Text:
    """A process on the GPU: which run of ours it is, else its name."""
    words = plain(holder.run or holder.name, palette.accent if holder.run else palette.text)
    words.append(f"  process {holder.pid}", palette.muted)
    if holder.memory is not None:
        words.append(f"  {holder.memory / GIB:.1f} GiB", palette.text)
    return words


def _bytes(name: str, used: int | None, total: int | None, palette: Palette, width: int) -> Text:
    words = f"{(used or 0) / GIB:.1f}" + ("" if total is None else f" of {total / GIB:.1f} GiB")
    return _measure(name, used, total, words, palette, width)


def _share(name: str, value: float | None, more: str, palette: Palette, width: int) -> Text:
    return _measure(name, value, 1.0, f"{100 * (value or 0):.0f} %{more}", palette, width)


def host_rows(host: Host, palette: Palette, width: int) -> list[Text]:
    """CPU, memory, disks, battery."""
    rows = [_head(f"host, {host.cores} cores", palette)]
    load = "" if host.load is None else f", load {host.load:.1f}"
    rows.append(_share("busy", host.cpu, load, palette, width))
    rows.append(_bytes("memory", host.memory_used, host.memory_total, palette, width))
    if host.swap_total:
        rows.append(_bytes("swap", host.swap_used, host.swap_total, palette, width))
    for disk in host.disks:
        words = f"{disk.free / GIB:.1f} GiB free of {disk.total / GIB:.0f}"
        used, total = disk.total - disk.free, disk.total
        rows.append(_measure(f"disk, {disk.what}", used, total, words, palette, width))
    battery = host.battery
    if battery is not None:
        charge = "" if battery.charge is None else f", {100 * battery.charge:.0f} % full"
        words, style = ("in use", palette.warn) if battery.on_battery else ("not in use", palette.text)
        rows.append(_row("battery", plain(words + charge, style), palette, width))
    return rows


def energy_rows(energy: Energy, palette: Palette, width: int) -> list[Text]:
    """What the run looked at has used so far."""
    rows = [plain(f" energy of {energy.run_id}", palette.strong, width)]
    joules = energy.joules
    if joules is None:
        return [*rows, _row("training", plain("its power was not measured", palette.muted), palette, width)]
    rows.append(_row("training", plain(f"{count(joules)} J, {number(joules / 3600)} Wh"), palette, width))
    if energy.segments and joules > 0:
        rows.append(_row("worth", plain(f"{number(energy.segments / joules)} segments a joule"), palette, width))
    return rows


def queue_lines(held: str, hold_on_battery: bool, hold_above_c: float) -> list[str]:
    """Whether the queue would start something now, and the settings that decide it."""
    above = f"above {hold_above_c:.0f} °C" if hold_above_c > 0 else "at no temperature"
    return [
        f"would start nothing: {held}" if held else "nothing here holds it",
        f"settings: it holds {'on battery' if hold_on_battery else 'never for a battery'}, {above}",
    ]
