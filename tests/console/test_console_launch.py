"""The launch form against the real recipes, with a launcher that only notes the argv it was given."""

from __future__ import annotations

import sys
import threading

import pytest

from hrm_console.app import ConsoleApp
from hrm_console.launching import Outcome, resume_argv, run_argv, run_command, shell_line, split_overrides
from hrm_console.screens.launch import LaunchScreen
from hrm_console.screens.run import RunScreen
from hrm_console.screens.runs import RunsScreen
from hrm_console.views.launch.overrides import candidates, completed, helpful
from hrm_console.views.launch.recipes import check
from hrm_core.errors import UserError


class Launcher:
    """Notes what it was asked, and answers as told."""

    def __init__(self, outcome=None):
        self.asked = []
        self.outcome = outcome or Outcome(True, "")

    def __call__(self, argv):
        self.asked.append(list(argv))
        return self.outcome


async def form(app, pilot, until, experiment="EXP-00"):
    await pilot.press("n")
    await until(pilot, lambda: isinstance(app.screen, LaunchScreen) and app.screen.answer is not None)
    names = [card.name for card in app.screen.cards]
    app.screen.query_one("#experiments").move_to(names.index(experiment))
    await until(pilot, lambda: app.screen.answer.form[0] == experiment)


async def test_the_list_says_what_each_experiment_is(runs, until, shown):
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=Launcher())
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await form(app, pilot, until, "demo")
        text = shown(app)
        assert "Hypothesis:" in text and "Set-up:" in text and "optimizer.kind" in text and "→ muon" in text
        assert {"EXP-00", "EXP-10", "plateau-71", "trm"} <= {card.name for card in app.screen.cards}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("training.bach=8", "did you mean training.batch"),
        ("training.batch=none", "training.batch"),
        ("training.batch=0", "at least 1"),
        ("optimizer.kind=adma", "did you mean"),
        ("nonsense", "key=value"),
        ('training.batch="8', "close the quote"),
    ],
)
async def test_overrides_are_checked_as_they_are_typed(runs, until, shown, typed, said):
    launcher = Launcher()
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=launcher)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await form(app, pilot, until)
        await pilot.press("enter")
        app.screen.overrides.value = typed[:-1]
        await pilot.press("end", typed[-1])
        await until(pilot, lambda: app.screen.answer.form[2] == typed and said in " ".join(shown(app).split()))
        assert not app.screen.start_button.ready
        await pilot.press("f5")
        await pilot.pause()
        assert launcher.asked == []


async def test_start_gives_the_right_argv_and_opens_the_run(runs, until):
    launcher = Launcher()
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=launcher)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await form(app, pilot, until)
        app.screen.query_one("#preset").choose("cpu")
        app.screen.query_one("#overrides").value = "training.max_steps=50 training.seed=2"
        app.screen.query_one("#name").value = "my-run"
        await until(pilot, lambda: app.screen.answer.form == ("EXP-00", "cpu", "training.max_steps=50 training.seed=2"))
        runs.make("my-run", "starting", steps=0)
        await until(pilot, lambda: app.screen.problem() != "")
        assert "is there already" in app.screen.problem()
        app.screen.query_one("#name").value = "my-run-2"
        await pilot.pause()
        await pilot.press("f5")
        await until(pilot, lambda: launcher.asked and isinstance(app.screen, RunScreen))
        overrides = ["preset=cpu", "training.max_steps=50", "training.seed=2"]
        tail = ["--name", "my-run-2", "--detach", "--runs", str(runs.folder)]
        assert launcher.asked == [[sys.executable, "-m", "hrm_core.cli.main", "run", "EXP-00", *overrides, *tail]]
        assert app.screen.run_id == "my-run-2"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


async def test_without_a_name_one_is_made(runs, until):
    launcher = Launcher()
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=launcher)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await form(app, pilot, until, "demo")
        await until(pilot, lambda: app.screen.start_button.ready)
        app.screen.query_one("#start").focus()
        await pilot.press("enter")
        await until(pilot, lambda: launcher.asked)
        argv = launcher.asked[0]
        name = argv[argv.index("--name") + 1]
        assert name.startswith("demo-") and "preset=demo" in argv
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id == name)


