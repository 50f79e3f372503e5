"""`hrm bench` against its promises: no speed without a passed check, refusals in one line, plans without a GPU."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from hrm_core.benchmarks import gpu_plan, kernels, machine
from hrm_core.benchmarks import tune as tuning
from hrm_core.benchmarks.checks import Verdict
from hrm_core.cli import bench_kernels_commands
from hrm_core.cli.main import cli
from triton_kernels import aot, aot_gate
from triton_kernels.aot import Resources
from triton_kernels.benchmarking import Specimen
from triton_kernels.launch import Meta
from triton_kernels.runtime import OPERATIONS

NO_GPU = "no CUDA device can be reached here"


def bench(*words: str) -> Result:
    """In this process."""
    return CliRunner().invoke(cli, ["bench", *words])


def specimen(op: str = "lay") -> Specimen:
    def work() -> torch.Tensor:
        return torch.ones(64).sum()

    return Specimen(op, "T 101", "forward", 1e3, 256.0, {"reference": work, "other": work})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One small specimen for each operation but `swiglu`, small peaks, checks that pass but that of `residual_norm`."""

    def specimens_of(op: str, device: torch.device, dtype: torch.dtype) -> list[Specimen] | None:
        return None if op == "swiglu" else [specimen(op)]

    def check(op: str, specimens: object, device: torch.device, dtype: torch.dtype) -> Verdict:
        return Verdict(False, "its tests fail: 1 failed") if op == "residual_norm" else Verdict(True, "all right")

    monkeypatch.setattr(kernels, "specimens_of", specimens_of)
    monkeypatch.setattr(kernels, "check_operation", check)
    monkeypatch.setattr(kernels, "measure_peaks", lambda device, dtype: machine.Peaks(1e9, 1e9, "float32"))


