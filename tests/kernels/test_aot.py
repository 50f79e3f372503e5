"""Every kernel compiled ahead of time for Orin, Ada and Hopper, against their limits and the committed table.

Compared: what the compiler's listings say of each `aot.cases()` with the architectures' shared memory, with nought for
spills and local memory, and with `aot_table.json` of this Triton version. The gate itself is tried on kernels that it
has to refuse. In the default run one case an operation; all of them in the slow suite.
"""

from __future__ import annotations

import os
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest
import triton
import triton.language as tl

from triton_kernels.aot import AotCase, Resources, cases_of, compile_case
from triton_kernels.aot_gate import (
    changed_cases,
    code_of,
    compile_all,
    complaints,
    judge,
    limit_complaints,
    on_arch,
    read_table,
    regressions,
    row_complaints,
    write_table,
)
from triton_kernels.launch import ARCHITECTURES, Meta, table
from triton_kernels.runtime import OPERATIONS

TABLE_FILE = Path(__file__).with_name("aot_table.json")


def known() -> dict[str, Resources] | None:
    """The committed table of this Triton version; None where it has none."""
    return read_table(TABLE_FILE.read_text(encoding="utf-8")).get(metadata.version("triton"))


def test_this_process_compiles() -> None:
    assert os.environ.get("TRITON_INTERPRET") != "1", "a process that interprets kernels cannot compile them"


@pytest.mark.parametrize("op", OPERATIONS)
def test_each_row_of_the_launch_table_has_a_case(op: str) -> None:
    """No kernel, architecture or row goes uncompiled, and no two cases share a line of the table."""
    cases = cases_of(op)
    assert [key for key, count in Counter(case.key for case in cases).items() if count > 1] == []
    assert {case.op for case in cases} == {op}
    assert table(op), "no kernel has a launch row"
    for kernel, rows in table(op).items():
        assert {row.arch for row in rows} == set(ARCHITECTURES), kernel
        for row in rows:
            doubled = row._replace(num_warps=2 * row.num_warps)
            assert changed_cases(op, kernel, doubled), f"no case depends on {kernel}, sm_{row.arch}, {row.shape}"


def test_the_table_has_a_line_for_each_case() -> None:
    tabled = known()
    if tabled is not None:
        assert sorted(tabled) == sorted(case.key for op in OPERATIONS for case in cases_of(op))


@pytest.mark.parametrize("op", OPERATIONS)
def test_one_case_of_each_operation_compiles_within_its_limits(op: str) -> None:
    case = next(case for case in cases_of(op) if case.arch == 89)
    assert complaints(case, compile_case(case), known()) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_case_compiles_within_its_limits_and_as_tabled() -> None:
    cases = [case for op in OPERATIONS for case in cases_of(op)]
    assert judge(cases, compile_all(cases), known()) == []


@triton.jit
def multiply_kernel(x_ptr, w_ptr, y_ptr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, DOT: tl.constexpr):
    """y = x w for one tile, 256 long; or sums of distances, which no version of the compiler makes a product of (Triton
    3.7.1 finds the product in a sum of x w)."""
    o_m = tl.arange(0, BM)
    o_n = tl.arange(0, BN)
    o_k = tl.arange(0, BK)
    b_y = tl.zeros((BM, BN), tl.float32)
    for start in range(0, 256, BK):
        b_x = tl.load(x_ptr + o_m[:, None] * 256 + start + o_k[None, :])  # [BM, BK]
        b_w = tl.load(w_ptr + (start + o_k[:, None]) * BN + o_n[None, :])  # [BK, BN]
        if DOT:
            b_y = tl.dot(b_x, b_w, b_y)
        else:
            b_y += tl.sum(tl.abs(b_x.to(tl.float32)[:, :, None] - b_w.to(tl.float32)[None, :, :]), 1)
    tl.store(y_ptr + o_m[:, None] * BN + o_n[None, :], b_y)


def multiply_case(arch: int, num_stages: int, num_warps: int = 4, **blocks: int) -> AotCase:
    signature = {"x_ptr": "*bf16", "w_ptr": "*bf16", "y_ptr": "*fp32"}
    return AotCase(
        "test", "multiply", multiply_kernel, signature, {"DOT": 1, **blocks}, arch, num_warps, num_stages, True
    )


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_gate_lets_a_good_kernel_pass(arch: int) -> None:
    case = multiply_case(arch, 2, BM=64, BN=64, BK=32)
    found = compile_case(case)
    assert limit_complaints(case, found) == []
    assert (found.wgmma > 0) == (arch == 90)


