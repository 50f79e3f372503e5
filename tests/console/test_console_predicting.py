"""Predicted time and energy against speeds that were put there: which witness is taken, what it gives, what is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hrm_console.rows.listing import RunLine
from hrm_console.views.launch.machine import Machine, is_here, processor_of
from hrm_console.views.launch.predicting import (
    energy,
    figures,
    measured_of,
    measured_runs,
    predict,
    shape_of,
    time_of,
)
from hrm_console.views.launch.recipes import check
from hrm_core.recipe.lay import build_recipe

CPU = Machine(False, 16.0, True, "here", "family 25 model 17")
GPU = Machine(True, 16.0, True, "here", "family 25 model 17", ("NVIDIA RTX",))


def recipe(*overrides, experiment="EXP-00"):
    return build_recipe(experiment, ("preset=cpu", *overrides)).recipe


def line(tmp_path, name="one", device="AMD EPYC (family 25 model 17)", kind="cpu", host="here", *overrides, **status):
    made = recipe(*overrides)
    run_json = {
        "recipe": made.model_dump(mode="json"),
        "device": device,
        "device_kind": kind,
        "process": {"host": host},
    }
    status = {"elapsed_s": 100.0, "power_w": None, **status}
    return RunLine(name, tmp_path / name, "EXP-00", "finished", step=500.0, status=status, run_json=run_json)


def test_a_run_of_the_same_shape_gives_its_mean_speed(tmp_path):
    """500 steps of 32 slots in 100 s are 160 segments/s, so 2,000 steps take 400 s."""
    found = measured_runs([line(tmp_path)], CPU)
    predicted = predict(recipe("training.max_steps=2000", "training.seed=7", "optimizer.lr=1e-4"), CPU, found)
    assert predicted.seconds == pytest.approx(400.0) and predicted.joules is None
    assert "160 segments/s as measured in run one on this machine" in predicted.notes[0]
    assert "validations come on top" in predicted.notes[0] and "energy: unknown until measured" in predicted.notes[-1]


def test_another_shape_is_scaled_by_flops_and_said_to_be_a_guess(tmp_path):
    found = measured_runs([line(tmp_path)], CPU)
    deeper = recipe("model.h_layers=4", "model.l_layers=4", "training.early_stop=false")
    one, two = shape_of(recipe()), shape_of(deeper)
    predicted = predict(deeper, CPU, found)
    assert predicted.seconds == pytest.approx(1000 * 32 / (160 * one.flops / two.flops)) and two.flops > 1.5 * one.flops
    assert predicted.notes[0].startswith("time: guess:") and "of run one on this machine" in predicted.notes[0]


def test_power_gives_energy_with_its_source(tmp_path):
    found = measured_runs([line(tmp_path, "gpu", "NVIDIA RTX", "cuda", power_w=80.0)], GPU)
    predicted = predict(recipe(), GPU, found)
    assert predicted.joules == pytest.approx(80.0 * 200.0)
    assert "80 W at the end of run gpu on this machine, the rest of the machine not counted" in predicted.notes[-1]


def test_this_machine_goes_before_others_and_unshared_before_shared(tmp_path):
    away = line(tmp_path, "away", host="elsewhere", elapsed_s=10.0)
    shared = line(tmp_path, "shared", "AMD EPYC (family 25 model 17)", "cpu", "here", "training.share_device=true")
    for lines, name in (([away, shared, line(tmp_path, "mine")], "mine"), ([away, shared], "shared"), ([away], "away")):
        predicted = predict(recipe(), CPU, measured_runs(lines, CPU))
        assert f"run {name} on" in predicted.notes[0], name
    assert "run away on AMD EPYC" in predicted.notes[0]
    assert "shared the device" in predict(recipe(), CPU, measured_runs([shared], CPU)).notes[0]


def test_a_run_on_another_kind_of_device_says_nothing(tmp_path):
    found = measured_runs([line(tmp_path, "gpu", "NVIDIA RTX", "cuda")], GPU)
    assert "demo.md" in predict(recipe(), CPU, found).notes[0]
    assert predict(recipe("training.device=cpu"), GPU, found).notes[0].count("demo.md") == 1


def test_without_runs_a_page_is_the_source_or_nothing_is_said():
    big = build_recipe("EXP-00", ("training.max_steps=1000",)).recipe
    predicted = predict(big, GPU, ())
    assert predicted.notes[0].startswith("time: guess:") and "an H200 (docs/benchmarks" in predicted.notes[0]
    small = predict(recipe(), GPU, ())  # a hundredth of the work: launches would decide, not arithmetic
    assert small.seconds is None and small.notes[0].startswith("time: unknown until measured")


def test_the_pages_figures_are_those_of_the_pages():
    by_source = {figure.source.partition(" (")[0]: figure for figure in figures()}
    h200 = by_source["an H200"]
    assert h200.speed == 6270.0 and h200.shape.slots == 384
    assert by_source["two EPYC cores"].speed == 6.73 and by_source["two EPYC cores"].shape.slots == 40
    demo = build_recipe("demo", ("training.threads=1",)).recipe
    assert predict(demo, CPU, ()).seconds == pytest.approx(361.0)


def test_a_time_that_is_set_is_the_time_and_the_budget_ends_it(tmp_path):
    found = measured_runs([line(tmp_path)], CPU)
    set_time = predict(recipe('training.max_steps="20min"'), CPU, found)
    assert set_time.seconds == 1200.0 and "as set by training.max_steps=20min" in set_time.notes[0]
    long = predict(recipe("training.max_steps=1000000", "training.time_budget=2h"), CPU, found)
    assert long.seconds == 7200.0 and "stops it after 2h00" in long.notes[1]


@pytest.mark.parametrize(
    "change",
    [
        {"step": None},
        {"step": 3.0},
        {"status": {}},
        {"status": {"elapsed_s": 0.0}},
        {"run_json": {}},
        {"run_json": {"recipe": {"model": 3}, "device_kind": "cpu"}},
        {"run_json": {"recipe": [], "device_kind": "cpu"}},
    ],
)
def test_runs_that_say_nothing_are_left_out(tmp_path, change):
    assert measured_of(replace(line(tmp_path), **change), CPU) is None


def test_whose_machine_it_is():
    run = {"process": {"host": "here"}, "device": "NVIDIA RTX", "device_kind": "cuda"}
    assert is_here(run, GPU) and not is_here(run, CPU) and not is_here({**run, "process": 3}, GPU)
    assert not is_here(run, replace(GPU, host="there")) and not is_here({}, Machine(False, None, False))
    assert processor_of("cpu family\t: 25\nmodel\t\t: 17\n") == "family 25 model 17" and processor_of("") == ""


def test_numbers_are_written_with_their_unit():
    assert energy(None) == "unknown" and energy(1500.0) == "~1.5 kJ" and energy(3.6e6) == "~1 kWh"
    assert time_of(None) == "unknown" and time_of(7500) == "~2h05"


def test_a_check_carries_them(tmp_path):
    checked = check("EXP-00", "cpu", "", CPU, measured_runs([line(tmp_path)], CPU))
    assert dict(checked.size)["time"] == "~3m20" and "run one" in checked.notes[0]
