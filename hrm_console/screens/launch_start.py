"""What the launch form does: filling it in, changing a value in it, starting, queueing, extending, saving.

Functions of the screen, apart from it to keep both short. Children are run by `app.launcher` in a thread; what a form
says is checked before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from hrm_console.launching import (
    Outcome,
    extend_argv,
    queue_argv,
    run_argv,
    run_words,
    shell_line,
    split_overrides,
)
from hrm_console.screens.launch_checks import load
from hrm_console.screens.launch_save import Saved, SaveScreen
from hrm_console.screens.launch_words import Form, experiment_row
from hrm_core.errors import UserError
from hrm_core.runs.layout import check_name, new_run_id

if TYPE_CHECKING:
    from hrm_console.screens.launch import LaunchScreen
    from hrm_core.recipe.schema_info import SettingInfo

FRESH = "fresh weights"


def source_of(screen: LaunchScreen) -> str:
    """The snapshot to start from, or nothing."""
    return "" if screen.weights.value == FRESH else screen.weights.value


def begin(screen: LaunchScreen) -> None:
    """What can be shown before the experiments are read."""
    screen.set_class(bool(screen.source), "-forking")
    screen.set_class(bool(screen.extend), "-extending")
    screen.about.show([Text("reading the experiments …", style=screen.app.palette.muted)])
    if screen.source:
        run, at, _ = screen.source.partition("@")
        named = dict.fromkeys((screen.source, f"{run}@best", f"{run}@last") if at else (screen.source,))
        screen.weights.offer((FRESH, *named), screen.source)
    if screen.extend:
        screen.overrides.focus()


def tried(screen: LaunchScreen) -> str:
    """The overrides with the value that is being typed in the list of settings."""
    from hrm_console.views.launch.overrides import with_override

    line, pane = screen.overrides.value, screen.settings_list
    if pane.editing is None:
        return line
    try:
        return with_override(line, pane.editing.key, pane.value.value.strip())
    except UserError:
        return line


def words_of(screen: LaunchScreen) -> tuple[str, ...]:
    """The overrides as words; split at blanks while a quote is open."""
    try:
        return split_overrides(screen.overrides.value)
    except UserError:
        return tuple(screen.overrides.value.split())


def shell_words(screen: LaunchScreen) -> tuple[str, ...]:
    """The line that does what start would do."""
    form = screen.form()
    if form is None:
        return ("run", screen.wanted or "EXP-00")
    if screen.extend:
        return ("resume", screen.extend, *words_of(screen))
    overrides = (f"preset={form[1]}", *words_of(screen))
    return run_words(form[0], overrides, screen.name_field.value, source_of(screen))


def problem_of_name(screen: LaunchScreen) -> str:
    """What is wrong with the run's name, or nothing."""
    name = screen.name_field.value
    if not name or screen.extend:
        return ""
    try:
        check_name(name)
    except UserError as error:
        return error.message
    return f"{name} is there already; choose another name" if screen.app.line_of(name) is not None else ""


def fill(screen: LaunchScreen, infos: Sequence[SettingInfo]) -> None:
    """Show what was read, with what the screen was opened with filled in."""
    from hrm_console.views.launch.overrides import candidates, taken

    screen.settings_list.know(infos)
    list_cards(screen, screen.wanted)
    if screen.wanted and (screen.card is None or screen.card.name != screen.wanted):
        screen.app.say(f"{screen.wanted} is no experiment any more; choose what the run is to build on", bad=True)
    field = screen.overrides
    preset, line = taken(field.value, "preset")
    offer_presets(screen)
    card = screen.card
    if preset and card is not None and preset in card.presets:
        screen.preset.offer(card.presets, preset)
    run = screen.app.line_of(screen.extend)
    if screen.extend and not line and run is not None and run.max_steps:
        line = f"training.max_steps={2 * run.max_steps:.0f}"
    if line != field.value:
        field.value = line
    field.cursor_position = len(field.value)
    field.complete = candidates
    screen.changed()


def list_cards(screen: LaunchScreen, name: str) -> None:
    """Show the experiments, with the cursor on one of them."""
    screen.experiments.show([experiment_row(card, screen.app.palette) for card in screen.cards])
    at = next((at for at, card in enumerate(screen.cards) if card.name == name), None)
    if at is None:  # built-in ones come after the user's own, and the first of them is the control
        at = next((at for at, card in enumerate(screen.cards) if not card.mine), 0)
    with screen.prevent(type(screen.experiments).Moved):
        screen.experiments.move_to(at)