def test_the_gate_catches_tiles_beyond_shared_memory() -> None:
    case = multiply_case(89, 4, BM=128, BN=128, BK=128, num_warps=8)
    assert any("shared memory, sm_89 has 101376" in words for words in limit_complaints(case, compile_case(case)))


def test_the_gate_catches_spills() -> None:
    case = multiply_case(89, 1, BM=256, BN=256, BK=16)
    wrong = limit_complaints(case, compile_case(case))
    assert any("bytes spilled" in words for words in wrong)
    assert any("local memory" in words for words in wrong)


def test_the_gate_catches_a_product_without_tensor_cores() -> None:
    case = multiply_case(89, 1, BM=16, BN=16, BK=16, DOT=0)
    assert limit_complaints(case, compile_case(case)) == ["no tensor-core instruction"]


GOOD = Resources(shared=1000, registers=100, spill=0, local=0, mma=16, wgmma=4, occupancy=3)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (GOOD, []),
        (GOOD._replace(registers=108, mma=8, occupancy=4), []),
        (GOOD._replace(registers=109), ["109 registers, tabled 100"]),
        (GOOD._replace(occupancy=2), ["2 blocks resident, tabled 3"]),
        (GOOD._replace(wgmma=0), ["wgmma is gone"]),
        (GOOD._replace(mma=0, wgmma=0), ["wgmma is gone", "mma.sync is gone"]),
    ],
)
def test_the_gate_catches_regressions(found: Resources, words: list[str]) -> None:
    assert regressions(found, GOOD) == words


def test_a_case_that_is_not_tabled_fails_but_an_unknown_triton_is_held_to_limits_only() -> None:
    case = multiply_case(89, 2, BM=64, BN=64, BK=32)
    assert complaints(case, GOOD, {}) == ["test.multiply@sm_89: not in the table; `hrm bench aot --write` renews it"]
    assert complaints(case, GOOD, None) == []
    assert judge([case], {case.key: "does not compile: no"}, None) == ["test.multiply@sm_89: does not compile: no"]


def test_orin_and_ada_share_one_compilation_but_not_their_limits() -> None:
    orin, ada, hopper = (multiply_case(arch, 3, BM=128, BN=128, BK=128, num_warps=8) for arch in ARCHITECTURES)
    assert code_of(orin) == code_of(ada) != code_of(hopper)
    found = compile_case(ada)
    assert found._replace(occupancy=0) == compile_case(orin)._replace(occupancy=0)
    assert limit_complaints(orin, on_arch(orin, found)) == []
    assert limit_complaints(ada, found) != []


def test_the_table_survives_writing_and_reading() -> None:
    rows = {"3.9.0": {"a.b@sm_89": GOOD, "a.b@sm_90": GOOD._replace(spill=1)}, "4.0.0": {"a.b@sm_89": GOOD}}
    assert read_table(write_table(rows)) == rows


def test_a_row_for_the_tuner_is_compiled_as_it_would_be_launched() -> None:
    """Three times the warps of a row are no power of two: no such kernel compiles; the row itself does."""
    op, kernel, row = next((op, kernel, rows[0]) for op in OPERATIONS for kernel, rows in table(op).items())
    assert changed_cases(op, kernel, row) == []
    other = row._replace(num_warps=2 * row.num_warps)
    changed = changed_cases(op, kernel, other)
    assert {(case.op, case.arch, case.num_warps) for case in changed} == {(op, row.arch, other.num_warps)}
    assert any("does not compile" in words for words in row_complaints(op, kernel, row._replace(num_warps=3)))
    assert row_complaints(op, kernel, row) == [f"{op}.{kernel}: no case to compile depends on this row"]


def test_a_table_row_is_put_back_after_an_override() -> None:
    op, kernel, row = next((op, kernel, rows[0]) for op in OPERATIONS for kernel, rows in table(op).items())
    before = table(op)
    from triton_kernels.launch import find, launch, override, recording, row_name

    changed = Meta(90, dict(row.shape), row.blocks, 1, 1, None)
    with override(op, kernel, row.arch, changed), recording() as used:
        placed = changed._replace(arch=row.arch)
        assert find(op, kernel, row.arch, **row.shape) == placed
        assert launch(op, kernel, row.arch, **row.shape).num_warps == 1
        assert len(table(op)[kernel]) == len(before[kernel])
    assert used == {row_name(op, kernel, placed)}
    assert table(op) == before
