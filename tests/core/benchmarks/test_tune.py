"""The tuner without a GPU: candidates by the rule, the choice on invented times, and tables written whole."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hrm_core.benchmarks import tune
from hrm_core.benchmarks.tune import (
    Target,
    candidates,
    compile_candidates,
    options_text,
    put_row,
    rows_text,
    targets,
    tune_target,
)
from triton_kernels import launch
from triton_kernels.benchmarking import Specimen, Timing
from triton_kernels.launch import Meta, find, table

OP = "lay"
KERNEL = next(iter(table(OP)))
ROW = next(row for row in table(OP)[KERNEL] if row.arch == 90)
MATRIX = Meta(90, {"D": 256}, {"BM": 64, "BN": 128}, 4, 3, {"commit": "a", "date": "b"})


def test_candidates_are_one_move_away() -> None:
    found = candidates(MATRIX)
    texts = [options_text(row) for row in found]
    assert len(set(texts)) == len(texts) == 12
    assert options_text(MATRIX) not in texts
    for words in (
        "BM=32 BN=128 warps=4 stages=3",
        "BM=128 BN=128 warps=8 stages=3",
        "BM=64 BN=64 warps=2 stages=3",
        "BM=64 BN=256 warps=4 stages=3",
        "BM=64 BN=128 warps=8 stages=3",
        "BM=64 BN=128 warps=4 stages=2",
        "BM=64 BN=128 warps=4 stages=4",
    ):
        assert words in texts
    assert all((row.arch, row.shape, row.verified) == (90, {"D": 256}, None) for row in found)


def test_candidates_stay_within_what_triton_takes() -> None:
    edge = Meta(90, {}, {"BM": 16, "BN": 256}, 1, 1, None)
    for row in candidates(edge):
        assert row.blocks["BM"] in (16, 32)
        assert row.blocks["BN"] in (128, 256)
        assert row.num_warps in (1, 2)
        assert row.num_stages in (1, 2)
    # A tile that is large already, as in a kernel that goes through a buffer in blocks, may stay as it is.
    large = Meta(90, {}, {"BLOCK": 2048}, 4, 1, None)
    assert {row.blocks["BLOCK"] for row in candidates(large)} == {2048}


def test_targets_are_the_newest_rows_that_a_device_would_take() -> None:
    for arch, stands_in in ((87, 87), (89, 89), (86, None), (100, 90)):
        found = [target.row.arch for target in targets([OP], arch)]
        assert set(found) == ({stands_in} if stands_in else set())
    used = {launch.row_name(OP, KERNEL, ROW)}
    assert targets([OP], 90, used) == [Target(OP, KERNEL, ROW)]
    assert targets([OP], 90, set()) == []


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, float], float], Specimen]:
    """A specimen whose kernel takes the time invented for the row it is launched with."""

    def make(milliseconds: dict[str, float], error: float = 1e-3) -> Specimen:
        def text() -> str:
            row = find(OP, KERNEL, 90)
            assert row is not None
            return options_text(row)

        def check() -> float:
            if text() not in milliseconds:
                raise RuntimeError("out of resource: shared memory")
            return error

        def time_cuda(call: object, seconds: float = 0.2) -> Timing:
            taken = milliseconds[text()]
            return Timing(taken, taken, taken, 5)

        monkeypatch.setattr(tune, "time_cuda", time_cuda)
        return Specimen(OP, "T 101", "forward", 1.0, 1.0, {"kernel": lambda: None}, check)

    return make


def other(warps: int) -> Meta:
    return ROW._replace(num_warps=warps)


def test_the_fastest_right_row_is_taken(timed: Callable[[dict[str, float]], Specimen]) -> None:
    times = {options_text(ROW): 1.0, options_text(other(8)): 0.8, options_text(other(16)): 0.5}
    said: list[str] = []
    specimen = timed(times)
    # The fourth does not launch, and is no candidate any more.
    rows = [other(8), other(16), ROW._replace(num_stages=5)]
    outcome = tune_target(Target(OP, KERNEL, ROW), rows, [specimen], 90, said.append)
    assert outcome.best == other(16)
    assert outcome.speedup == pytest.approx(2.0)
    assert [line.rpartition(": ")[2] for line in said] == ["1.250 x as fast", "2.000 x as fast", "refused"]
    assert find(OP, KERNEL, 90) == ROW


def test_a_wrong_or_hardly_faster_row_is_not_taken(
    timed: Callable[..., Specimen],
) -> None:
    times = {options_text(ROW): 1.0, options_text(other(8)): 0.99}
    target = Target(OP, KERNEL, ROW)
    assert tune_target(target, [other(8)], [timed(times)], 90, str).best == ROW
    times[options_text(other(8))] = 0.1
    assert tune_target(target, [other(8)], [timed(times, 0.5)], 90, str).best == ROW
    assert tune_target(target, [other(8)], [timed(times, math.nan)], 90, str).best == ROW
    assert tune_target(target, [other(8)], [timed(times)], 90, str).best == other(8)


def test_no_candidate_is_started_after_the_time_is_up(timed: Callable[..., Specimen]) -> None:
    times = {options_text(ROW): 1.0, options_text(other(8)): 0.8}
    said: list[str] = []
    target, specimen = Target(OP, KERNEL, ROW), timed(times)
    outcome = tune_target(target, [other(8)], [specimen], 90, said.append, time.monotonic() - 1)
    assert (outcome.best, outcome.tried) == (ROW, 0)
    assert said == ["  1 candidates are left out: the time is used up"]
    outcome = tune_target(target, [other(8)], [specimen], 90, said.append, time.monotonic() + 60)
    assert (outcome.best, outcome.tried) == (other(8), 1)


def test_a_table_is_written_whole_with_one_row_changed_or_added(tmp_path: Path) -> None:
    path = tmp_path / OP / "launch.json"
    path.parent.mkdir()
    text = rows_text(dict(table(OP)))
    path.write_text(text)
    assert {kernel: tuple(Meta(**row) for row in rows) for kernel, rows in json.loads(text).items()} == table(OP)
    put_row(OP, KERNEL, other(16), tmp_path)
    rows = [Meta(**row) for row in json.loads(path.read_text())[KERNEL]]
    assert rows == [other(16) if row == ROW else row for row in table(OP)[KERNEL]]
    put_row(OP, KERNEL, other(8)._replace(arch=100), tmp_path)
    assert [Meta(**row) for row in json.loads(path.read_text())[KERNEL]] == [*rows, other(8)._replace(arch=100)]
    assert [item.name for item in path.parent.iterdir()] == ["launch.json"]


@pytest.mark.slow
def test_candidates_are_compiled_as_they_would_run() -> None:
    """A real compilation in a worker process."""
    wanted = [Target(OP, KERNEL, ROW)]
    seen: list[tuple[int, int]] = []
    (compiled,) = compile_candidates(wanted, 1, lambda done, total: seen.append((done, total)))
    assert [row for row, _ in compiled] == candidates(ROW)
    assert any(not wrong for _, wrong in compiled)
    assert seen[-1] == (len(compiled), len(compiled))


def test_the_rows_of_a_call_are_recorded() -> None:
    specimen = Specimen(OP, "", "", 1.0, 1.0, {"kernel": lambda: launch.launch(OP, KERNEL, 90)})
    assert tune.rows_used(specimen) == {launch.row_name(OP, KERNEL, ROW)}
    assert torch.cuda.is_available() or tune.runtime.arch_of(torch.device("cpu")) == 89
