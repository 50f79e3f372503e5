"""The compare screen against the real writer's files and against the real `hrm compare`: every key, busy and empty."""

from __future__ import annotations

import shutil

import pytest

from hrm_console.app import ConsoleApp
from hrm_console.asking import Answer
from hrm_console.screens.compare import PAGES, CompareScreen
from hrm_console.screens.puzzles import PuzzlesScreen
from hrm_console.session import Session
from hrm_console.views.compare.state import FILTERS
from hrm_console.widgets.chart_grid import ChartGrid
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.writer import RunWriter

ONE = {"a:0": True, "b:0": True, "c:0": False, "d:0": False}
TWO = {"a:0": True, "b:0": False, "c:0": True, "d:0": False}
DOCUMENT = {
    "tests": {"split": "val", "pairs": 4, "tasks": 4},
    "control": {"name": "EXP-00", "seeds": [1], "score": {"mean": 0.5, "trivial": {"name": "copy", "value": 0.25}}},
    "arms": [
        {
            "name": "EXP-01",
            "seeds": [1],
            "score": {"mean": 0.5, "trivial": {"name": "copy", "value": 0.25}},
            "verdict": {"call": "cannot tell", "text": "cannot tell (one seed): with 4 tasks needs more"},
            "cannot_act": "",
            "plan_rule": {"text": "the plan's own rule: not met"},
            "equal": [{"by": "seconds", "at": 40.0, "control": 0.5, "arm": 0.5}],
        }
    ],
    "notes": ["runs shared a GPU"],
}


def record(name, exact, family):
    return {
        "task": name.partition(":")[0], "test": 0, "split": "val", "side": 3, "fits": True, "families": [family],
        "input": ["12", "34"], "target": ["56", "78"], "predicted": ["56", "78"], "exact": exact, "cell_accuracy": 1.0,
        "confidence": 0.5, "loss": 0.1, "halt_logit": [0.1, 0.2], "rank": 0, "answers": [],
    }  # fmt: skip


def make(runs, name, solved, **recipe):
    """A run whose last full validation solved these tests."""
    folder = runs.folder / name
    writer = RunWriter.create(folder, 'experiment = "EXP-00"\n', {"experiment": "EXP-00", "recipe": recipe})
    for step in range(10, 210, 10):
        writer.metrics({"step": step, "elapsed_s": step * 0.2, "samples": 32 * step, "loss": 100.0 / step, "lr": 1e-3})
    for step in (100, 200):
        score = sum(solved.values()) / len(solved)
        writer.evaluation(
            {
                "step": step, "kind": "full", "split": "val", "weights": "ema", "pairs": 4, "loss": 0.9,
                "metrics": {"exact": score}, "trivial": {"exact": {"copy": 0.25}},
            }
        )  # fmt: skip
    writer.predictions(200, [record(test, exact, "crop" if test < "c" else "fill") for test, exact in solved.items()])
    writer.tasks([{"task": test.partition(":")[0], "demonstrations": [], "tests": []} for test in solved])
    writer.status({"state": "running", "global_step": 200, "max_steps": 200})
    writer.result({"state": "finished", "step": 200})
    writer.close()
    return folder


@pytest.fixture
def pair(runs):
    make(runs, "base", ONE, training={"seed": 1}, averaging={"kind": "ema"})
    make(runs, "other", TWO, training={"seed": 1}, averaging={"kind": "none"})
    return runs


def app_for(runs, asked=None, document=DOCUMENT):
    def asker(words):
        if asked is not None:
            asked.append(tuple(words))
        return Answer(True, document, "")

    return ConsoleApp(runs.folder, tick_s=0.05, asker=asker)


async def opened(app, pilot, until, *run_ids):
    await until(pilot, lambda: len(app.runs) >= len(run_ids) and app.runs_known)
    app.go("compare", *run_ids)
    await until(pilot, lambda: isinstance(app.screen, CompareScreen))
    if run_ids:
        found = app.screen.comparing
        await until(pilot, lambda: (found.paired or found.trouble) and found.answer)
        await until(pilot, lambda: len(app.screen.feeds) == len(run_ids) and app.screen.curves.charts)
    return app.screen


