"""The last minutes of GPU and host as curves. No Textual here.

readings, one a second -> `History` -> charts. The window is five minutes that move on by one whole minute at a time: an
axis that moved with every reading would send every curve anew each second, which is felt over SSH.
"""

from __future__ import annotations

from typing import final

from hrm_console.charts.chart import Chart, Guide, Line
from hrm_console.charts.series import Series
from hrm_console.charts.view import View
from hrm_core.runs.device import Gpu, Reading

WINDOW_S, MOVE_S = 300.0, 60.0
KEPT = 600  # readings; twice as many are collected before the older half is forgotten
GIB = 2**30
CPU, GUIDE = "cpu", 246
POWER, HEAT, MEMORY, BUSY, CLOCK, HOST_MEMORY = "power", "temperature", "memory", "busy", "clock", "host memory"


@final
class History:
    """Curves by what they measure and whose they are (the index of a GPU, or the host)."""

    def __init__(self) -> None:
        self.curves: dict[tuple[str, str], Series] = {}
        self.began: float | None = None
        self.now = 0.0
        self.reading: Reading | None = None

    def add(self, now_s: float, reading: Reading) -> None:
        """Take a reading at a moment (seconds on a clock that only rises)."""
        self.began = now_s if self.began is None else self.began
        self.now, self.reading = now_s - self.began, reading
        for gpu in reading.gpus:
            who = str(gpu.index)
            self._append(POWER, who, None if gpu.power_w is None else round(gpu.power_w))
            self._append(HEAT, who, gpu.temperature_c)
            self._append(MEMORY, who, None if gpu.memory_used is None else gpu.memory_used / GIB)
            self._append(BUSY, who, gpu.utilisation)
            self._append(CLOCK, who, gpu.clock_mhz)
        host = reading.host
        self._append(BUSY, CPU, host.cpu)
        self._append(HOST_MEMORY, CPU, None if host.memory_used is None else host.memory_used / GIB)

    def _append(self, what: str, who: str, value: float | None) -> None:
        if value is None:
            return
        series = self.curves.setdefault((what, who), Series(what))
        series.append(self.now, round(value, 2), time=self.now)
        if len(series) > 2 * KEPT:
            later = Series(what)
            for x, y in zip(list(series.xs)[-KEPT:], list(series.ys)[-KEPT:], strict=True):
                later.append(x, y, time=x)
            self.curves[what, who] = later

    def charts(self, hold_above_c: float = 0.0) -> list[Chart]:
        """Those that there is anything to draw for. `hold_above_c`: where the queue stops starting runs, 0 never."""
        reading = self.reading
        if reading is None:
            return []
        caps = [gpu.power_cap_w for gpu in reading.gpus if gpu.power_cap_w is not None]
        sizes = [gpu.memory_total for gpu in reading.gpus if gpu.memory_total is not None]
        total = reading.host.memory_total
        found = [
            self._chart(POWER, " W", [Guide(max(caps), "cap", GUIDE)] if caps else [], 0.0),
            self._chart(HEAT, " °C", [Guide(hold_above_c, "queue holds", GUIDE)] if hold_above_c > 0 else []),
            self._chart(MEMORY, " GiB", [Guide(max(sizes) / GIB, "all", GUIDE)] if sizes else [], 0.0),
            self._chart(BUSY, "%", [], 0.0, 1.0),
            self._chart(CLOCK, " MHz", clock_guides(reading.gpus)),
            self._chart(HOST_MEMORY, " GiB", [Guide(total / GIB, "all", GUIDE)] if total else [], 0.0),
        ]
        return [chart for chart in found if chart.lines]

    def _chart(
        self, what: str, unit: str, guides: list[Guide], low: float | None = None, high: float | None = None
    ) -> Chart:
        """One chart over the window, a line for each GPU (and for the CPU, where it has such a value)."""
        several = self.reading is not None and len(self.reading.gpus) > 1
        lines = [
            Line(series, "CPU" if who == CPU and what == BUSY else f"GPU {who}" if several else _label(what, who))
            for (measure, who), series in self.curves.items()
            if measure == what
        ]
        end = (self.now // MOVE_S + 1) * MOVE_S
        view = View(x_low=max(0.0, end - WINDOW_S), x_high=max(end, WINDOW_S), y_low=low, y_high=high, x_kind="time")
        title = {MEMORY: "GPU memory", HEAT: "GPU temperature", POWER: "GPU power", CLOCK: "GPU clock"}.get(what, what)
        return Chart(title, lines, guides=guides, view=view, unit=unit)


def _label(what: str, who: str) -> str:
    return "GPU" if what == BUSY and who != CPU else "now"


def clock_guides(gpus: tuple[Gpu, ...]) -> list[Guide]:
    """The highest clock, where one is known."""
    most = [gpu.clock_max_mhz for gpu in gpus if gpu.clock_max_mhz is not None]
    return [Guide(max(most), "most", GUIDE)] if most else []