async def test_what_the_command_says_is_shown_when_it_fails(runs, until, shown):
    launcher = Launcher(Outcome(False, "error: no space left on the disk of runs"))
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=launcher)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await form(app, pilot, until)
        await until(pilot, lambda: app.screen.start_button.ready)
        await pilot.press("f5")
        await until(pilot, lambda: "no space left on the disk of runs" in " ".join(shown(app).split()))
        assert isinstance(app.screen, LaunchScreen)


async def test_a_slow_start_does_not_hold_the_app(runs, until, shown):
    go = threading.Event()

    def launcher(argv):
        go.wait(20)
        return Outcome(False, "error: it did not")

    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=launcher)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await form(app, pilot, until)
        await until(pilot, lambda: app.screen.start_button.ready)
        await pilot.press("f5")
        await until(pilot, lambda: "starting: hrm run EXP-00" in " ".join(shown(app).split()))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        go.set()
        await until(pilot, lambda: "did not start" in shown(app))


@pytest.mark.parametrize("name", ["..", "a/b", "-x", ".hidden", "ä"])
async def test_names_that_are_not_allowed_are_refused(runs, until, name):
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=Launcher())
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await form(app, pilot, until)
        app.screen.query_one("#name").value = name
        await until(pilot, lambda: "not allowed" in app.screen.problem() and not app.screen.start_button.ready)


def test_a_word_is_completed_to_a_key_and_a_choice():
    assert completed("training.bat") == "training.batch="
    assert completed("training.seed=2 optimizer.ki") == "training.seed=2 optimizer.kind="
    assert completed("optimizer.kind=mu") == "optimizer.kind=muon"
    assert completed("nothing.like.it") is None and completed("") is None


def test_the_word_under_the_cursor_is_explained():
    assert "training.batch" in [candidate.shown for candidate in candidates("training.b")]
    assert "no setting" in helpful("nonsense", 8) and "such as" in helpful("", 0)
    assert helpful("training.batch=8", 16).startswith("training.batch: ")
    assert "EXP-00: 64" in helpful("training.batch=8 x", 16)


def test_the_control_does_not_differ_from_itself():
    checked = check("EXP-00", "plan", "")
    assert checked.problem == "" and checked.changes == ()
    key, before, after, source = check("EXP-00", "plan", "training.batch=8").changes[0]
    assert (key, before, after, source) == ("training.batch", "64", "8", "override")


def test_argv_is_a_list_and_reads_as_a_person_would_type_it(tmp_path):
    argv = run_argv("EXP-00", ("preset=cpu", "data.source=a b;c"), "n", tmp_path)
    assert "data.source=a b;c" in argv
    assert shell_line(argv) == f"hrm run EXP-00 preset=cpu 'data.source=a b;c' --name n --detach --runs {tmp_path}"
    assert resume_argv("n", tmp_path)[3:] == ["resume", "n", "--detach", "--runs", str(tmp_path)]
    assert split_overrides("a.b=1  c.d='x y'") == ("a.b=1", "c.d=x y")
    with pytest.raises(UserError, match="quote"):
        split_overrides("a='")


def test_a_child_tells_how_it_went():
    said = run_command([sys.executable, "-c", "print('fine')"])
    assert said == Outcome(True, "fine")
    said = run_command([sys.executable, "-c", r"import sys; sys.exit('error: \x1b]52;c;AAAA\x07 bad')"])
    assert not said.ok and said.text.startswith("error: ") and "\x1b" not in said.text and "\x07" not in said.text
    assert not run_command(["/no/such/program"]).ok


async def test_what_the_form_says_follows_the_focus(runs, until, shown):
    """Help while the overrides are typed, the verdict as soon as they are left: also without another key."""
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: "can start" in shown(app))
        await pilot.press("enter", *"training.seed=2")
        await until(pilot, lambda: "training.seed: " in shown(app) and "can start" not in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: "can start" in shown(app))