def offer_presets(screen: LaunchScreen) -> None:
    """The presets of the experiment under the cursor; the one chosen before stays where it can."""
    card, cycle = screen.card, screen.preset
    if card is None:
        return
    small = not screen.has_gpu and "cpu" in card.presets
    value = cycle.value if cycle.value in card.presets and not card.mine else ""
    cycle.offer(card.presets, value or (card.presets[0] if card.mine else "cpu" if small else card.presets[0]))


def show_settings(screen: LaunchScreen, shown: bool) -> None:
    """All settings in place of the experiments, or these again."""
    if screen.extend:
        screen.app.say("a run that is made longer keeps its settings; fork it to change them", bad=True)
        return
    screen.set_class(shown, "-settings")
    (screen.settings_list.choice if shown else screen.experiments).focus()
    screen.call_after_refresh(screen.draw)


def set_value(screen: LaunchScreen, key: str, value: str | None) -> None:
    """Give a setting a value in the overrides line, or the experiment's own."""
    form = screen.form()
    if form is None:
        return
    experiment, preset, _ = form
    line = screen.overrides.value

    def work() -> str:
        from hrm_console.views.launch.overrides import settled, with_override

        return with_override(line, key, None) if value is None else settled(experiment, preset, line, key, value)

    def then(changed: str) -> None:
        if screen.is_attached and screen.overrides.value == line:
            screen.overrides.value = changed
            screen.overrides.cursor_position = len(changed)

    screen.app.in_background(work, then)


def ready(screen: LaunchScreen) -> Form | None:
    """The form, if it is checked and nothing is wrong with it; else why not is said."""
    form, answer = screen.form(), screen.answer
    if screen.starting or form is None:
        return None
    if answer is None or answer.form != form or screen.problem():
        screen.app.say(screen.problem() or "still checking; press again", bad=True)
        return None
    return form


def start(screen: LaunchScreen) -> None:
    """Start the run that the form describes, or go on with the one that is made longer."""
    form = ready(screen)
    if form is None:
        return
    overrides, folder = split_overrides(form[2]), screen.app.runs_dir
    if screen.extend:
        name, argv = screen.extend, extend_argv(screen.extend, overrides, folder)
    else:
        name = screen.name_field.value or new_run_id(form[0])
        argv = run_argv(form[0], (f"preset={form[1]}", *overrides), name, folder, source_of(screen))
    screen.starting = f"starting: {shell_line(argv)}"
    screen.failure = ""
    screen.app.steering.start_run(name, argv)
    screen.draw()


def queue(screen: LaunchScreen) -> None:
    """Put the run that the form describes in the queue, and stay."""
    form = None if screen.extend else ready(screen)
    if form is None:
        return
    name = screen.name_field.value or new_run_id(form[0])
    overrides = (f"preset={form[1]}", *split_overrides(form[2]))
    argv = queue_argv(form[0], overrides, name, screen.app.runs_dir, source_of(screen))

    def then(outcome: Outcome) -> None:
        screen.app.say(f"{name} is in the queue" if outcome.ok else f"{name}: {outcome.text}", bad=not outcome.ok)
        if screen.is_attached:
            screen.failure = "" if outcome.ok else outcome.text
            if outcome.ok:
                screen.name_field.value = ""
            screen.draw()

    screen.app.in_background(lambda: screen.app.launcher(argv), then)


def save(screen: LaunchScreen) -> None:
    """Keep the form as an experiment of the user's; asks what to call it."""
    form = None if screen.extend else ready(screen)
    if form is None:
        return
    card = screen.card
    own = card.name if card is not None and card.mine else ""

    def named(saved: Saved | None) -> None:
        if saved is not None:
            screen.app.in_background(lambda: work(saved), then)

    def work(saved: Saved) -> tuple[str, str]:
        from hrm_console.views.launch.recipes import save_mine

        return saved.name, save_mine(saved.name, form, saved.title, saved.hypothesis, saved.name == own)

    def then(done: tuple[str, str]) -> None:
        name, path = done
        screen.app.say(f"saved {path}")
        if screen.is_attached:
            screen.wanted = name
            screen.overrides.value = ""
            screen.app.in_background(lambda: load(screen.post_message))

    screen.app.push_screen(SaveScreen(own), named)
