"""A rank that follows: it trains its slots as rank 0 says, and writes nothing.

Training room: orders (`crew.py`) -> steps. Started by torchrun with the command that rank 0 has, or by rank 0 itself
(`python -m hrm_core.training.follower`, its rank in the environment). It ends when it is told to, or when rank 0 is
gone. Signals are rank 0's affair: it saves and tells the others to end.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, final

from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]

from hrm_core.data.dataset import load_dataset
from hrm_core.errors import UserError
from hrm_core.model.hrm import HRM
from hrm_core.recipe.toml_io import from_toml
from hrm_core.runs.text import clean
from hrm_core.runs.world import World, world_of
from hrm_core.techniques.points import Event
from hrm_core.training.checkpoint import load_state
from hrm_core.training.crew import Crew, Order
from hrm_core.training.graphs import make_step
from hrm_core.training.setup import apply_device, build_parts, choose_device, gpu_lock
from hrm_core.training.shared_validation import take_pieces
from hrm_core.training.start_from import read_source, start_from
from hrm_core.training.step import OF_SLOTS, StepParts

OWN = "HRM_CREW"  # set by rank 0 for those that it starts; their input ends when it is gone
MEETING = timedelta(minutes=10)


def silent(line: str) -> None:
    """What rank 0 says in the log once is not said again."""


@final
class Follower:
    """One rank's part of a run."""

    def __init__(self, crew: Crew, parts: StepParts) -> None:
        self.crew = crew
        self.parts = parts
        self.noise = 1.0
        self.step = make_step(parts, silent)

    def run(self) -> None:
        """Does what it is told until that is to end."""
        while True:
            order, content = self.crew.hear()
            if order == Order.END:
                return
            if order == Order.STEP:
                self._step(content)
            elif order == Order.VALIDATED:
                self.parts.techniques.validated(content)
            elif order == Order.VALIDATE:
                take_pieces(self.crew, self.parts)
            elif order == Order.SAVE:
                self.crew.reduce(self.parts, OF_SLOTS)
                self.crew.gather(self.parts.lanes)
            elif order == Order.LOAD:
                load_state(Path(content["folder"]), self.parts)
                self.step = make_step(self.parts, silent)

    def _step(self, content: Mapping[str, Any]) -> None:
        parts, techniques = self.parts, self.parts.techniques
        if content["noise"] != self.noise:
            self.noise = content["noise"]
            techniques.quieten(self.noise)
        techniques.timeline.elapsed_s = content["elapsed_s"]
        techniques.timeline.set(content["max_steps"], content["seconds_per_step"])
        self._heed(techniques.before_step(content["step"]))
        lr, schedule, log_due = self.crew.scalars()
        parts.scalars.lr.fill_(lr)
        parts.scalars.schedule.fill_(schedule)
        self.step()
        if log_due:
            self.crew.reduce(parts, OF_SLOTS)
            self._row()
        self._heed(techniques.after_step(content["step"] + 1))

    def _row(self) -> None:
        order, content = self.crew.hear()
        assert order == Order.ROW, order
        self._heed(self.parts.techniques.row(content))

    def _heed(self, events: list[Event]) -> None:
        if any(event.recapture for event in events):
            self.step = make_step(self.parts, silent)


def take_part(crew: Crew, job: Mapping[str, Any]) -> None:
    """Builds what rank 0 has built, from the same files, and follows. UserError where they are not the same here."""
    recipe = from_toml(job["recipe"])
    chosen = choose_device(recipe.training, crew.world)
    dataset = load_dataset(Path(job["data"]), recipe.data, input=recipe.input)
    if dataset.digest != job["digest"]:
        raise UserError(f"{clean(job['data'])} is not the same file for rank {crew.world.rank} as for rank 0.", 1)
    apply_device(chosen, recipe.training.deterministic)
    source = None if job["snapshot"] is None else read_source(Path(job["snapshot"]))

    def first(model: HRM) -> None:
        if source is not None:
            start_from(source, model, dataset.tasks.ids)

    parts = build_parts(recipe, dataset, chosen, first, crew)
    if parts.limit is not None and job["pieces"] is not None:
        parts.limit.slots = min(parts.limit.slots, job["pieces"])
    if job["checkpoint"] is not None:
        load_state(Path(job["checkpoint"]), parts)
    with gpu_lock(parts) or nullcontext():
        crew.use(chosen.device)
        Follower(crew, parts).run()


def follow(world: World, store: Store | None = None) -> None:
    """Takes part in a run as a rank other than 0. UserError (1) where rank 0 is gone or what it needs is not here."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    crew = Crew(world)
    try:
        crew.join(store)
        order, job = crew.hear()
        if order == Order.BEGIN:
            take_part(crew, job)
    finally:
        crew.leave()


def _end_with_input() -> None:
    while os.read(0, 1024):  # not by `sys.stdin`, whose lock a process that ends would wait for
        pass
    os._exit(1)


def main() -> None:
    """Follows the process that started this one."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    world = world_of(os.environ)
    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(address, port, world.size, False, timeout=MEETING)
        store.set(f"here-{world.rank}", "1")
        follow(world, store)
    except UserError as error:
        sys.stderr.write(f"rank {world.rank}: {clean(error.message)}\n")
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    main()
