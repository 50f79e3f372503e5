"""The archive screen against archives of the real writer: what it lists, what its page says, what its keys do."""

from __future__ import annotations

import os
import shutil

import pytest
from made_archive import evaluation_of, make_archived, make_snapshot

from hrm_console.app import ConsoleApp
from hrm_console.asking import Answer
from hrm_console.screens.archive import ArchiveScreen
from hrm_console.screens.archive_ask import AskScreen
from hrm_console.screens.archive_prune import PruneScreen
from hrm_console.screens.run import RunScreen
from hrm_console.screens.runs import RunsScreen
from hrm_core.runs.archive_changes import promote
from hrm_core.runs.snapshots import verify_folder
from hrm_core.runs.user_settings import SETTINGS, UserSettings


def settings(**changed):
    return UserSettings({setting.key: setting.default for setting in SETTINGS} | changed)


@pytest.fixture
def archived(runs):
    """one@10 and one@20, two@30 that began from one@20."""
    make_archived(runs.folder, "one", {10: 0.1, 20: 0.3}, overrides=("optimizer.lr=0.01",))
    make_archived(runs.folder, "two", {30: 0.2}, begun=5, parent={"run": "one", "step": 20, "digest": ""})
    return runs.folder


def app_of(folder, **more):
    return ConsoleApp(folder, tick_s=0.05, settings=settings(), **more)


def rows(app):
    return [row.plain.split()[0] for row in app.screen.entries.rows]


def page(app):
    return "\n".join(row.plain for row in app.screen.pane.rows)


async def opened(app, pilot, until, count=3):
    app.go("archive")
    await until(pilot, lambda: isinstance(app.screen, ArchiveScreen) and len(rows(app)) == count)
    await until(pilot, lambda: app.screen.reading.details is not None or not count)


