"""A console that goes through its screens for hours holds no more than after its first rounds."""

from __future__ import annotations

import gc
from collections import Counter
from operator import attrgetter
from sys import modules

import pytest
from rich.cells import cached_cell_len
from rich.color import ColorSystem
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

from hrm_console.app import ConsoleApp
from hrm_console.charts.decimate import Column
from hrm_console.collecting import REST_S, Collecting
from hrm_console.drawn import MANY, MEMORIES, forget_many
from hrm_console.rooms import ROOMS
from hrm_console.widgets.grid import parsed

WARM_UP, ROUNDS, WINDOW = 2, 11, 3
LETTERS = [entry.letter for room, entry in ROOMS.items() if entry.letter and room != "runs"]


def drawn_at(places: int) -> None:
    """Draw so many pieces of text that the mouse may select: Textual writes its place into the style of each."""
    for place in range(places):
        Strip.render_ansi(Style(color="red", meta={"offset": (place, 1)}), ColorSystem.TRUECOLOR)


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    for module, name in MEMORIES:
        attrgetter(name)(modules[module]).cache_clear()


def test_what_is_cut_is_there_and_would_grow_for_hours():
    for module, name in MEMORIES:
        assert attrgetter(name)(modules[module]).cache_info().maxsize > MANY


def test_styles_of_places_long_gone_are_let_go_and_few_are_kept():
    cached_cell_len("a text")
    drawn_at(MANY)
    assert forget_many() == ()
    drawn_at(MANY + 1)
    assert forget_many() == ("Strip.render_ansi",)
    assert Strip.render_ansi.cache_info().currsize == 0
    assert cached_cell_len.cache_info().currsize == 1


def test_a_full_round_of_the_collector_cuts_them():
    collecting = Collecting()
    collecting.typed_s -= REST_S
    gc.collect(1)  # so that there is something to look at
    drawn_at(MANY + 1)
    assert collecting.tick()
    assert Strip.render_ansi.cache_info().currsize == 0


def kinds() -> Counter[str]:
    """How many objects there are of each class of the console's and Textual's, but for those remembered."""
    gc.collect()
    for thing in gc.get_objects():
        if type(thing) is type(parsed) and (thing.__module__ or "").startswith(("hrm_", "textual.", "rich.")):
            thing.cache_clear()
    # Each curve keeps the columns of the last four windows it was shown in; new rows make new windows. Regions that are
    # to be painted again lie in a set until they are, each once: 42 to 50 of them, by when the screens were looked at.
    seen = (thing for thing in gc.get_objects() if type(thing) not in (Column, Region))
    found = Counter(f"{type(thing).__module__}.{type(thing).__qualname__}" for thing in seen)
    return Counter({name: count for name, count in found.items() if name.startswith(("hrm_", "textual."))})


@pytest.mark.slow
async def test_rounds_through_all_screens_leave_no_object_behind(runs, until):
    runs.make("ended", "finished")
    runs.make("one", steps=2000, max_steps=4000)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    seen: list[tuple[Counter[str], list[int]]] = []
    async with app.run_test(size=(140, 42)) as pilot:
        await until(pilot, lambda: app.runs)
        for turn in range(WARM_UP + ROUNDS):
            runs.writers["one"].metrics({"step": 2010 + 10 * turn, "elapsed_s": 500.0 + turn, "loss": 1.0 / (turn + 1)})
            await pilot.press("enter")
            await until(pilot, lambda: app.screen.ROOM == "run")
            await pilot.press("left", "right", "escape")
            for letter in LETTERS:
                await pilot.press("g", letter)
                await until(pilot, lambda letter=letter: ROOMS.get(getattr(app.screen, "ROOM", "")) is room_of(letter))
            await pilot.press("g", "r")
            await until(pilot, lambda: len(app.screen_stack) == 1)
            await pilot.pause(0.3)
            app.collecting.typed_s -= REST_S
            gc.collect(1)
            assert app.collecting.tick()
            sizes = [attrgetter(name)(modules[module]).cache_info().currsize for module, name in MEMORIES]
            seen.append((kinds(), sizes))
    assert all(max(sizes) <= MANY for _, sizes in seen)
    assert not growing([found for found, _ in seen[WARM_UP:]])


def growing(rounds: list[Counter[str]]) -> dict[str, list[int]]:
    """The kinds of which there is one more after each round at least, as a widget that stayed would be.

    The least of three rounds at the beginning, in the middle and at the end: what a thread or a message still holds is
    gone at one of three, and a memory that has a bound is full by the middle, or emptied later.
    """
    middle = (len(rounds) - WINDOW) // 2
    found = {}
    for name in rounds[-1]:
        least = [min(one[name] for one in rounds[at : at + WINDOW]) for at in (0, middle, 2 * middle)]
        if least[1] - least[0] >= middle - 1 <= least[2] - least[1]:
            found[name] = [one[name] for one in rounds]
    return found


def test_what_grows_is_told_from_what_is_full_or_held_for_a_moment():
    def of(*counts: int) -> list[Counter[str]]:
        return [Counter({"thing": count}) for count in counts]

    assert growing(of(*range(11))) == {"thing": list(range(11))}
    assert growing(of(0, 1, 2, 3, 9, 5, 6, 7, 8, 9, 10)), "held for a moment on the way"
    assert not growing(of(42, 42, 44, 46, 48, 49, 50, 50, 50, 45, 47)), "full, and emptied"
    assert not growing(of(42, 44, 46, 48, 50, 50, 50, 50, 50, 50, 50)), "full"
    assert not growing(of(5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 11)), "held for a moment at the end"


def room_of(letter: str) -> object:
    return next(entry for entry in ROOMS.values() if entry.letter == letter)