@pytest.mark.usefixtures("quick")
def test_speeds_are_told_with_ratio_and_share() -> None:
    result = bench("kernels", "--op", "lay", "--seconds", "0.01", "--threads", "1", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [row["peer"] for row in found["rows"]] == ["reference", "other"]
    reference, other = found["rows"]
    assert reference["against_reference"] == 1.0
    assert other["against_reference"] == reference["timing"]["median_ms"] / other["timing"]["median_ms"]
    # The roofline of 1e9 FLOP/s: 1000 FLOPs take 1e-3 ms, more than 256 bytes do.
    assert other["roofline_share"] == pytest.approx(1e-3 / other["timing"]["median_ms"])
    assert "lay (1 of 1): check" in result.stderr


@pytest.mark.usefixtures("quick")
def test_no_speed_for_an_operation_whose_check_fails_or_that_has_nothing_to_time() -> None:
    words = [word for op in ("residual_norm", "swiglu", "lay") for word in ("--op", op)]
    result = bench("kernels", *words, "--seconds", "0.01", "--threads", "1")
    assert result.exit_code == 1
    table, _, foot = result.stdout.partition("measured peaks")
    assert "residual_norm" not in table
    assert "lay" in table
    assert "no speed for residual_norm: its tests fail: 1 failed" in foot
    assert "no speed for swiglu: missing: it has no benchmark.py" in foot


@pytest.mark.usefixtures("quick")
def test_the_report_has_device_versions_date_and_commit(own_checkout: Path) -> None:
    result = bench("kernels", "--op", "lay", "--seconds", "0.01", "--threads", "1", "--report")
    assert result.exit_code == 0, result.output
    (page,) = (own_checkout / "docs/benchmarks").iterdir()
    assert page.name.startswith("kernels-")
    text = page.read_text(encoding="utf-8")
    here = machine.this_machine(torch.device("cpu"))
    for word in (here.device, here.date, f"torch {here.versions['torch']}", "Check: all right.", "| T 101 | forward |"):
        assert word in text
    assert "no kernel is timed" in text


def test_a_peer_that_does_not_run_is_named() -> None:
    def refuses() -> None:
        raise RuntimeError("No available kernel.\nmore")

    broken = Specimen("lay", "T 101", "forward", 1.0, 1.0, {"reference": lambda: 0, "sdpa": refuses})
    rows = kernels.time_specimen(broken, machine.Peaks(1e9, 1e9, "float32"), False, 0.01)
    assert [row.problem for row in rows] == [None, "RuntimeError: No available kernel."]


def test_a_slow_peer_is_left_out_when_its_time_is_up() -> None:
    specimen = Specimen("lay", "T 101", "forward", 1.0, 1.0, {"reference": lambda: 0, "compile": lambda: 0})
    peaks = machine.Peaks(1e9, 1e9, "float32")
    late = kernels.time_specimen(specimen, peaks, False, 0.01, 0.0)
    assert [(row.peer, row.problem) for row in late] == [("reference", None), ("compile", kernels.LEFT_OUT)]
    early = kernels.time_specimen(specimen, peaks, False, 0.01)
    assert [row.problem for row in early] == [None, None]


def test_operations_may_be_given_with_commas() -> None:
    assert bench_kernels_commands.chosen_operations(("lay,swiglu", "lay")) == ("lay", "swiglu")
    result = bench("tune", "--ops", "lay,softmax")
    assert "--op softmax: there is no such operation" in result.stderr


def test_an_operation_that_does_not_exist_is_named() -> None:
    result = bench("kernels", "--op", "softmax")
    assert "--op softmax: there is no such operation; there are recurrent_attention" in result.stderr


@pytest.mark.parametrize("command", ["tune", "gpu-all"])
def test_without_a_gpu_it_is_refused_in_one_line(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = bench(command)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: hrm bench {command}: {NO_GPU}")
    assert "--dry-run" in result.stderr
    assert result.stderr.count("\n") == 1


def test_tune_lists_and_compiles_what_it_would_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling itself is in `test_aot.py`; here every second candidate is said to spill."""
    tried: list[Meta] = []

    def compiled(
        wanted: list[tuning.Target], processes: int, notify: Callable[[int, int], None]
    ) -> list[list[tuple[Meta, list[str]]]]:
        results = []
        for target in wanted:
            rows = tuning.candidates(target.row)
            tried.extend(rows)
            results.append([(row, ["x@sm_90: 8 bytes spilled"] if i % 2 else []) for i, row in enumerate(rows)])
        return results

    monkeypatch.setattr(tuning, "compile_candidates", compiled)
    result = bench("tune", "--op", "lay", "--dry-run", "--arch", "89")
    assert result.exit_code == 0, result.output
    assert tried
    assert result.stdout.count("would be timed") == (len(tried) + 1) // 2
    assert result.stdout.count("8 bytes spilled") == len(tried) // 2
    assert "nothing was run" in result.stdout


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Compiles nothing: every case is good."""
    asked: list[Any] = []

    def compile_all(cases: list[Any], processes: int, notify: object) -> dict[str, Resources]:
        asked.extend(cases)
        return {case.key: Resources(1024, 64, 0, 0, 8, 4, 2) for case in cases}

    monkeypatch.setattr(aot_gate, "compile_all", compile_all)
    return asked


def test_gpu_all_prints_its_plan_and_compiles_for_hopper(compiled: list[Any], tmp_path: Path) -> None:
    result = bench("gpu-all", "--dry-run", "--out", str(tmp_path / "found"))
    assert result.exit_code == 0, result.output
    for stage in gpu_plan.plan(tmp_path):
        assert stage.title in result.stdout
    assert {case.arch for case in compiled} == {90}
    assert {case.op for case in compiled} == set(OPERATIONS)
    assert f"{len(compiled)} kernels compile for sm_90" in result.stdout
    assert not (tmp_path / "found").exists()


def test_gpu_all_runs_some_stages_by_name(compiled: list[Any]) -> None:
    result = bench("gpu-all", "--dry-run", "--only", "profile", "--only", "training")
    assert result.exit_code == 0, result.output
    assert "2 stages, 140 s at most" in result.stdout
    assert "where the captured step's time goes" in result.stdout
    assert "every operation against its peers" not in result.stdout
    assert compiled
    assert "--only speed: there is no such stage" in bench("gpu-all", "--only", "speed").stderr


def test_gpu_all_fails_its_dry_run_where_an_operation_has_no_kernel_for_hopper(
    compiled: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = aot.cases_of
    monkeypatch.setattr(aot, "cases_of", lambda op: [] if op == "lay" else real(op))
    result = bench("gpu-all", "--dry-run")
    assert result.exit_code == 1
    assert "lay: nothing to launch on sm_90" in result.stdout


def test_gpu_all_wants_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "require_gpu", lambda command, instead: torch.device("cuda"))
    (tmp_path / "old").write_text("kept")
    result = bench("gpu-all", "--out", str(tmp_path))
    assert "the folder is not empty; give a new one" in result.stderr


@pytest.mark.usefixtures("compiled")
def test_aot_holds_cases_against_the_table_and_renews_it(own_checkout: Path) -> None:
    table = own_checkout / "tests/kernels/aot_table.json"
    table.write_text('{"0.0.1": {}}')
    assert bench("aot", "--op", "lay", "--write").exit_code == 0
    written = aot_gate.read_table(table.read_text(encoding="utf-8"))
    assert set(written) > {"0.0.1"}
    assert bench("aot", "--op", "lay").exit_code == 0
    narrowed = {
        version: {key: row._replace(occupancy=3) for key, row in rows.items()} for version, rows in written.items()
    }
    table.write_text(aot_gate.write_table(narrowed))
    result = bench("aot", "--op", "lay")
    assert result.exit_code == 1
    assert "2 blocks resident, tabled 3" in result.stdout
