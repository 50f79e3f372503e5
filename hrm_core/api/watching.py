"""How whoever calls the API hears of its work, and how errors of the disk become the one kind that users see.

API room: a `Watch` takes a label and a number of units, and gives a function that is told of units done, as
`hrm_core.cli.options.progress` does. What is drawn is the caller's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hrm_core.data.build import Progress

Advance = Callable[[int], None]
Watch = Callable[[str, int], AbstractContextManager[Advance]]


def _ignore(amount: int) -> None:
    """Takes progress while nobody looks."""


@contextmanager
def silent(label: str, total: int) -> Iterator[Advance]:
    """Shows nothing."""
    yield _ignore


@contextmanager
def building(watch: Watch) -> Iterator[Progress]:
    """What `hrm_core.data.build` reports its work to: one watched piece of work after another."""
    with ExitStack() as stack:
        current: str | None = None
        reached = 0
        advance: Advance = _ignore

        def notify(what: str, done: int, of: int) -> None:
            nonlocal current, reached, advance
            if what != current:
                stack.close()
                current, reached = what, 0
                advance = stack.enter_context(watch(what, of))
            advance(done - reached)
            reached = done

        yield notify


@contextmanager
def disk_told() -> Iterator[None]:
    """Inside, and around a function that it decorates, an OSError becomes a UserError (1) with path and remedy."""
    try:
        yield
    except BrokenPipeError:  # whoever read what we print went away: no fault of a file
        raise
    except OSError as error:
        from hrm_core.runs.atomic import explain_os_error

        raise explain_os_error(error) from error
