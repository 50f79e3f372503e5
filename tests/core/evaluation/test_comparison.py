"""Comparisons of made-up runs against numbers that were put into them: arms, measures, verdicts, words, pages."""

from __future__ import annotations

import csv
import io
import math
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from hrm_core.errors import UserError
from hrm_core.evaluation.blocks import Block, markdown
from hrm_core.evaluation.checklist import COLUMNS, checklist_csv
from hrm_core.evaluation.comparison import compare
from hrm_core.evaluation.comparison_arms import changes, group_runs
from hrm_core.evaluation.comparison_measures import (
    loss_spikes,
    lost_since_previous,
    parameters,
    roughness,
    score_at,
    spread_of_last,
    stability,
    to_best,
    validation_noise,
)
from hrm_core.evaluation.comparison_runs import read_facts
from hrm_core.evaluation.comparison_select import arms_of_sweep, arms_of_words, runs_of_word
from hrm_core.evaluation.comparison_words import comparison_blocks, sweep_block
from hrm_core.evaluation.experiment_pages import write_pages
from hrm_core.recipe.lay import build_recipe
from hrm_core.runs.sweeps import Sweep

LOW, HIGH = [0.10, 0.15, 0.10], [0.85, 0.90, 0.85]


def three(made: Any, experiment: str, finals: list[float], **more: Any) -> None:
    for seed, final in enumerate(finals, 1):
        made.make(f"{experiment}-s{seed}", experiment, seed, (0.0, final), **more)


def text_of(document: dict[str, Any]) -> str:
    return markdown(comparison_blocks(document))


def test_the_score_is_that_of_the_last_step_not_the_best(made_runs: Any) -> None:
    run = read_facts(made_runs.make("r", scores=(0.1, 0.4, 0.2)))
    assert (run.score, run.best) == (0.2, 0.4)
    assert read_facts(made_runs.make("s", state="stopped")).score is None
    assert read_facts(made_runs.make("t", state="lost")).score is None


def test_only_the_seed_may_differ_within_an_arm(made_runs: Any) -> None:
    paths = [
        made_runs.make("a1", seed=1),
        made_runs.make("a2", seed=2, overrides=["training.threads=2"]),
        made_runs.make("b1", seed=1, overrides=["optimizer.lr=0.002"]),
        made_runs.make("c1", "EXP-00p"),
    ]
    arms = group_runs([read_facts(path) for path in paths])
    assert [arm.name for arm in arms] == ["EXP-00", "EXP-00 (optimizer.lr=0.002)", "EXP-00p"]
    assert [[run.seed for run in arm.runs] for arm in arms] == [[1, 2], [1], [1]]


def test_two_experiments_stay_two_arms_where_their_recipes_are_alike(made_runs: Any) -> None:
    names = ["EXP-00p", "EXP-02c"]
    paths = [made_runs.make(name, name, overrides=["preset=demo"]) for name in names]
    assert [arm.name for arm in group_runs([read_facts(path) for path in paths])] == names


def test_the_same_seed_twice_is_one_observation_and_the_finished_one(made_runs: Any) -> None:
    paths = [made_runs.make("whole", scores=(0.3,)), made_runs.make("broken", scores=(0.9,), state="lost")]
    (arm,) = group_runs([read_facts(path) for path in paths])
    assert arm.scores == [0.3]


def test_a_technique_is_one_change_both_ways() -> None:
    control = build_recipe("EXP-00", ["preset=demo"]).recipe
    other = build_recipe("EXP-03", ["preset=demo", "techniques.drop_path.probability=0.02"], allow_unbuilt=True).recipe
    on = {"techniques.drop_path": ["off", "on"], "techniques.drop_path.probability": ["off", "0.02"]}
    assert changes(control, other) == on
    assert changes(other, control) == {"techniques.drop_path": ["on", "off"]}
    assert changes(control, control) == {}


