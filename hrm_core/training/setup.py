"""Builds everything that a step works on, from a recipe and a data set.

Training room: Recipe, Dataset -> StepParts. Also decides device, dtype and threads, and says why. Nothing here runs a
step or touches the run folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

from hrm_core.data.dataset import Dataset
from hrm_core.errors import UserError
from hrm_core.learning.averaging import Average
from hrm_core.learning.flat import FlatParameters
from hrm_core.learning.lanes import WHOLE, build_lanes
from hrm_core.learning.optimizers import TrunkOptimizer
from hrm_core.learning.rows import RowsOptimizer
from hrm_core.model.copies import WeightCopies
from hrm_core.model.hrm import HRM
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.training import TrainingConfig
from hrm_core.runs.locks import FileLock, device_lock
from hrm_core.runs.world import ALONE, World
from hrm_core.techniques.compose import compose_techniques
from hrm_core.techniques.points import Bench
from hrm_core.techniques.timeline import Timeline
from hrm_core.training.crew import Crew
from hrm_core.training.memory import enforce
from hrm_core.training.step import PieceLimit, Scalars, StepParts, Sum
from triton_kernels.runtime import set_mode


@final
@dataclass(frozen=True)
class Device:
    """Where and how a run computes; `notes` are sentences for the log."""

    device: torch.device
    dtype: torch.dtype
    threads: int
    notes: tuple[str, ...]


def cpu_name() -> str:
    """The processor's name, as /proc/cpuinfo has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "CPU"
    found: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    model = f"family {found.get('cpu family')} model {found.get('model')}" if "cpu family" in found else ""
    return f"{found.get('model name', 'CPU')} ({model})" if model else found.get("model name", "CPU")


def choose_device(config: TrainingConfig, world: World = ALONE) -> Device:
    """Device, compute dtype and CPU threads of a run, or of one rank of it: its GPU, its share of the cores.

    UserError where CUDA is asked for and not there, or has fewer GPUs than the machine is to have ranks.
    """
    notes: list[str] = []
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "training.device=cuda: no CUDA device can be reached.\nUse training.device=auto or see `hrm doctor`.", 1
        )
    cuda = config.device != "cpu" and torch.cuda.is_available()
    if cuda and world.size > 1:
        found = torch.cuda.device_count()
        if world.here > found:
            raise UserError(f"--gpus {world.here}: this machine has {found}; give at most that many.", 1)
        torch.cuda.set_device(world.local)
    fast_bf16 = cuda or torch.cpu._is_avx512_bf16_supported()
    if config.dtype == "auto":
        dtype = torch.bfloat16 if fast_bf16 else torch.float32
        if not fast_bf16:
            notes.append("dtype fp32: this CPU has no avx512_bf16, on which bf16 would be slower")
    else:
        dtype = torch.bfloat16 if config.dtype == "bf16" else torch.float32
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = config.threads or max(1, (cores - 1) // world.here)
    name = torch.cuda.get_device_name() if cuda else f"CPU, {threads} of {cores} cores"
    notes.append(f"device {name}, {str(dtype).removeprefix('torch.')}")
    return Device(torch.device("cuda" if cuda else "cpu"), dtype, threads, tuple(notes))


def gpu_lock(parts: StepParts) -> FileLock | None:
    """The lock of the GPU that these parts are on; None on a CPU, or where the recipe shares it."""
    if parts.model.device.type != "cuda" or parts.recipe.training.share_device:
        return None
    # By its UUID: numbers count from 0 in every process that sees only some of the GPUs.
    return device_lock(f"GPU-{torch.cuda.get_device_properties(parts.model.device).uuid}")


def check_graphs(config: TrainingConfig, device: torch.device) -> None:
    """UserError where `training.graph=force` meets a device without graphs."""
    if config.graph == "force" and device.type != "cuda":
        raise UserError(
            "training.graph=force: CUDA graphs need an NVIDIA GPU, and this run would compute on the CPU.\n"
            "Use training.graph=auto.",
            1,
        )


def apply_device(chosen: Device, deterministic: bool) -> None:
    """Process-wide settings: threads, and torch's deterministic algorithms where asked for."""
    torch.set_num_threads(chosen.threads)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)


