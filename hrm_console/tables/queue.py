"""What keys do on the queue's screen, and in its boxes."""

from __future__ import annotations

from hrm_console.action import Action

HERE = ("queue",)

ACTIONS: tuple[Action, ...] = (
    Action("queue_open", "enter", "enter", "open_run", "open", "Open the run of the entry under the cursor.", HERE),
    Action(
        "queue_worker",
        "f",
        "f",
        "worker",
        "start/stop",
        "Start the worker, which starts what is to come; or stop it. Runs under way go on.",
        HERE,
    ),
    Action("queue_up", "K", "K", "move('up')", "up", "Move the entry up: it runs earlier.", HERE),
    Action("queue_down", "J", "J", "move('down')", "down", "Move the entry down: it runs later.", HERE),
    Action("queue_hold", "h", "h", "hold", "hold", "Hold the entry, so that it is passed over; or release it.", HERE),
    Action("queue_after", "a", "a", "after", "after", "Run it only after another entry or a run. Asks which.", HERE),
    Action(
        "queue_retry",
        "t",
        "t",
        "retry",
        "retry",
        "Let a failed, stopped or held entry run, with the code of today; its run goes on from its last checkpoint.",
        HERE,
    ),
    Action(
        "queue_retry_fresh",
        "R",
        "R",
        "retry(True)",
        "retry anew",
        "As retry, but begin another run.",
        HERE,
        footer=False,
    ),
    Action(
        "queue_accept",
        "A",
        "A",
        "accept",
        "accept code",
        "Accept the code of today for everything that waits or is held for what it pinned.",
        HERE,
        footer=False,
    ),
    Action("queue_clone", "c", "c", "clone", "clone", "Put another like it in the queue, with a change. Asks.", HERE),
    Action("queue_remove", "D", "D", "remove", "remove", "Take it out of the queue. Asks once; runs stay.", HERE),
    Action(
        "queue_clear", "X", "X", "clear", "clear", "Take everything out that is over. Runs stay.", HERE, footer=False
    ),
    Action("queue_yes", "y", "y", "yes", "remove it", "Take it out of the queue.", ("queue_remove",)),
)
