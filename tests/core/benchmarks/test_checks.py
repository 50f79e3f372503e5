"""What counts as right before a speed is told, and whether two trainings count as equal."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hrm_core.benchmarks import checks
from hrm_core.benchmarks.checks import Verdict, check_on_cpu, check_on_gpu, interpreter_files, repeats, same_bits
from hrm_core.benchmarks.equality import Training, compare, perturb, train, window_differences
from hrm_core.benchmarks.machine import Machine, Peaks, driver_report, measure_peaks, this_machine
from hrm_core.benchmarks.steps import arc1, compiled_levels, rotate_in_reals, shape_recipe
from hrm_core.model import segment
from hrm_core.model.positions import rotary_tables
from hrm_core.training.setup import choose_device
from triton_kernels.benchmarking import Specimen
from triton_kernels.recurrent_attention import reference as attention
from triton_kernels.runtime import OPERATIONS


def specimen(error: float, value: float = 1.0) -> Specimen:
    return Specimen("lay", "T 101", "forward", 1.0, 1.0, {"kernel": lambda: torch.tensor(value)}, lambda: error)


def test_a_kernel_is_right_where_its_error_is_small_and_it_repeats() -> None:
    assert check_on_gpu([specimen(1e-3), specimen(4e-3)], [specimen(1e-3), specimen(4e-3)]) == Verdict(
        True, "error at most 4.0e-03 at 2 shapes, 20 calls equal bit for bit"
    )
    off, nan, other = specimen(2e-2), specimen(math.nan), specimen(0.0, 1.5)
    assert check_on_gpu([off], [off]).words == "error 2.0e-02 at T 101, forward, allowed 1e-02"
    assert not check_on_gpu([nan], [nan]).passed
    assert check_on_gpu([specimen(0.0)], [other]).words == "equal calls differ at T 101, forward"
    assert not check_on_gpu([], []).passed
    unchecked = Specimen("lay", "T 101", "forward", 1.0, 1.0, {"reference": lambda: 0})
    assert check_on_gpu([unchecked], [unchecked]).words == "no kernel at T 101, forward"


def test_same_bits() -> None:
    one = torch.tensor([1.0, math.nan])
    assert same_bits((one, None), [one.clone(), None])
    assert not same_bits(one, torch.tensor([1.0, 2.0]))
    assert not same_bits(torch.zeros(2), -torch.zeros(2))
    assert not same_bits(one, one.half())
    assert not same_bits((one,), (one, one))


def counting() -> Specimen:
    buffer = torch.zeros(1)
    return Specimen("lay", "", "", 1.0, 1.0, {"kernel": lambda: buffer.add_(1)})


def test_a_kernel_that_changes_its_input_is_compared_from_the_same_start() -> None:
    once, again = counting(), counting()
    assert repeats(once, again)
    assert not repeats(once, once)


def test_a_race_that_shows_once_in_many_calls_is_seen() -> None:
    calls = iter(range(1000))

    def races() -> torch.Tensor:
        return torch.tensor(1.0 if next(calls) != 11 else 1.0000001)

    racing = Specimen("lay", "", "", 1.0, 1.0, {"kernel": races})
    assert not repeats(racing, specimen(0.0))
    assert repeats(racing, specimen(0.0))


def test_every_operation_has_interpreter_cases_of_its_own() -> None:
    for op in OPERATIONS:
        assert interpreter_files(op), op
    names = {path.name for path in interpreter_files("recurrent_attention")}
    assert names >= {"case_flash_attention.py", "case_recurrent_attention.py"}


def test_an_operation_is_not_right_on_a_cpu_unless_its_tests_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "CHECKOUT", tmp_path)
    assert check_on_cpu("lay").words.startswith("cannot be checked: tests/interpreted/case_lay.py is not here")
    cases, own = tmp_path / "tests/interpreted/case_lay.py", tmp_path / "tests/kernels/test_lay_op.py"
    for path in (cases, own):
        path.parent.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["slow: s", "gpu: g", "bench: b"]\n')
    # Cases are interpreted, the operation's own tests are not.
    cases.write_text("import os\n\ndef test_it() -> None:\n    assert os.environ['TRITON_INTERPRET'] == '1'\n")
    own.write_text("import os\n\ndef test_it() -> None:\n    assert 'TRITON_INTERPRET' not in os.environ\n")
    assert check_on_cpu("lay").passed
    own.write_text("def test_it() -> None:\n    assert False\n")
    assert check_on_cpu("lay").words.startswith("its tests fail: 1 failed")
    cases.write_text("def test_it() -> None:\n    assert False\n")
    assert check_on_cpu("lay").words.startswith("its cases in the interpreter fail: 1 failed")


def test_trainings_are_compared_by_windows_and_by_bits() -> None:
    losses = [2.0 - 0.005 * step for step in range(100)]

    def scaled(early: float, late: float = 1.0) -> Training:
        return Training([loss * (early if step < 40 else late) for step, loss in enumerate(losses)], "e")

    same, exact = Training(losses, "d"), scaled(1.0)
    assert compare(same, same, scaled(1.02), exact).passed
    # Within 40 steps 3 % and no more, whatever perturbed references do.
    assert not compare(same, same, scaled(1.04), scaled(1.5)).passed
    # Later ones as far as perturbed references, and half as much again, and 1 %.
    assert compare(same, same, scaled(1.0, 1.06), scaled(1.0, 1.12)).passed
    far = compare(same, same, scaled(1.0, 1.06), scaled(1.0, 1.09))
    assert (far.passed, round(far.largest, 3), round(far.allowed, 4)) == (False, 0.057, 0.0525)
    assert "by 5.66 % within all (allowed 5.25 %: perturbed references differ by 2.83 %)" in far.words
    # Bits.
    other = compare(same, Training(losses, "other"), exact, exact)
    assert (other.passed, other.repeatable, other.parted) == (False, False, None)
    parted = compare(same, Training([*losses[:50], *[0.0] * 50], "other"), exact, exact)
    assert (parted.passed, parted.parted) == (False, 51)
    assert "two runs with kernels differ from step 51" in parted.words
    # A loss that is not finite.
    nan = Training([*losses[:90], *([math.nan] * 10)], "e")
    assert not compare(same, same, nan, exact).passed
    assert not compare(same, same, exact, nan).passed
    assert window_differences([1.0] * 40, [1.0] * 20 + [2.0] * 20) == [0.0, 0.5]


def test_perturbed_weights_differ_by_less_than_a_rounding_and_always_alike() -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(1))
    first, second = values.clone(), values.clone()
    perturb(first)
    perturb(second)
    assert torch.equal(first, second)
    relative = ((first - values) / values).abs()
    assert 2.0**-11 < relative.mean() < relative.max() < 2.0**-9 * 1.001


def test_training_is_run_as_the_recipe_says(arc1_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU kernels and references are the same code, so that two trainings have the same bits."""
    monkeypatch.setattr("hrm_core.benchmarks.steps.ensure_built", lambda source: arc1_file)
    lines = ("model.hidden=32", "model.heads=1", "model.h_layers=1", "model.l_layers=1", "data.canvases=[30]")
    lines += ("training.batch=2", "training.accumulation=1", "training.dtype=fp32", "training.device=cpu")
    runs = []
    for mode in ("force", "off"):
        recipe = shape_recipe(lines, f"kernels.mode={mode}", "training.threads=1")
        runs.append(train(recipe, arc1(recipe), choose_device(recipe.training), 3))
    assert runs[0] == runs[1]
    assert len(runs[0].losses) == 3
    assert runs[0].losses[0] != runs[0].losses[2]
    perturbed = train(recipe, arc1(recipe), choose_device(recipe.training), 3, perturbed=True)
    assert 0 < abs(perturbed.losses[0] / runs[0].losses[0] - 1) < 0.01


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")
def test_the_compiled_peer_replaces_a_level_for_its_time_only() -> None:
    before = [vars(segment)["run_level"], attention.rotate, attention.attention_path]
    with compiled_levels():
        inside = [vars(segment)["run_level"], attention.rotate, attention.attention_path]
    assert all(one is not other for one, other in zip(inside, before, strict=True))
    after = [vars(segment)["run_level"], attention.rotate, attention.attention_path]
    assert all(one is other for one, other in zip(after, before, strict=True))


