"""The page of what saving costs: a row for each measurement, added to those that are there.

Benchmarks room: SavingCost -> text of `docs/benchmarks/saving-DEVICE.md`. Nothing is measured here.
"""

from __future__ import annotations

from hrm_core.benchmarks.saving import Estimate, SavingCost

HEAD = """# What saving costs the step loop on {device}

Rows are written by `hrm bench saving --report`. Blocks of steps with a save that begins in them against blocks without,
A B B A in one process; cost: median of the differences (middle 95 % of resampled medians) over the time of the steps
between two checkpoints of the recipe. By the clock, and in CPU time of the loop's own thread; "chance" is the same by
the clock between blocks that are all without a save. The bar is 1 %.

| recipe | cost, clock | cost, CPU | chance | bar | loop stands still | save alone | every | fours | measured on |
|---|---|---|---|---|---|---|---|---:|---|
"""


def span(found: Estimate, scale: float) -> str:
    """A median with its interval, in per cent."""
    return f"{scale * found.median:.2f} % ({scale * found.low:.2f} to {scale * found.high:.2f})"


def row(cost: SavingCost, recipe: str) -> str:
    """One line of the table."""
    wall, cpu = 100 * cost.share(1.0), 100 * cost.cpu_share(1.0)
    cells = (
        f"`{recipe}`",
        span(cost.wall, wall),
        span(cost.cpu, cpu),
        span(cost.chance, wall),
        cost.verdict,
        f"{1000 * cost.taken_s:.1f} ms",
        f"{1000 * cost.alone_s:.0f} ms for {cost.size_bytes / 2**20:.0f} MiB",
        f"{cost.every_steps} steps of {1000 * cost.step_s:.0f} ms",
        str(cost.fours),
        f"{cost.machine.line()}; load average {cost.machine.load:.1f} at the end",
    )
    return "| " + " | ".join(cells) + " |\n"


def page(earlier: str | None, cost: SavingCost, recipe: str) -> str:
    """The page with this measurement as its last row."""
    before = HEAD.format(device=cost.machine.device) if earlier is None else earlier.rstrip("\n") + "\n"
    return before + row(cost, recipe)
