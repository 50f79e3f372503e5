"""What the `hrm bench` commands share: the checkout's pages, a line of progress, the words of a recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from hrm_core.errors import UserError


def checkout() -> Path:
    """The folder of the checkout. UserError where the package is installed without one."""
    from hrm_core.benchmarks.checks import CHECKOUT

    if not (CHECKOUT / "tests/kernels").is_dir():
        raise UserError(
            f"{CHECKOUT} is not a checkout: the tests and pages are not installed; run this in the source", 1
        )
    return CHECKOUT


def add_to_page(name: str, page: Callable[[str | None], str]) -> None:
    """Writes docs/benchmarks/NAME in the checkout anew: `page` of what is there, None where there is nothing yet."""
    from hrm_core.runs.atomic import write_bytes

    path = checkout() / "docs/benchmarks" / name
    earlier = path.read_text(encoding="utf-8") if path.is_file() else None
    write_bytes(path, page(earlier).encode())
    say(f"written: {path}")


def say(text: str) -> None:
    """A line of progress on stderr."""
    from hrm_core.cli.options import clean

    click.echo(clean(text), err=True)


def recipe_words(words: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
    """An experiment and its overrides; EXP-00 where only overrides are given, `default` where nothing is."""
    words = words or default
    return words if "=" not in words[0] else ("EXP-00", *words)
