"""What the launch form has done in threads: reading experiments and schema, and checking what the form describes.

Thread -> `Loaded` and `Answered`, messages to the screen. Recipes are imported here, after the first frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from textual.message import Message

from hrm_console.screens.launch_words import Answered, Form

if TYPE_CHECKING:
    from hrm_console.screens.launch import LaunchScreen
    from hrm_console.views.launch.machine import Machine
    from hrm_console.views.launch.recipes import Card
    from hrm_core.recipe.schema_info import SettingInfo


@final
@dataclass
class Loaded(Message):
    """The experiments, what is wrong with saved ones, the schema, and what this machine has."""

    cards: tuple[Card, ...]
    problems: tuple[str, ...]
    infos: tuple[SettingInfo, ...]
    machine: Machine


def load(post: Callable[[Message], object]) -> None:
    """Read what the form is made from."""
    from hrm_console.views.launch.machine import this_machine
    from hrm_console.views.launch.overrides import keys
    from hrm_console.views.launch.recipes import cards

    found, problems = cards()
    post(Loaded(found, problems, tuple(keys().values()), this_machine()))


def checker(screen: LaunchScreen, form: Form) -> Callable[[], None]:
    """The check of a form, to be called in a thread."""
    machine, lines, extend = screen.machine, screen.app.runs, screen.extend
    cursor, post = screen.overrides.cursor_position, screen.post_message

    def work() -> None:
        from hrm_console.views.launch.overrides import helpful
        from hrm_console.views.launch.predicting import measured_runs
        from hrm_console.views.launch.recipes import check, check_longer

        measured = () if machine is None else measured_runs(lines, machine)
        if extend:
            line = next((line for line in lines if line.run_id == extend), None)
            stored = None if line is None else line.run_json.get("recipe")
            checked = check_longer(stored, line.step if line else None, form[2], machine, measured)
        else:
            checked = check(*form, machine, measured)
        post(Answered(form, checked, helpful(form[2], cursor)))

    return work