def build_parts(
    recipe: Recipe,
    dataset: Dataset,
    chosen: Device,
    first_weights: Callable[[HRM], None] | None = None,
    crew: Crew | None = None,
) -> StepParts:
    """Model, lanes, optimizers and averages at step 0; sets which kernels this process runs.

    `first_weights` may put other weights into the model before anything (the averages, say) takes them over.
    With a `crew` the lanes have this process's slots alone. UserError, before anything is allocated, where a step will
    not fit into memory.
    """
    check_graphs(recipe.training, chosen.device)
    set_mode(recipe.kernels.mode)
    enforce(recipe, dataset, chosen, ALONE if crew is None else crew.world)
    return assemble_parts(recipe, dataset, chosen, first_weights, crew)


def assemble_parts(
    recipe: Recipe,
    dataset: Dataset,
    chosen: Device,
    first_weights: Callable[[HRM], None] | None = None,
    crew: Crew | None = None,
) -> StepParts:
    """`build_parts` without asking whether a step will run and fit: for parts that only hold a state."""
    model = HRM(recipe, len(dataset.tasks.ids), chosen.dtype, chosen.device)
    if first_weights is not None:
        first_weights(model)
    train = {side: pairs.to(chosen.device) for side, pairs in dataset.train.items()}
    share = WHOLE if crew is None else crew.share
    lanes = build_lanes(train, recipe, chosen.dtype, share)
    if not lanes:
        raise UserError("data: no training pair fits the canvases of this recipe.\nSee `hrm data info`.", 1)
    flat = FlatParameters(model)
    trunk = TrunkOptimizer(recipe.optimizer, flat)
    bench = Bench(recipe, model, lanes, flat, trunk, dataset, Timeline(), share)
    return StepParts(
        recipe=recipe,
        model=model,
        lanes=lanes,
        flat=flat,
        trunk=trunk,
        rows=RowsOptimizer(recipe.rows, model.rows.table),
        average=Average(recipe.averaging, flat.values, model.rows.table),
        scalars=Scalars(chosen.device),
        sums=torch.zeros(len(Sum), dtype=torch.float64, device=chosen.device),
        num_slots=sum(lane.num_slots for lane in lanes),
        copies=None if chosen.dtype == torch.float32 else WeightCopies(model, chosen.dtype),
        techniques=compose_techniques(bench),
        limit=PieceLimit(recipe.training.batch),
        crew=crew,
    )


def tensors_of(parts: StepParts) -> dict[str, torch.Tensor]:
    """Every tensor of a run's state by a flat name; all are changed in place, so that loading is copying."""
    named: dict[str, torch.Tensor] = {"trunk": parts.flat.values, "rows": parts.model.rows.table, "sums": parts.sums}
    for prefix, state in (
        ("trunk_optimizer", parts.trunk.state()),
        ("rows_optimizer", parts.rows.state()),
        ("average", parts.average.state()),
    ):
        named.update({f"{prefix}.{name}": value for name, value in state.items()})
    named.update({f"techniques.{name}": value for name, value in parts.techniques.tensors().items()})
    for lane in parts.lanes:
        named.update({f"lane_{lane.side}.{name}": value for name, value in lane.buffers.items()})
    return named


def part_of(parts: StepParts, stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A whole state as this process has it: of every lane its own slots, on other ranks no sums of the first."""
    if parts.crew is None:
        return stored
    found = dict(stored)
    for lane in parts.lanes:
        for name in lane.buffers:
            whole = found.get(key := f"lane_{lane.side}.{name}")
            if whole is not None and whole.dim() and whole.shape[0] == lane.num_slots:
                found[key] = whole[lane.mine.start : lane.mine.stop]
    return found


def clear_sums(parts: StepParts) -> None:
    """What has been counted so far is rank 0's; another begins to count."""
    if parts.crew is not None and not parts.crew.leads:
        for sums in (parts.sums, *parts.techniques.summed()):
            sums.zero_()
