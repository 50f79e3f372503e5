"""Options of the commands that work with a snapshot's model: which weights it has, and test-time training.

Command-line room. Imports only click, so that `hrm --help` stays fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

weights_option = click.option(
    "--weights", type=click.Choice(["evaluation", "raw"]), default="evaluation", show_default=True
)

_ADAPTING = (
    click.option(
        "--adapt",
        type=click.IntRange(1, 100_000),
        metavar="STEPS",
        help="Train on each task's demonstrations first.",
    ),
    click.option(
        "--adapt-what",
        type=click.Choice(["rows", "all"]),
        default="all",
        show_default=True,
        help="The task's row, or all.",
    ),
    click.option(
        "--adapt-rate",
        type=click.FloatRange(0, 10, min_open=True),
        default=0.5,
        show_default=True,
        help="Highest learning rate over the recipe's; it falls linearly to 0.",
    ),
)


def adapting_options(command: Command) -> Command:
    """Test-time training: `adapt`, `adapt_what` and `adapt_rate`, in this order."""
    for option in reversed(_ADAPTING):
        command = option(command)
    return command
