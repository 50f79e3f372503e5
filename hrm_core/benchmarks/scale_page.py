"""The page of how several ranks scale: a row for each number of ranks, added to those that are there.

Benchmarks room: Scale -> text of `docs/benchmarks/scale-DEVICE.md`. Nothing is measured here.
"""

from __future__ import annotations

from hrm_core.benchmarks.scale import Scale

HEAD = """# Several ranks on {device}

Rows are written by `hrm bench scale --report`: whole runs of one recipe by 1, 2, ... ranks, in turn; S stays the
recipe's. Speed: median over rounds of a run's median row. Speed-up: median over rounds of the ratio to one rank in the
same round. Efficiency: speed-up over ranks. What a larger cluster would do is on paper in [scaling.md](../scaling.md).

| recipe | S | trunk | ranks | segments/s | speed-up | efficiency | rounds | measured on |
|---|---:|---:|---:|---:|---:|---:|---:|---|
"""


def rows(scale: Scale) -> str:
    """The lines of one measurement."""
    lines = []
    for found in scale.found:
        cells = (
            f"`{scale.words}`",
            str(scale.slots),
            f"{scale.trunk / 1e6:.2f}M",
            str(found.ranks),
            f"{found.speed:.0f}",
            f"{scale.speedup(found):.2f}",
            f"{100 * scale.efficiency(found):.0f} %",
            str(len(found.speeds)),
            f"{scale.machine.line()}; load average {scale.machine.load:.1f} at the end",
        )
        lines.append("| " + " | ".join(cells) + " |\n")
    return "".join(lines)


def page(earlier: str | None, scale: Scale) -> str:
    """The page with this measurement at its end."""
    before = HEAD.format(device=scale.machine.device) if earlier is None else earlier.rstrip("\n") + "\n"
    return before + rows(scale)
