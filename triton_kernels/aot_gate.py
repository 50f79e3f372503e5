"""Compiles all cases ahead of time in a few processes and judges what the compiler made of them.

Input: operations' `aot.cases()` and the committed table (Triton version -> case -> `Resources`); output: `Resources`
by case, and complaints in words: over the shared memory of the architecture, spills, local memory, no tensor cores, or
worse than tabled. sm_87 and sm_89 give the same code (seen in every case tried), so of two cases that differ in
nothing else one is compiled. A Triton version that the table does not know is held to the limits only.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from typing import Any

from triton_kernels.aot import SHARED_LIMIT, AotCase, Resources, cases_of, compile_case, occupancy
from triton_kernels.launch import Meta, override

# Registers may grow by this many before it counts as a regression: allocation is in steps of eight.
REGISTER_SLACK = 8
SAME_CODE = {87: 89}

Table = dict[str, dict[str, Resources]]


def limit_complaints(case: AotCase, found: Resources) -> list[str]:
    """What is wrong with a compiled case on its own."""
    complaints = []
    if found.shared > SHARED_LIMIT[case.arch]:
        complaints.append(f"{found.shared} bytes of shared memory, sm_{case.arch} has {SHARED_LIMIT[case.arch]}")
    if found.spill:
        complaints.append(f"{found.spill} bytes spilled")
    if found.local:
        complaints.append(f"{found.local} bytes of local memory")
    if found.occupancy < 1:
        complaints.append("no block fits on a multiprocessor")
    if case.tensor_cores and found.mma + found.wgmma == 0:
        complaints.append("no tensor-core instruction")
    return complaints


def regressions(found: Resources, tabled: Resources) -> list[str]:
    """What has become worse than the table has it."""
    complaints = []
    if found.registers > tabled.registers + REGISTER_SLACK:
        complaints.append(f"{found.registers} registers, tabled {tabled.registers}")
    if found.occupancy < tabled.occupancy:
        complaints.append(f"{found.occupancy} blocks resident, tabled {tabled.occupancy}")
    if tabled.wgmma and not found.wgmma:
        complaints.append("wgmma is gone")
    if tabled.mma and not found.mma + found.wgmma:
        complaints.append("mma.sync is gone")
    return complaints


def complaints(case: AotCase, found: Resources, known: dict[str, Resources] | None) -> list[str]:
    """Limits, and the table of this Triton version (None: not known)."""
    found_wrong = limit_complaints(case, found)
    if known is not None:
        if case.key not in known:
            found_wrong.append("not in the table; `hrm bench aot --write` renews it")
        else:
            found_wrong += regressions(found, known[case.key])
    return [f"{case.key}: {words}" for words in found_wrong]


def read_table(text: str) -> Table:
    """The committed table."""
    raw: dict[str, dict[str, dict[str, int]]] = json.loads(text)
    return {version: {key: Resources(**row) for key, row in rows.items()} for version, rows in raw.items()}


def write_table(table: Table) -> str:
    """The table as JSON, a line for each case."""
    versions = []
    for version, rows in sorted(table.items()):
        lines = [f"  {json.dumps(key)}: {json.dumps(row._asdict())}" for key, row in sorted(rows.items())]
        versions.append(f" {json.dumps(version)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(versions) + "\n}\n"


def code_of(case: AotCase) -> tuple[Any, ...]:
    """Cases that are equal in this compile to the same code."""
    values = (sorted(case.signature.items()), sorted(case.constants.items(), key=lambda item: item[0]))
    arch = SAME_CODE.get(case.arch, case.arch)
    kernel = f"{case.kernel.__module__}.{case.kernel.__name__}"
    return kernel, repr(values), arch, case.num_warps, case.num_stages


def on_arch(case: AotCase, found: Resources) -> Resources:
    """The same code on this case's architecture."""
    return found._replace(occupancy=occupancy(case.arch, found.registers, case.num_warps, found.shared))


@cache
def _cached_cases(op: str) -> list[AotCase]:
    return cases_of(op)


def _compile(op: str, number: int) -> Resources | str:
    """Runs in a worker: the numbered case of an operation, or why it does not compile."""
    try:
        return compile_case(_cached_cases(op)[number])
    except Exception as error:
        return f"does not compile: {type(error).__name__}: {str(error)[:400]}"


def compile_all(
    cases: Iterable[AotCase], processes: int = 2, notify: Callable[[int, int], None] | None = None
) -> dict[str, Resources | str]:
    """Resources by case key, or why there are none. `notify(done, all)` after each compilation."""
    wanted = list(cases)
    numbers = {case.key: (op, i) for op in sorted({c.op for c in wanted}) for i, case in enumerate(cases_of(op))}
    groups: dict[tuple[Any, ...], list[AotCase]] = {}
    for case in wanted:
        groups.setdefault(code_of(case), []).append(case)
    found: dict[str, Resources | str] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        jobs = {
            pool.submit(_compile, *numbers[max(group, key=lambda c: c.arch).key]): group for group in groups.values()
        }
        for done, job in enumerate(as_completed(jobs), 1):
            result = job.result()
            for case in jobs[job]:
                found[case.key] = result if isinstance(result, str) else on_arch(case, result)
            if notify is not None:
                notify(done, len(jobs))
    return found


def judge(cases: Iterable[AotCase], found: dict[str, Resources | str], known: dict[str, Resources] | None) -> list[str]:
    """All complaints about these cases."""
    wrong = []
    for case in cases:
        result = found[case.key]
        wrong += [f"{case.key}: {result}"] if isinstance(result, str) else complaints(case, result, known)
    return wrong


def changed_cases(op: str, kernel: str, row: Meta) -> list[AotCase]:
    """The cases that become others when `row` is put in: those that depend on it."""

    def options(case: AotCase) -> tuple[Any, ...]:
        return repr(sorted(case.constants.items(), key=lambda item: item[0])), case.num_warps, case.num_stages

    before = {case.key: options(case) for case in cases_of(op)}
    with override(op, kernel, row.arch, row):
        return [case for case in cases_of(op) if case.arch == row.arch and before.get(case.key) != options(case)]


def row_complaints(op: str, kernel: str, row: Meta) -> list[str]:
    """Runs in a worker: what is wrong with a row that is not in the table, found by compiling the cases it changes."""
    cases = changed_cases(op, kernel, row)
    if not cases:
        return [f"{op}.{kernel}: no case to compile depends on this row"]
    wrong = []
    for case in cases:
        try:
            wrong += [f"{case.key}: {words}" for words in limit_complaints(case, compile_case(case))]
        except Exception as error:
            wrong.append(f"{case.key}: does not compile: {type(error).__name__}: {str(error)[:200]}")
    return wrong