async def test_everything_at_once_where_there_is_room(pair, until, shown):
    asked = []
    app = app_for(pair, asked)
    async with app.run_test(size=(200, 60)) as pilot:
        screen = await opened(app, pilot, until, "base", "other")
        await until(pilot, lambda: "cannot tell (one seed): with 4 tasks needs more" in shown(app))
        text = shown(app)
        assert asked == [("compare", "base", "other", "--runs", str(pair.folder))]
        assert "+ 1 gained" in text and "− 1 lost" in text and "= 1 both" in text and "· 1 neither" in text
        assert "of 4 (trivial 25.0 %); tests of these two checkpoints, at 200 and 200" in text
        assert "averaging.kind" in text and "training.seed" not in text
        assert "at equal training time (40s): exact 50.0\xa0% against 50.0\xa0% (trivial" in text
        assert "c:0" in text and "b:0" in text and "a:0" not in text
        assert screen.shell_words() == ("compare", "base", "other")
        await until(pilot, lambda: app.screen.query_one(ChartGrid).charts[1].guides)
        await until(pilot, lambda: len(app.screen.query_one(ChartGrid).charts[0].lines) == 3)
        charts = app.screen.query_one(ChartGrid).charts
        assert [chart.title for chart in charts[:3]] == ["loss", "exact, validation", "loss, validation"]
        assert [line.label for line in charts[0].lines] == ["1", "1 full", "2"]
        assert len({line.color for line in charts[1].lines}) == 2
        assert [guide.y for guide in charts[1].guides] == [0.25]


@pytest.mark.parametrize("size", [(80, 24), (40, 10)])
async def test_pages_and_every_key(pair, until, shown, size):
    app = app_for(pair)
    async with app.run_test(size=size) as pilot:
        screen = await opened(app, pilot, until, "base", "other")
        for key, page in zip("1234", PAGES, strict=True):
            await pilot.press(key)
            await pilot.pause()
            assert screen.page == page
        await pilot.press("1", "x")
        assert screen.look.x_kind == "time"
        await pilot.press("x", "x")
        assert screen.look.x_kind == "step"
        await pilot.press("m")
        assert screen.choice == "lr"
        await pilot.press("M", "y", "e")
        assert screen.look.log_y and screen.look.smoothing
        await pilot.press("plus")
        assert screen.look.span is not None
        await pilot.press("0", "left")
        assert screen.look.span is None and screen.look.cursor is not None
        for key in ("right", "H", "L", "minus", "z", "z", "right_square_bracket", "left_square_bracket", "v", "o", "O"):
            await pilot.press(key)
        await pilot.press("escape")
        assert screen.look.cursor is None and app.screen is screen
        await pilot.press("3")
        seen = []
        for _ in FILTERS:
            seen.append((screen.kind, [test.name for test in screen.tests]))
            await pilot.press("f")
            await pilot.pause()
        assert dict(seen)["all"] == ["c:0", "b:0", "a:0", "d:0"] and dict(seen)["neither"] == ["d:0"]
        await pilot.press("escape")
        assert not isinstance(app.screen, CompareScreen)


async def test_a_family_filters_its_tests_and_enter_opens_both_grids(pair, until, shown):
    app = app_for(pair)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot, until, "base", "other")
        await pilot.press("3", "down")
        await until(pilot, lambda: screen.family != "")
        assert [test.name for test in screen.tests] == {"crop": ["b:0"], "fill": ["c:0"]}[screen.family]
        await pilot.press("enter")
        assert screen.focused is screen.test_list
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PuzzlesScreen))
        await until(pilot, lambda: "base A | other B" in shown(app) and {"b:0", "c:0"} & set(shown(app).split()))


async def test_the_baseline_is_swapped_and_remembered_and_the_next_run_held_against_it(pair, until):
    make(pair, "third", TWO)
    asked = []
    app = app_for(pair, asked)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot, until, "base", "other", "third")
        colors = screen.run_colors
        await pilot.press("o")
        await until(pilot, lambda: screen.comparing.paired and screen.comparing.paired.runs == ("base", "third"))
        await pilot.press("b")
        await until(pilot, lambda: screen.comparing.paired and screen.comparing.paired.runs == ("third", "base"))
        assert app.session.baseline == "third" and screen.chosen.runs == ("third", "other", "base")
        assert screen.run_colors == colors
        await until(pilot, lambda: len(asked) == 2)
        assert asked[1][:4] == ("compare", "third", "other", "base")