def test_to_best_counts_from_the_first_validation_that_is_near_enough(made_runs: Any) -> None:
    run = read_facts(made_runs.make("r", scores=(0.0, 0.46, 0.5, 0.4), power_w=30.0))
    found = to_best(run)
    assert found == {"score": 0.46, "step": 20, "segments": 20 * 32, "seconds": 40.0, "joules": 30.0 * 40.0}
    assert 0.5 - 0.5 * math.sqrt(0.25 / 20) < 0.46
    dark = to_best(read_facts(made_runs.make("dark", scores=(0.0, 0.5))))
    assert dark is not None and dark["joules"] is None
    assert to_best(read_facts(made_runs.make("zero", scores=(0.0, 0.0)))) is None


def test_course_of_the_validations(made_runs: Any) -> None:
    assert roughness([0.1, 0.2, 0.3, 0.4]) == pytest.approx(0.0)
    assert roughness([0.1, 0.3, 0.1]) == pytest.approx(0.4)
    assert roughness([0.1, 0.3]) is None
    assert spread_of_last([0.9, 0.1, 0.2, 0.3, 0.2, 0.1]) == pytest.approx(0.2)
    assert validation_noise([0.0, 0.1] * 4) == pytest.approx(0.2 / math.sqrt(6))
    run = read_facts(made_runs.make("r", scores=(0.1, 0.2, 0.3)))
    assert score_at(run, "steps", 25) == 0.2
    assert score_at(run, "seconds", 39.0) == 0.1
    assert score_at(run, "segments", 30 * 32) == 0.3


def test_tests_lost_at_the_last_validation(made_runs: Any) -> None:
    run = read_facts(made_runs.make("r", scores=(0.1, 0.15, 0.1), solved=([9], [1, 2, 3], [2, 4])))
    assert lost_since_previous(run) == ["t01:0", "t03:0"]
    assert lost_since_previous(read_facts(made_runs.make("s"))) is None
    told = read_facts(made_runs.make("t", evaluation={"lost": ["b:0", "a:1"]}))
    assert lost_since_previous(told) == ["a:1", "b:0"]


def test_stability_of_a_log() -> None:
    rows = [
        {"step": step, "loss": 1.0, "grad_norm": 1.0 + step % 2, "clipped": 2, "nonfinite": 0} for step in range(1, 11)
    ]
    rows[7] |= {"loss": 1.6, "nonfinite": 1}
    assert stability(rows) == {
        "loss_spikes": 1, "clip_events": 20, "clipped_share": 2.0, "grad_norm_mean": 1.5, "grad_norm_variance": 0.25,
        "nonfinite_steps": 1,
    }  # fmt: skip
    assert loss_spikes([1.0, 9.0, 1.0, 1.0, 1.0, 1.49]) == 0
    assert stability([])["clip_events"] is None


def test_three_seeds_each_give_a_verdict_with_all_that_belongs_to_it(made_runs: Any) -> None:
    three(made_runs, "EXP-00", LOW, solved=([1, 2],))
    three(made_runs, "EXP-00p", HIGH, solved=([2, 3, 4],))
    document = compare(*arms_of_words(made_runs.folder, "EXP-00", ["EXP-00p"]))
    (arm,) = document["arms"]
    assert arm["verdict"]["call"] == "better" and arm["verdict"]["test"] == "Welch"
    assert arm["verdict"]["difference"] == pytest.approx(0.75)
    assert arm["plan_rule"]["met"] is True
    assert arm["difference"]["averaging.kind"] == ["ema", "none"]
    assert arm["tests"]["gained"] == ("t03:0", "t04:0") and arm["tests"]["lost"] == ("t01:0",)
    assert arm["tests"]["checkpoints"] == ["EXP-00-s1@20", "EXP-00p-s1@20"]
    assert arm["tests"]["title"] == "these two checkpoints"
    assert arm["families"][0]["family"] == "recolour" and arm["families"][0]["apart"]
    assert {family["family"] for family in arm["families"]} == {"recolour", "crop", "the plan's symmetry"}
    assert arm["described"]["ECE"] == {"value": 0.25, "trivial": None}
    assert arm["described"]["cells"] == {"value": 0.5, "trivial": 0.4}
    assert arm["score"]["trivial"] == {"name": "copy", "value": 0.05}
    said = text_of(document)
    assert "verdict: better: +75.0 points" in said
    assert "exact 86.7 % (trivial 5.0 %, copy), 3 seeds" in said
    assert "at equal training time (40): exact 86.7 % against 11.7 %" in said
    assert "not measured" in said  # joules
    assert "| cells | 0.500 (trivial 0.400) | 0.500 (trivial 0.400) |" in said


