"""Work that may take its time, in a thread of its own; its result comes back as a message to the app's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from textual.message import Message

from hrm_console.messages import Done, Failed
from hrm_core.errors import UserError

Result = TypeVar("Result")


def start(
    post: Callable[[Message], object], work: Callable[[], Result], then: Callable[[Result], None] | None = None
) -> None:
    """Run `work` in a thread, and post `Done` with its result, or `Failed` with what went wrong."""

    def run() -> None:
        try:
            result = work()
        except (UserError, OSError) as error:
            post(Failed(str(error)))
        except Exception as error:  # a thread that ended without a word would leave a screen waiting for ever
            post(Failed(f"{type(error).__name__}: {error}"))
        else:
            if then is not None:
                post(Done(then, result))

    threading.Thread(target=run, name="work", daemon=True).start()