async def test_without_runs_it_says_what_to_do_and_takes_the_marked_ones(pair, until, shown):
    app = app_for(pair)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(app, pilot, until)
        await until(pilot, lambda: "Mark them on the runs screen" in shown(app))
        assert screen.shell_words() == ("compare", "--help")
        for key in "1234xmMobfvyez":
            await pilot.press(key)
        app.session = Session(marked=("other", "base", "gone"), baseline="base")
        screen.runs_changed()
        await until(pilot, lambda: screen.chosen.runs == ("base", "other"))
        await until(pilot, lambda: "Mark them" not in shown(app) and "baseline" in shown(app))
        app.session = Session(marked=("base",), baseline="other")
        app.go("compare")
        screen.runs_changed()
        await until(pilot, lambda: screen.chosen.runs == ("other", "base"))


async def test_runs_that_vanish_or_have_no_predictions_do_no_harm(pair, until, shown):
    pair.make("young", steps=0)
    app = app_for(pair, document={"control": 5, "arms": [3, {"verdict": "x"}], "notes": [1]})
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(app.runs) == 3)
        app.go("compare", "base", "young", "other")
        await until(pilot, lambda: "run young has no predictions kept" in shown(app))
        assert "no verdict" in shown(app)
        shutil.rmtree(pair.folder / "base")
        await until(pilot, lambda: app.screen.chosen.runs == ("young", "other"))
        shutil.rmtree(pair.folder / "other")
        await until(pilot, lambda: "Mark them on the runs screen" in shown(app))


async def test_a_refusal_of_hrm_compare_is_shown_in_its_words(pair, until, shown):
    app = ConsoleApp(pair.folder, tick_s=0.05, asker=lambda words: Answer(False, None, "run base cannot be compared"))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, until, "base", "other")
        await pilot.press("4")
        await until(pilot, lambda: "▲ run base cannot be compared" in shown(app))


async def test_the_real_command_answers(runs, until, shown):
    for name, kind in (("one", "ema"), ("two", "none")):
        recipe = build_recipe("EXP-00", ["preset=demo", f"averaging.kind={kind}"]).recipe
        with RunWriter.create(runs.folder / name, to_toml(recipe), {"experiment": "EXP-00", "data_digest": "d"}) as run:
            run.evaluation(
                {
                    "step": 10, "kind": "full", "split": "val", "pairs": 4, "tasks": 4, "loss": 1.0,
                    "metrics": {"exact": 0.25}, "trivial": {"exact": {"copy": 0.0}}, "weights": "ema",
                }
            )  # fmt: skip
            run.metrics({"step": 10, "elapsed_s": 1.0, "samples": 320})
            run.result({"state": "finished", "step": 10})
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(200, 60)) as pilot:
        await until(pilot, lambda: len(app.runs) == 2)
        app.go("compare", "one", "two")
        for _ in range(600):
            if app.screen.comparing.answer is not None:
                break
            await pilot.pause(0.05)
        await until(pilot, lambda: "cannot tell (one seed)" in shown(app))


async def test_keys_that_come_faster_than_messages_choose_the_family_under_the_cursor(pair, until, monkeypatch):
    """Two steps of the cursor before the first one's message: it must not take the cursor back and forth for ever."""
    app = app_for(pair)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await opened(app, pilot, until, "base", "other")
        await until(pilot, lambda: len(screen.family_list.rows) > 2)
        screen.family_list.move_to(1)
        screen.family_list.move_to(2)
        screen.show_tests()
        assert screen.family_list.cursor == 2 and screen.family == screen.held.keys[2]
        drawn, show_all = [], screen.show_all
        monkeypatch.setattr(screen, "show_all", lambda: (drawn.append(screen.family), show_all()))
        await pilot.pause(0.3)
        assert len(drawn) <= 4 and screen.family_list.cursor == 2
