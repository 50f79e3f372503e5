"""What the launch form does beside starting: queue, fork, extend, save as one's own, and the line that is copied."""

from __future__ import annotations

import json
import shlex

import pytest
import tomli_w
from hostile_text import dangerous

from hrm_console.app import ConsoleApp
from hrm_console.launching import Outcome
from hrm_console.screens.launch import LaunchScreen
from hrm_console.screens.launch_save import SaveScreen
from hrm_console.screens.run import RunScreen
from hrm_console.views.launch.forking import extend, fork, overrides_of_run
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.my_experiments import experiments_dir
from hrm_core.runs.atomic import write_json
from hrm_core.runs.files import read_json_object
from hrm_core.runs.launch import HRM_COMMAND

ALL = "\x1b]52;c;cHduZWQ=\x07 \x1b[2J \x9b31m \u202egnp.exe [bold red]markup[/] [@click=app.quit]x[/] a\rb\x08 \x7f\x05"


class Launcher:
    """Notes what it was asked, and answers as told."""

    def __init__(self, outcome=None):
        self.asked = []
        self.outcome = outcome or Outcome(True, "")

    def __call__(self, argv):
        self.asked.append(list(argv))
        return self.outcome


def real_run(runs, name, state="finished", steps=200, experiment="EXP-03", overrides=("preset=cpu",)):
    """A run whose run.json has the recipe and its sources, as the trainer writes them."""
    folder = runs.make(name, state, steps, 200, experiment=experiment)
    resolved = build_recipe(experiment, (*overrides, "training.max_steps=200"))
    row = read_json_object(folder / "run.json")
    row |= {"recipe": resolved.recipe.model_dump(mode="json"), "sources": resolved.sources, "preset": "cpu"}
    write_json(folder / "run.json", row)
    return folder


async def form(app, pilot, until, *arguments):
    app.go("launch", *arguments)
    await until(pilot, lambda: isinstance(app.screen, LaunchScreen) and app.screen.answer is not None)
    await until(pilot, lambda: app.screen.answer.form == app.screen.form())
    return app.screen


async def on_run(app, pilot, until, name):
    await until(pilot, lambda: app.line_of(name) is not None)
    app.show_run(name)
    await until(pilot, lambda: isinstance(app.screen, RunScreen))


async def test_queue_gives_the_right_argv_and_stays(runs, until, shown):
    launcher = Launcher()
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=launcher)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await form(app, pilot, until, "EXP-03", "preset=cpu training.seed=2", "", "queued")
        await pilot.press("f6")
        await until(pilot, lambda: "queued is in the queue" in shown(app))
        words = ["queue", "add", "EXP-03", "preset=cpu", "training.seed=2", "--name", "queued"]
        assert launcher.asked == [[*HRM_COMMAND, *words, "--runs", str(runs.folder)]]
        assert app.screen is screen and screen.name_field.value == ""
        launcher.outcome = Outcome(False, "error: no space")
        await until(pilot, lambda: screen.queue_button.ready)
        screen.queue_button.focus()
        await pilot.press("enter")
        await until(pilot, lambda: "no space" in screen.failure)
        assert launcher.asked[1][8] != "queued"


async def test_a_form_with_a_mistake_is_neither_queued_nor_saved(runs, until):
    launcher = Launcher()
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=launcher)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await form(app, pilot, until, "EXP-03", "training.batch=0")
        await pilot.press("f6", "f7", "f5")
        await pilot.pause()
        assert launcher.asked == [] and isinstance(app.screen, LaunchScreen)


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_a_run_is_forked_from_its_best_weights_with_its_overrides(runs, until, shown, size):
    real_run(runs, "one", overrides=("preset=cpu", "training.seed=7", "techniques.drop_path.probability=0.3"))
    launcher = Launcher()
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=launcher)
    async with app.run_test(size=size, notifications=True) as pilot:
        await on_run(app, pilot, until, "one")
        await pilot.press("F")
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen) and app.screen.answer is not None)
        screen = app.screen
        overrides = "techniques.drop_path.probability=0.3 training.max_steps=200 training.seed=7"
        await until(pilot, lambda: screen.answer.form == ("EXP-03", "cpu", screen.overrides.value))
        assert sorted(screen.overrides.value.split()) == overrides.split()
        assert "‹one@best›" in shown(app) and "one@last" in shown(app) and "fresh weights" in shown(app)
        assert screen.shell_words()[-2:] == ("--from", "one@best")
        await pilot.press("f5")
        await until(pilot, lambda: launcher.asked)
        argv = launcher.asked[0]
        assert argv[3:6] == ["run", "EXP-03", "preset=cpu"] and argv[argv.index("--from") + 1] == "one@best"


