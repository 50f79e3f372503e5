"""Settings of a run's course: size of a step, length, device, cadences, stopping; memory and kernels beside them.

Recipe room; free of torch. How they act: `hrm_core/training`.
"""

from __future__ import annotations

from typing import Literal, final

from hrm_core.recipe.base import Settings, setting
from hrm_core.recipe.spans import RunLength, Span, Time


@final
class TrainingConfig(Settings):
    """One step advances batch x accumulation slots by one segment each."""

    batch: int = setting(64, "Slots in a piece that passes through memory together, 1 to 16384", ge=1, le=16384)
    accumulation: int = setting(5, "Pieces in a step: batch x accumulation slots in all, 1 to 1024", ge=1, le=1024)
    max_steps: RunLength = setting(100_000, 'Length of the run: steps, or time ("20min") measured over the first 200')
    seed: int = setting(1, "Seed of every draw, 0 to 2147483647", ge=0, le=2**31 - 1)
    dtype: Literal["auto", "bf16", "fp32"] = setting(
        "auto", "auto: bf16 on CUDA and on a CPU with avx512_bf16, else fp32"
    )
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "auto: CUDA where there is one")
    threads: int | None = setting(None, "CPU threads, 1 to 1024; none: all cores but one, at least 1", ge=1, le=1024)
    log_every: int = setting(10, "Steps between rows of metrics, 1 to 100000", ge=1, le=100_000)
    checkpoint_every: Span = setting(0.02, "Steps, share of the run or time between checkpoints")
    fast_validation_every: Span = setting(0.02, "Steps, share of the run or time between fast validations")
    full_validation_every: Span = setting(0.1, "Steps, share of the run or time between full validations")
    early_stop: bool = setting(True, "Stop when full validations no longer improve")
    patience: int = setting(4, "Full validations without improvement before the run stops, 1 to 1000", ge=1, le=1000)
    time_budget: Time = setting("30h", 'The run stops after so much time ("30h"); nothing else depends on it')
    share_device: bool = setting(
        False, "Several runs may use the GPU at once; their speeds then mean little and their memory adds up"
    )
    deterministic: bool = setting(False, "Same bits on the same machine; slower; times are refused but time_budget")
    keep_checkpoints: int = setting(3, "Newest checkpoints kept, 1 to 1000", ge=1, le=1000)
    graph: Literal["auto", "off", "force"] = setting(
        "auto", "The step as CUDA graphs: auto, where possible; off, never; force, refuse to run without"
    )


@final
class MemoryConfig(Settings):
    """How much of the device's memory the run may take."""

    limit_gib: float | None = setting(
        None, "Largest memory in GiB, above 0 to 4096; none: what the device has", gt=0, le=4096
    )


@final
class KernelsConfig(Settings):
    """Triton kernels or their plain references."""

    mode: Literal["auto", "force", "off"] = setting("auto", "auto: kernels on CUDA, references elsewhere; force; off")