def test_one_seed_can_say_nothing(made_runs: Any) -> None:
    three(made_runs, "EXP-00", LOW)
    made_runs.make("other", "EXP-00p", 1, (0.0, 0.9))
    (arm,) = compare(*arms_of_words(made_runs.folder, "EXP-00", ["other"]))["arms"]
    assert arm["verdict"]["text"].startswith("cannot tell (one seed)")


def test_other_tests_and_other_lengths_are_not_compared(made_runs: Any) -> None:
    three(made_runs, "EXP-00", LOW)
    for seed in (1, 2, 3):
        made_runs.make(f"few-{seed}", "EXP-00p", seed, (0.0, 0.9), evaluation={"pairs": 10, "tasks": 9})
        made_runs.make(
            f"data-{seed}", "EXP-00", seed, (0.0, 0.9), run_json={"data_digest": "d2"}, overrides=["rows.lr=0.1"]
        )
        made_runs.make(f"long-{seed}", "EXP-00", seed, (0.0, 0.1, 0.9), overrides=["training.max_steps=1301"])
    words = [f"{name}-{seed}" for name in ("few", "data", "long") for seed in (1, 2, 3)]
    ours = [f"EXP-00-s{seed}" for seed in (2, 3)]
    few, data, long = compare(*arms_of_words(made_runs.folder, "EXP-00-s1", [*ours, *words]))["arms"]
    assert few["verdict"]["reason"] == "it was scored on 10 tests of val, the control on 20 of val"
    assert data["verdict"]["reason"] == "it was scored on other data than the control"
    assert long["verdict"]["reason"] == "it is not at equal segments (960 against 640)"
    assert {arm["verdict"]["call"] for arm in (few, data, long)} == {"cannot tell"}


def test_words_mean_runs_or_experiments(made_runs: Any) -> None:
    three(made_runs, "EXP-00", LOW)
    made_runs.make("dead", seed=4, state="lost")
    assert [run.seed for run in runs_of_word(made_runs.folder, "EXP-00")] == [1, 2, 3]
    control, (arm,) = arms_of_words(made_runs.folder, "EXP-00-s1", ["EXP-00-s2"])
    assert [run.seed for run in control.runs] == [1]
    assert arm.name == "EXP-00, other seeds"
    with pytest.raises(UserError, match="no finished run of EXP-00p"):
        runs_of_word(made_runs.folder, "EXP-00p")
    with pytest.raises(UserError, match="nothing to compare"):
        arms_of_words(made_runs.folder, "EXP-00-s1", ["EXP-00-s1"])
    made_runs.make("big", seed=1, overrides=["optimizer.lr=0.002"])
    with pytest.raises(UserError, match="2 recipes"):
        arms_of_words(made_runs.folder, "EXP-00", ["big"])


def test_a_recipe_that_cannot_be_read_is_named(made_runs: Any) -> None:
    folder = made_runs.make("odd")
    (folder / "recipe.toml").write_text("x = ")
    with pytest.raises(UserError, match=r"run odd cannot be compared: its recipe\.toml"):
        read_facts(folder)


def a_sweep(made: Any) -> tuple[Sweep, dict[str, Any], list[Any]]:
    sweep = Sweep("sw", ("EXP-00", "EXP-00p"), 3, 7, ("preset=demo",))
    finals = iter(LOW * 3)
    for planned in sweep.runs[:-1]:
        final = 0.9 if planned.experiment == "EXP-00p" else next(finals)
        state = "failed" if planned.name == "sw-EXP-00-s7" else "finished"
        made.make(planned.name, planned.experiment, planned.seed, (0.0, 0.2, final), state=state)
    control, arms, missing = arms_of_sweep(made.folder, sweep)
    return sweep, compare(control, arms) | {"sweep": "sw", "missing": missing}, [control, *arms]


