"""`hrm bench techniques`: turns and ratios by a clock of our own, every technique named once, one real measurement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from technique_bench import SMALL

from hrm_core.benchmarks import techniques
from hrm_core.benchmarks.techniques import ARMS, compare, cost_of, page
from hrm_core.cli.main import cli
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.techniques import TechniquesConfig


def test_every_technique_but_the_curriculum_is_timed() -> None:
    named = {
        setting.split("=")[0].split(".")[1] for lines in ARMS.values() for setting in lines if "techniques." in setting
    }
    assert named == TechniquesConfig.model_fields.keys() - {"curriculum"}


@pytest.mark.parametrize("name", list(ARMS))
def test_each_is_a_recipe_in_which_it_is_on(name: str) -> None:
    control = build_recipe("EXP-00", []).recipe
    changed = build_recipe("EXP-00", list(ARMS[name]), allow_unbuilt=True).recipe
    assert changed != control


def test_turns_alternate_and_the_ratio_is_the_rounds_median(monkeypatch: pytest.MonkeyPatch) -> None:
    now, turns = [0.0], []

    def arm(name: str, seconds: float):
        def run(count: int) -> float:
            turns.append((name, count))
            now[0] += seconds * count
            return seconds * count

        return run

    monkeypatch.setattr(techniques.time, "perf_counter", lambda: now[0])
    controls, times = compare(arm("control", 0.1), arm("other", 0.12), 10.0)
    assert turns[0] == ("control", 1)
    assert turns[1:5] == [("control", 5), ("other", 5), ("other", 5), ("control", 5)]
    assert len(controls) == len(times) == 10
    cost = cost_of("other", ("x=1",), controls, times)
    assert cost.ratio == pytest.approx(1.2) and cost.step_ms == pytest.approx(120.0) and not cost.within
    uneven = cost_of("other", (), [1.0, 1.0, 2.0, 1.0, 1.0], [1.04, 1.0, 4.0, 1.04, 1.04])
    assert uneven.ratio == pytest.approx(1.04) and uneven.within


def test_a_real_measurement(arc1_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARMS, "too much", ("techniques.replay.share=1",))
    words = ["bench", "techniques", *SMALL, "--technique", "replay", "--technique", "too much", "--seconds", "0.1"]
    result = CliRunner().invoke(cli, [*words, "--data", str(arc1_file), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [cost["technique"] for cost in found["costs"]] == ["replay"]
    assert 0.2 < found["costs"][0]["ratio"] < 20 and found["costs"][0]["rounds"] >= 5
    assert "exceeds techniques.replay.cap" in found["left_out"]["too much"]


def test_a_name_that_there_is_not_is_refused() -> None:
    result = CliRunner().invoke(cli, ["bench", "techniques", "--technique", "replai"])
    assert result.exit_code == 2
    assert "--technique replai: there is no such" in result.stderr


def test_the_page_says_what_was_left_out() -> None:
    machine = techniques.Machine(
        "A GPU", "cuda", 90, 1, {"python": "3", "torch": "2", "triton": "3"}, "abc", "2026-11-27"
    )
    cost = cost_of("replay", ("techniques.replay=on",), [1.0] * 5, [1.1] * 5)
    text = page(techniques.Report(machine, "EXP-00", (cost,), {"rule_head": "not built yet"}))
    assert "| replay | 1000.00 | 1100.00 | 1.100 (1.100 to 1.100) | no | `techniques.replay=on` |" in text
    assert "No cost of rule_head: not built yet" in text