async def test_a_under_g_opens_it_and_escape_leaves_it(archived, until):
    app = app_of(archived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.runs)
        await pilot.press("g", "a")
        await until(pilot, lambda: isinstance(app.screen, ArchiveScreen) and rows(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_each_metric_stands_beside_its_trivial_value(archived, until, shown, size):
    app = app_of(archived)
    async with app.run_test(size=size, notifications=True) as pilot:
        await opened(app, pilot, until)
        assert rows(app) == ["one@20", "two@30", "one@10"]
        first = app.screen.entries.rows[0].plain.split()
        assert first[1:4] == ["30.0", "0.9", "+29.1"]
        assert "best" in first
        assert "3 bests of 2 runs, by exact" in shown(app)


async def test_o_goes_through_the_metrics_loss_time_and_size(archived, until, shown):
    app = app_of(archived)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(app, pilot, until)
        seen = []
        for _ in range(5):
            await pilot.press("o")
            await pilot.pause()
            seen.append((app.screen.view.by, rows(app)[0]))
        assert seen == [
            ("cell_accuracy", "one@20"), ("loss", "one@20"), ("newest", "two@30"), ("size", seen[3][1]),
            ("exact", "one@20"),
        ]  # fmt: skip
        await pilot.press("O")
        await pilot.pause()
        assert app.screen.view.by == "size"
        assert app.session.views["archive"]["by"] == "size"


async def test_b_shows_one_of_each_run(archived, until, shown):
    app = app_of(archived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until)
        await pilot.press("b")
        await until(pilot, lambda: rows(app) == ["one@20", "two@30"])
        assert "one a run" in shown(app)
        assert app.screen.shell_words() == ("archive", "list", "--by", "exact", "--best")


async def test_a_filter_and_no_hit(archived, until, shown):
    app = app_of(archived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until)
        await pilot.press("slash", *"one -best")
        await until(pilot, lambda: rows(app) == ["one@10"])
        await pilot.press("enter")
        assert app.screen.entries.has_focus
        await pilot.press("slash", *" zzz")
        await until(pilot, lambda: "Nothing fits the filter" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: len(rows(app)) == 3)
        assert isinstance(app.screen, ArchiveScreen)


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_enter_opens_the_page_and_checks_every_byte(archived, until, size):
    app = app_of(archived)
    async with app.run_test(size=size, notifications=True) as pilot:
        await opened(app, pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: "every byte is as it was written" in page(app))
        text = page(app)
        for words in (
            "EXP-00, preset demo, seed", "full validation, val, 69 tests", "30.0      0.9  +29.1", "sha256",
            "difference from EXP-00, preset demo", "optimizer.lr", "17 of 1k", "one@20  this one",
            "two  EXP-00, from step 20", "full validation, new best",
        ):  # fmt: skip
            assert words in text, words
        assert app.screen.shell_words() == ("archive", "show", "one@20")
        await pilot.press("escape")
        await until(pilot, lambda: not app.screen.has_class("-opened"))


async def test_a_damaged_one_says_what_is_wrong(archived, until):
    (archived / "one" / "archive" / "best-00000020" / "weights.safetensors").write_bytes(b"x")
    app = app_of(archived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until)
        await pilot.press("enter")
        await until(pilot, lambda: "✗ weights.safetensors has 1 bytes instead of 1000" in page(app))


async def test_p_pins_and_takes_the_pin_away(archived, until):
    app = app_of(archived)
    pin = archived / "one" / "archive" / "best-00000020.pinned"
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(app, pilot, until)
        await pilot.press("p")
        await until(pilot, lambda: "pinned" in app.screen.entries.rows[0].plain)
        assert pin.is_file()
        await pilot.press("p")
        await until(pilot, lambda: "pinned" not in app.screen.entries.rows[0].plain)
        assert not pin.exists()


async def test_promote_asks_for_a_name_and_refuses_those_that_are_taken(archived, until, shown):
    app = app_of(archived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: len(app.runs) == 2)
        await opened(app, pilot, until)
        await pilot.press("P")
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        await pilot.press(*"two", "enter")
        await until(pilot, lambda: "There is a run two." in shown(app))
        assert isinstance(app.screen, AskScreen)
        await pilot.press("x", "slash")
        await until(pilot, lambda: "not allowed for a snapshot" in shown(app))
        await pilot.press("backspace", "enter")
        await until(pilot, lambda: isinstance(app.screen, ArchiveScreen) and app.screen.entry.promoted == ("twox",))
        assert verify_folder(archived / "promoted" / "twox") == []
        await pilot.press("P", *"other", "escape")
        await until(pilot, lambda: isinstance(app.screen, ArchiveScreen))
        assert os.listdir(archived / "promoted") == ["twox"]


async def test_prune_shows_what_goes_for_a_budget_and_asks(archived, until, shown):
    app = app_of(archived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, PruneScreen) and "Nothing needs to go." in shown(app))
        await pilot.press("ctrl+y")
        assert isinstance(app.screen, PruneScreen)
        await pilot.press("backspace", "backspace", "z")
        await until(pilot, lambda: "Write a number of GiB" in shown(app))
        await pilot.press("backspace", "0")
        await until(pilot, lambda: "1 go, which frees" in shown(app) and "one@10" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ArchiveScreen))
        assert len(rows(app)) == 3
        await pilot.press("x", "backspace", "backspace", "0", "ctrl+y")
        await until(pilot, lambda: rows(app) == ["one@20", "two@30"])
        assert not (archived / "one" / "archive" / "best-00000010").exists()
        await until(pilot, lambda: "1 removed" in shown(app))


async def test_export_asks_where_and_says_where_it_is(archived, until, shown, tmp_path):
    app = ConsoleApp(archived, tick_s=0.05, settings=settings(**{"console.exports": str(tmp_path / "out")}))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(app, pilot, until)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        assert app.screen.field.value == str(tmp_path / "out" / "one-20")
        await pilot.press("enter")
        await until(pilot, lambda: any(note.message.startswith("exported to") for note in app._notifications))
        assert verify_folder(tmp_path / "out" / "one-20") == []
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        await pilot.press("enter")
        await until(pilot, lambda: any("choose another" in note.message for note in app._notifications))


async def test_evaluate_again_asks_hrm_and_shows_the_answer_beside_what_was(archived, until, shown):
    asked = []

    def asker(words):
        asked.append(tuple(words))
        return Answer(True, evaluation_of(20, 0.25, 0), "")

    app = app_of(archived, asker=asker)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await opened(app, pilot, until)
        await pilot.press("v")
        await until(pilot, lambda: "evaluated again on val" in page(app) and "then" in page(app))
        assert asked == [("eval", str(archived / "one" / "archive" / "best-00000020"), "--split", "val")]
        line = next(
            line for line in page(app).split("evaluated again")[1].splitlines() if line.split()[:1] == ["exact"]
        )
        assert line.split() == ["exact", "25.0", "0.9", "+24.1", "30.0"]


async def test_an_evaluation_that_fails_says_why(archived, until, shown):
    app = app_of(archived, asker=lambda words: Answer(False, None, "no data \x1b]0;x\x07 here"))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until)
        await pilot.press("enter", "v")
        await until(pilot, lambda: "no data" in page(app))
        assert "\x1b" not in page(app)