def test_the_turn_of_the_compiled_peer_is_that_of_the_reference() -> None:
    x = torch.randn(2, 10, 3, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    cos, sin = rotary_tables(3, 1, 32, "rope2d", 100.0, torch.float64, torch.device("cpu"))
    torch.testing.assert_close(rotate_in_reals(x, cos, sin), attention.rotate(x, cos, sin))


def test_peaks_and_the_machine() -> None:
    peaks = Peaks(flops=1e12, bytes=1e9, dtype="bfloat16")
    assert peaks.least_ms(1e9, 1.0) == 1.0
    assert peaks.least_ms(1.0, 1e6) == 1.0
    measured = measure_peaks(torch.device("cpu"), torch.float32)
    assert measured.flops > 1e9
    assert measured.bytes > 1e8
    machine = Machine(
        "AMD EPYC (family 25 model 17)", "cpu", None, 2, {"python": "3", "torch": "2", "triton": None}, None, ""
    )
    assert machine.slug == "amd-epyc"
    here = this_machine(torch.device("cpu"))
    assert here.slug
    assert here.date in here.line()


def test_a_driver_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert driver_report() == {"error": "nvidia-smi is not on PATH"}
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!{sys.executable}\nprint('name, power.limit [W]')\nprint('H100, 700.00 W')\n")
    tool.chmod(0o755)
    assert driver_report() == {"name": "H100", "power.limit [W]": "700.00 W"}
    tool.write_text(f"#!{sys.executable}\nprint('no devices were found')\nraise SystemExit(6)\n")
    assert driver_report() == {"error": "no devices were found"}
    assert subprocess.run([str(tool)], check=False, capture_output=True).returncode == 6