def test_a_sweep_keeps_its_failures(made_runs: Any) -> None:
    _, document, _ = a_sweep(made_runs)
    states = {entry["run_id"]: entry["state"] for entry in document["missing"]}
    assert states == {"sw-EXP-00-s7": "failed", "sw-EXP-00p-s3": "not begun"}
    assert document["control"]["seeds"] == [1, 2, 3, 4, 5, 6]
    assert document["control"]["null_check"]["choices"] == 20
    assert document["arms"][0]["verdict"]["text"].startswith("cannot tell with 18 tasks and 2 seeds")
    block = sweep_block(document)
    assert block.rows[0][:4] == ("EXP-00", "6", "11.7 % (trivial 5.0 %, copy)", "the control")


def test_pages_of_a_sweep(made_runs: Any, tmp_path: Path) -> None:
    _, document, arms = a_sweep(made_runs)
    pages = tmp_path / "docs" / "experiments"
    (pages / "notes").mkdir(parents=True)
    (pages / "notes" / "EXP-00p.md").write_text("By hand: nothing.\n")
    write_pages(pages, document, arms)
    names = sorted(path.name for path in pages.iterdir())
    assert names == [
        "EXP-00-exact.svg", "EXP-00-loss.svg", "EXP-00.md", "EXP-00p-exact.svg", "EXP-00p-loss.svg", "EXP-00p.md",
        "README.md", "checklist.csv", "notes",
    ]  # fmt: skip
    readme = (pages / "README.md").read_text()
    assert "| sw-EXP-00-s7 | EXP-00 | 7 | failed | x |" in readme and "[EXP-00p](EXP-00p.md)" in readme
    page = (pages / "EXP-00p.md").read_text()
    for part in ("**Hypothesis.**", "cannot tell", "a made-up CPU", "0123456789ab", "torch 2.12", "By hand: nothing."):
        assert part in page
    exact = ElementTree.parse(pages / "EXP-00p-exact.svg")
    assert len(exact.findall("{*}polyline")) == 7 + 2
    assert "trivial (copy)" in {text.text for text in exact.findall("{*}text")}
    rows = list(csv.reader(io.StringIO((pages / "checklist.csv").read_text())))
    assert rows[0] == list(COLUMNS) and len(rows) == 1 + 10
    assert {row[0] for row in rows[1:]} >= {"sw-EXP-00-s7", "sw-EXP-00p-s3"}
    assert next(row for row in rows if row[0] == "sw-EXP-00p-s1")[9] == "+70.0"


def test_an_arm_that_cannot_act_says_so(made_runs: Any) -> None:
    from hrm_core.evaluation.comparison_measures import cannot_act

    run = read_facts(made_runs.make("r"))
    assert cannot_act(run) == ""
    recipe = build_recipe("EXP-05", ["preset=demo"], allow_unbuilt=True).recipe
    still = type(run)(run.folder, run.state, recipe, run.run_json, run.result, run.full, run.metrics)
    assert cannot_act(still).startswith("not measurable: 100 % of the tests never halt")


def test_hostile_text_stays_in_its_cell(made_runs: Any) -> None:
    text = markdown([Block("t\x1b", ("<b>",), ("a",), (("x|y\n\x07",),))])
    assert "\x1b" not in text and "\x07" not in text and "<b>" not in text and "x\\|y" in text
    run = made_runs.make("r", run_json={"device": "=HYPERLINK(1)", "created_utc": "=1+1"})
    arm = group_runs([read_facts(run)])[0]
    document = compare(arm, [])
    assert ",'=1+1," in checklist_csv(document, [arm])


def test_parameters_come_from_the_shapes(made_runs: Any) -> None:
    run = read_facts(made_runs.make("r"))
    layer = 4 * 128 * 128 + 3 * 128 * 384
    assert parameters(run) >= 4 * layer


def test_comparing_needs_no_torch() -> None:
    code = (
        "import sys, hrm_core.evaluation.comparison, hrm_core.evaluation.experiment_pages, "
        "hrm_core.evaluation.comparison_select\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