async def test_r_opens_its_run_and_u_its_puzzles(archived, until, shown):
    app = app_of(archived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: len(app.runs) == 2)
        await opened(app, pilot, until)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id == "one")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ArchiveScreen))
        await pilot.press("u")
        await until(pilot, lambda: getattr(app.screen, "ROOM", "") == "puzzles")


async def test_fork_opens_the_launch_form(archived, until):
    app = app_of(archived)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: len(app.runs) == 2)
        await opened(app, pilot, until)
        await pilot.press("F")
        await until(pilot, lambda: getattr(app.screen, "ROOM", "") == "launch")
        assert app.screen.source == "one@20"
        assert app.screen.wanted == "EXP-00"


async def test_other_screens_are_told_the_run_the_step_and_the_settings(archived, until, monkeypatch):
    app, told = app_of(archived), []
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: len(app.runs) == 2)
        await opened(app, pilot, until)
        monkeypatch.setattr(app, "go", lambda *words: told.append(words))
        await pilot.press("u", "n")
        await until(pilot, lambda: len(told) == 2)
    assert told == [("puzzles", "one", 20), ("launch", "EXP-00", "preset=demo", "one@20")]


async def test_a_promoted_one_outlives_its_run(archived, until, shown):
    promote(archived, archived / "one" / "archive" / "best-00000010", "champion")
    shutil.rmtree(archived / "one")
    app = app_of(archived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until, count=2)
        assert rows(app) == ["two@30", "champion"]
        await pilot.press("down", "p")
        await until(pilot, lambda: "nothing to pin" in shown(app))
        await pilot.press("r")
        await until(pilot, lambda: "not in the folder any more" in shown(app))


async def test_empty_and_unreadable_archives_say_so(runs, until, shown, monkeypatch):
    app = app_of(runs.folder)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        app.go("archive")
        await until(pilot, lambda: "Nothing is archived yet." in shown(app))
        for key in ("p", "P", "e", "v", "F", "r", "u", "x", "o", "b", "enter"):
            await pilot.press(key)
        await pilot.press("escape")

        def broken():
            raise PermissionError("no")

        monkeypatch.setattr(app.screen.reading.archive, "read", broken)
        app.screen.reading.read()
        await until(pilot, lambda: "Cannot read" in shown(app))


async def test_a_new_best_appears_and_the_cursor_stays(archived, until):
    app = app_of(archived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until)
        await pilot.press("down")
        await pilot.pause()
        layout_best = archived / "one" / "archive" / "best-00000040"
        make_snapshot(layout_best, "one", 40, evaluation_of(40, 0.9, 30), "x")
        app.screen.reading.read()
        await until(pilot, lambda: rows(app) == ["one@40", "one@20", "two@30", "one@10"])
        assert app.screen.entry.name == "two@30"
        assert app.screen.entries.cursor == 2


async def test_what_vanishes_or_breaks_while_shown_does_no_harm(archived, until, shown):
    app = app_of(archived)
    async with app.run_test(size=(40, 10), notifications=True) as pilot:
        await opened(app, pilot, until)
        shutil.rmtree(archived / "one")
        await pilot.press("enter")
        await pilot.press("P", *"x1", "enter")
        await pilot.press("e", "enter", "v", "p")
        app.screen.reading.read()
        await until(pilot, lambda: rows(app) == ["two@30"])
        (archived / "two" / "archive" / "best-00000030" / "meta.json").write_bytes(b"\xff{")
        (archived / "two" / "archive" / "best-00000030" / "evaluation.json").write_bytes(b"[1")
        os.utime(archived / "two" / "archive" / "best-00000030", (1, 1))
        app.screen.reading.read()
        await until(pilot, lambda: app.screen.entry is not None and app.screen.entry.damaged)
        assert app.is_running


async def test_keys_that_come_faster_than_messages_mean_the_entry_under_the_cursor(archived, until):
    """The cursor moves at once, and says so in a message: neither a key nor a drawing may wait for that."""
    app = app_of(archived)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(app, pilot, until)
        screen = app.screen
        screen.entries.move_to(1)
        screen.action_pin()
        screen.entries.move_to(2)
        screen.show_list()
        assert screen.entries.cursor == 2 and screen.entry.name == "one@10"
        await until(pilot, (archived / "two" / "archive" / "best-00000030.pinned").is_file)
        await until(pilot, lambda: screen.reading.details.entry.name == "one@10")
        assert not list((archived / "one" / "archive").glob("*.pinned"))