async def test_a_fork_may_begin_with_fresh_weights(runs, until):
    launcher = Launcher()
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=launcher)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await form(app, pilot, until, "EXP-00", "preset=cpu", "one@best")
        screen.weights.focus()
        await pilot.press("left")
        await until(pilot, lambda: screen.weights.value == "fresh weights" and screen.start_button.ready)
        await pilot.press("f5")
        await until(pilot, lambda: launcher.asked and "--from" not in launcher.asked[0])


async def test_a_finished_run_is_extended(runs, until, shown):
    real_run(runs, "one")
    launcher = Launcher()
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=launcher)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await on_run(app, pilot, until, "one")
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen) and app.screen.answer is not None)
        screen = app.screen
        await until(pilot, lambda: screen.overrides.value == "training.max_steps=400" and screen.start_button.ready)
        assert "Extend one" in shown(app) and "It is finished at step 200 of 200" in shown(app)
        assert "of the 200 steps that are left" in " ".join(shown(app).split())
        for line, said in (
            ("training.max_steps=150", "the run is at step 200 already"),
            ("training.batch=3", "keeps its recipe"),
            ("training.max_steps=many", "no time"),
        ):
            screen.overrides.value = line
            await until(pilot, lambda said=said: said in " ".join(shown(app).split()))
        await pilot.press("f5", "f6", "f7", "f2")
        assert launcher.asked == []
        screen.overrides.value = "training.max_steps=600"
        await until(pilot, lambda: screen.start_button.ready and screen.answer.form[2].endswith("600"))
        assert screen.shell_words() == ("resume", "one", "training.max_steps=600")
        await pilot.press("f5")
        await until(pilot, lambda: launcher.asked and isinstance(app.screen, RunScreen))
        assert launcher.asked[0][3:7] == ["resume", "one", "training.max_steps=600", "--detach"]


async def test_a_run_that_goes_on_is_not_extended(runs, until):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=Launcher())
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await on_run(app, pilot, until, "one")
        await pilot.press("E")
        await until(pilot, lambda: any("stop it first" in toast.message for toast in app._notifications))
        assert isinstance(app.screen, RunScreen)


async def test_a_run_of_another_version_can_still_be_extended_or_says_why_not(runs, until, shown):
    folder = real_run(runs, "one")
    row = read_json_object(folder / "run.json")
    row["recipe"] = {"model": 3}
    write_json(folder / "run.json", row)
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=Launcher())
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.line_of("one") is not None)
        await form(app, pilot, until, "", "", "", "", "one")
        await until(pilot, lambda: "another version" in " ".join(shown(app).split()))
        await form(app, pilot, until, "", "", "", "", "gone")
        await until(pilot, lambda: "gone is not in the folder" in shown(app))


async def test_a_form_is_kept_as_an_experiment_of_ones_own(runs, until, shown):
    launcher = Launcher()
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=launcher)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await form(app, pilot, until, "EXP-03", "preset=cpu training.seed=2")
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(app.screen, SaveScreen))
        await pilot.press("enter", *"my one", "enter")
        await until(pilot, lambda: "not allowed" in shown(app))
        app.screen.fields[0].value = "mine"
        app.screen.fields[1].value = "A [bold]title[/]"
        await pilot.press("enter")
        await until(pilot, lambda: screen.card is not None and screen.card.name == "mine")
        await until(pilot, lambda: screen.answer.form == ("mine", "cpu", "") and screen.start_button.ready)
        assert [card.name for card in screen.cards][:2] == ["mine", "EXP-00"]
        assert screen.answer.checked.values["training.seed"] == "2" and (experiments_dir() / "mine.toml").exists()
        assert "*mine" in shown(app) and "A [bold]title[/]" in shown(app)
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(app.screen, SaveScreen))
        app.screen.fields[0].value = "EXP-00"
        await pilot.press("enter")
        await until(pilot, lambda: "built in" in " ".join(shown(app).split()))
        screen.overrides.value = "training.batch=8"
        await until(pilot, lambda: screen.answer.form[2] == "training.batch=8")
        await pilot.press("f7", "enter")
        await until(pilot, lambda: screen.overrides.value == "" and screen.answer.form == screen.form())
        assert build_recipe("mine").recipe.training.batch == 8 and build_recipe("mine").recipe.training.seed == 2
        await pilot.press("f5")
        await until(pilot, lambda: launcher.asked and launcher.asked[0][3:6] == ["run", "mine", "preset=cpu"])


