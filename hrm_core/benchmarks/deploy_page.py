"""The page of what an answer costs in each runtime, and the cells of its table.

Benchmarks room: Deployed -> text of `docs/benchmarks/deploy-DEVICE.md`. Nothing is measured here.
"""

from __future__ import annotations

from hrm_core.benchmarks.deploy import NAMES, Cost, Deployed

COLUMNS = ("runtime", "median", "90 % of calls within", "open", "export", "relative error", "file", "peak of process")

HEAD = """# What an answer costs in each runtime on {device}

Sections are written by `hrm bench deploy SNAPSHOT --report`. One puzzle a call, fp32; each runtime in a process of its
own, {calls} calls after three that do not count. "peak of process" is all that the process held (VmHWM), the runtime's
own libraries included: ONNX Runtime's does not hold torch, the others' do. "export" includes the comparison with the
model; "relative error" is its result. What the files are: [deploy.md](../deploy.md).
"""


def shape_line(found: Deployed) -> str:
    """The model and the call, in one line."""
    shape = found.shape
    loop = f"halting within {shape['segments']}" if shape["halting"] else str(shape["segments"])
    layers, cycles = (" + ".join(map(str, shape[name])) for name in ("layers", "cycles"))
    return (
        f"hidden {shape['hidden']}, {layers} layers, {cycles} cycles, {shape['parameters'] / 1e6:.2f} million "
        f"parameters; side {shape['side']}, {loop} segments, batch {shape['batch']}, "
        f"{shape['identity_rows']} identity rows"
    )


def machine_line(found: Deployed) -> str:
    """Device, versions, date, commit, and how busy it was."""
    versions = ", ".join(f"{name} {version}" for name, version in found.runtimes.items())
    return f"{found.machine.line()}; {versions}; load average {found.machine.load:.1f} at the end"


def cells(cost: Cost) -> list[str]:
    """One line of the table."""
    name = NAMES[cost.runtime]
    if cost.problem is not None:
        return [name, cost.problem, *[""] * (len(COLUMNS) - 2)]
    memory = _mib(cost.peak_bytes) + ("" if cost.device_bytes is None else f", GPU {_mib(cost.device_bytes)}")
    return [
        name,
        _ms(cost.median_s),
        _ms(cost.p90_s),
        "-" if cost.open_s is None else f"{cost.open_s:.1f} s",
        "-" if cost.export_s is None else f"{cost.export_s:.1f} s",
        "-" if cost.error is None else f"{cost.error:.1e}",
        _mib(cost.file_bytes),
        memory,
    ]


def page(earlier: str | None, found: Deployed) -> str:
    """The page with this measurement as its last section."""
    head = HEAD.format(device=found.machine.device, calls=found.calls)
    before = head if earlier is None else earlier.rstrip("\n") + "\n"
    rows = [list(COLUMNS), ["---", *["---:"] * (len(COLUMNS) - 1)], *map(cells, found.costs)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"{before}\n## {shape_line(found)}\n\n{machine_line(found)}\n\n{table}\n"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.1f} ms"


def _mib(count: int | None) -> str:
    return "-" if count is None else f"{count / 2**20:.1f} MiB"
