"""Checkpoints while the run goes on: taken between two steps, written by a thread, told once they have landed.

Training room: StepParts and Progress -> `checkpoints/step-00002000/`. The loop copies the state to the host and goes
on; the thread writes, syncs, renames and then removes what need not be kept. At most one save is under way. Whatever
must not meet one half-way (another save, a rollback, an archive entry, a pause, the end) waits for it with `finish`. A
disk that is full pauses the run at the next step boundary, and what was taken is written as soon as there is room.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from hrm_core.runs.snapshots import latest_good, prune, put_aside, read_meta, remove_set_aside, step_of
from hrm_core.runs.writer import RunWriter
from hrm_core.runs.written import ROWS, lacking
from hrm_core.training.checkpoint import Taken, load_progress, take_snapshot, write_snapshot
from hrm_core.training.crew import Order
from hrm_core.training.progress import Progress
from hrm_core.training.step import StepParts
from hrm_core.training.tensor_files import HostCopies
from hrm_core.training.trouble import DiskTrouble

# Folders that are not whole, each with what is wrong.
Damaged = list[tuple[Path, list[str]]]


@final
@dataclass
class Save:
    """One checkpoint under way. `left`: what could not be removed after it, in words; `landed_at`: when it was whole,
    by `time.perf_counter`."""

    step: int
    folder: Path
    taken: Taken
    keep: int
    also: Collection[int]
    error: BaseException | None = None
    left: str = ""
    landed_at: float | None = None
    thread: threading.Thread = field(init=False)

    def start(self) -> None:
        """Begins to write it, in a thread of its own."""
        self.error = None
        self.thread = threading.Thread(target=self._write, name=f"checkpoint-{self.step}")
        self.thread.start()

    def _write(self) -> None:
        try:
            write_snapshot(self.folder, self.taken)
            self.landed_at = time.perf_counter()
        except BaseException as error:
            self.error = error
            return
        try:
            prune(self.folder.parent, self.keep, self.also)
            remove_set_aside(self.folder.parent)
        except OSError as error:
            self.left = str(error)


@final
class Saver:
    """Saves one run, and takes it back to what was saved."""

    def __init__(
        self,
        writer: RunWriter,
        parts: StepParts,
        task_ids: tuple[str, ...],
        progress: Progress,
        trouble: DiskTrouble,
        say: Callable[[str], None],
    ) -> None:
        self.writer = writer
        self.parts = parts
        self.task_ids = task_ids
        self.progress = progress
        self.trouble = trouble
        self.say = say
        self._copies = HostCopies(reuse=True)
        self._save: Save | None = None

    def begin(self, also: Collection[int] = ()) -> None:
        """Takes the whole state as it is now. The newest `keep_checkpoints` stay, and those at the steps in `also`."""
        self.finish()
        rows = self.writer.sync()
        step, layout = self.progress.step, self.writer.layout
        meta = {"kind": "checkpoint", "step": step, "run_id": layout.run_id, ROWS: rows}
        # Whoever goes on from it finds it there.
        progress = {**self.progress.to_json(), "last_checkpoint_step": step}
        taken = take_snapshot(self.parts, self.task_ids, meta, progress, copies=self._copies)
        keep = self.parts.recipe.training.keep_checkpoints
        self._save = Save(step, layout.checkpoint(step), taken, keep, also)
        self._save.start()

    def look(self) -> None:
        """At a step boundary: tells of a save that has ended, and never waits for one that has not."""
        if self._save is not None and not self._save.thread.is_alive():
            self.finish()

    def finish(self) -> None:
        """Returns once no save is under way, and what became of the last one has been told."""
        troubled = False
        while (save := self._save) is not None:
            save.thread.join()
            if isinstance(save.error, OSError) and self.trouble.wait(save.error):
                troubled = True
                save.start()
                continue
            self._save = None
            self._tell(save)
            if troubled:
                self.trouble.over()

    def join(self) -> None:
        """Lets a save under way come to its end and says nothing of it: the run ends with an error."""
        if self._save is not None:
            self._save.thread.join()

    def _tell(self, save: Save) -> None:
        if isinstance(save.error, OSError):
            self.writer.event("checkpoint_failed", save.step, reason=str(save.error))
            self.say(f"step {save.step}: no checkpoint ({save.error}); the earlier one stays, the run goes on")
            return
        if save.error is not None:
            raise save.error
        self.progress.last_checkpoint_step = save.step
        self.writer.event("checkpoint", save.step)
        if save.left:
            self.say(f"step {save.step}: an older checkpoint could not be removed ({save.left})")

    def go_back(self) -> bool:
        """The state and the progress of the last good checkpoint, and no row after it; False where there is none."""
        self.finish()
        damaged: Damaged = []
        places = self.writer.layout.checkpoints
        good = latest_good(places, on_bad=lambda path, wrong: damaged.append((path, wrong)))
        tell_damaged(self.writer, self.say, damaged, good)
        if good is None:
            return False
        if self.parts.crew is not None:
            self.parts.crew.tell(Order.LOAD, {"folder": str(good.absolute())})
        stored = load_progress(good, self.parts)
        for name, value in vars(stored).items():
            setattr(self.progress, name, value)
        # In this order: a newer checkpoint says that there are rows which the cut takes away.
        put_aside(places, self.progress.step)
        self.writer.cut(self.progress.step)
        return True


def tell_damaged(writer: RunWriter, say: Callable[[str], None], damaged: Damaged, good: Path | None) -> None:
    """Says which checkpoints were passed over, and what is wrong with them."""
    instead = "no earlier one is whole" if good is None else f"{good.name} is the last good one"
    for folder, wrong in damaged:
        taken = None if good is None else good.name
        writer.event("checkpoint_damaged", step_of(folder), folder=folder.name, problems=wrong, instead=taken)
        say(f"checkpoint {folder.name} is damaged ({'; '.join(wrong)}); {instead}")


def tell_missing(writer: RunWriter, say: Callable[[str], None], good: Path | None) -> None:
    """Says which rows were there when the checkpoint was written and are not any more; call it after the cut to it."""
    if good is None:
        return
    for lack in lacking((read_meta(good) or {}).get(ROWS), writer.written.found()):
        fields = {name: value for name, value in vars(lack).items() if value is not None}
        writer.event("rows_missing", step_of(good), **fields)
        say(f"{lack.sentence}; the run goes on without them")