async def test_a_damaged_file_is_said(runs, until, shown):
    experiments_dir().mkdir(parents=True)
    (experiments_dir() / "bad.toml").write_text("base = 3")
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=Launcher())
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await form(app, pilot, until)
        await until(pilot, lambda: "left out" in shown(app))
        app.go("launch", "gone-one")
        await until(pilot, lambda: "gone-one is no experiment any more" in " ".join(shown(app).split()))


async def test_the_line_that_is_copied_is_what_start_would_run(runs, until, monkeypatch):
    copied = []
    launcher = Launcher()
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=launcher)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        monkeypatch.setattr(app, "copy_to_clipboard", copied.append)
        screen = await form(app, pilot, until, "EXP-00", "preset=cpu 'data.source=a b'", "one@best", "named")
        screen.experiments.focus()
        await pilot.press("Y")
        await until(pilot, lambda: copied)
        words = ["hrm", "run", "EXP-00", "preset=cpu", "data.source=a b", "--from", "one@best", "--name", "named"]
        assert shlex.split(copied[0]) == [*words, "--runs", str(runs.folder)]
        screen.overrides.value = "data.source='a b"
        await pilot.press("Y")
        await until(pilot, lambda: len(copied) == 2)
        await until(pilot, lambda: screen.answer.form == screen.form())


@pytest.mark.parametrize("size", [(40, 10), (80, 24)])
async def test_small_terminals_do_not_end_the_app(runs, until, size):
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=Launcher())
    async with app.run_test(size=size, notifications=True) as pilot:
        await form(app, pilot, until, "EXP-00", "preset=cpu", "one@best", "named")
        await pilot.press("f7", "escape", "f2", "enter", "escape", "escape", "escape")
        await until(pilot, lambda: app.screen.ROOM == "runs" and app.is_running)


def test_overrides_come_from_run_json_alone():
    recipe = {"training": {"batch": 8, "deterministic": True}, "data": {"canvases": [7, 9], "source": "a b"}}
    sources = {"training.batch": "override", "training.deterministic": "override", "data.canvases": "override"}
    sources |= {"data.source": "override, schedule=absolute", "training.seed": "override", "model.hidden": "EXP-00"}
    line = overrides_of_run({"recipe": recipe, "sources": sources, "preset": "cpu"})
    assert shlex.split(line) == [
        "preset=cpu",
        "training.batch=8",
        "training.deterministic=true",
        "data.canvases=7,9",
        "data.source=a b",
    ]
    assert overrides_of_run({}) == "" and overrides_of_run({"recipe": 3, "sources": {}}) == ""


async def test_nothing_hostile_of_a_run_or_a_saved_experiment_arrives_raw(runs, until, shown):
    folder = real_run(runs, "one")
    row = read_json_object(folder / "run.json")
    row["recipe"]["data"]["source"], row["sources"]["data.source"] = ALL, "override"
    write_json(folder / "run.json", row)
    (runs.folder / "evil\x1b]0;pwned\x07").mkdir()
    (runs.folder / "evil\x1b]0;pwned\x07" / "run.json").write_text(json.dumps({"experiment": ALL}))
    experiments_dir().mkdir(parents=True)
    texts = {"base": "EXP-00", "preset": "cpu", "title": ALL, "hypothesis": ALL, "overrides": [f"data.source={ALL}"]}
    (experiments_dir() / "mine.toml").write_text(tomli_w.dumps(texts))
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=Launcher())
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: len(app.runs) == 2)
        for line in app.runs:
            fork(app, line)
            extend(app, line)
            await pilot.pause()
            assert not dangerous(shown(app))
        screen = await form(app, pilot, until, "EXP-03", overrides_of_run(row), "one@best")
        screen.experiments.move_to(0)
        await until(pilot, lambda: screen.answer.form[0] == "mine" and screen.answer.form == screen.form())
        assert not dangerous(shown(app))
        await pilot.press("f2")
        await until(pilot, lambda: screen.on_settings and screen.settings_list.choice.rows)
        assert not dangerous(shown(app))
