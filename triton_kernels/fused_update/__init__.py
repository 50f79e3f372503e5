"""The update in as few passes as possible: norm and clip of the gradients, one step of the flat buffers, rows by sign.

Public functions. (N,) fp32 buffers and an (R + 1, D) fp32 table, all changed in place; what varies from step to step
is a 0-d tensor, so nothing is asked of the device. Formulas and sources: `reference.py`; kernels: `kernel.py`.
Muon's matrices, Adam's rows and schedules are not here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.fused_update import autograd, reference
from triton_kernels.fused_update.reference import (
    AVERAGES,
    KINDS,
    Averaging,
    Buffers,
    Controls,
    Measure,
    Noise,
    Rule,
)

__all__ = [
    "Averaging",
    "Buffers",
    "Controls",
    "Measure",
    "Noise",
    "Rule",
    "fused_update",
    "measure_gradients",
    "rows_sign_update",
]

OP = "fused_update"
# Positions are hashed as 32-bit words.
MOST_NUMBERS = 1 << 32


def _problem(tensors: list[Tensor]) -> str | None:
    """Why the kernels cannot take these, or None."""
    if any(tensor.dtype != torch.float32 for tensor in tensors):
        return f"dtype {next(t.dtype for t in tensors if t.dtype != torch.float32)}, kernels take torch.float32"
    if any(not tensor.is_contiguous() for tensor in tensors):
        return "a tensor is not contiguous"
    return None if tensors[0].numel() else "there are no numbers"


def _check_scalars(function: str, device: torch.device, **scalars: Tensor) -> None:
    for name, value in scalars.items():
        if value.dim() != 0 or value.device != device:
            raise ValueError(
                f"{function}: {name} has shape {tuple(value.shape)} on {value.device}; needs a 0-d tensor on {device}"
            )


def measure_gradients(gradients: Tensor, clip: float | None) -> Measure:
    """Norm of (N,) gradients, whether it is finite, and the factor that clips them to `clip` (None: no clip)."""
    if gradients.dim() != 1:
        raise ValueError(f"measure_gradients: gradients have shape {tuple(gradients.shape)}; needs (N,)")
    if clip is not None and not clip > 0.0:
        raise ValueError(f"measure_gradients: clip is {clip}; needs a number above 0, or None")
    if not runtime.choose(OP, gradients, {}, _problem([gradients])).kernel:
        return reference.measure(gradients, clip)
    found = autograd.measure_op(gradients, clip)
    return Measure(found[0], found[1], found[2])


def _check_update(buffers: Buffers, rule: Rule, average: Averaging | None, copy: Tensor | None) -> None:
    values = buffers.values
    if values.dim() != 1 or values.numel() >= MOST_NUMBERS:
        raise ValueError(f"fused_update: values have shape {tuple(values.shape)}; needs (N,), N below {MOST_NUMBERS}")
    if rule.kind not in KINDS:
        raise ValueError(f"fused_update: rule.kind is {rule.kind!r}; allowed are {', '.join(KINDS)}")
    if any(not 0.0 <= beta < 1.0 for beta in rule.betas):
        raise ValueError(f"fused_update: rule.betas are {rule.betas}; each is at least 0 and below 1")
    if average is not None and average.kind not in AVERAGES:
        raise ValueError(f"fused_update: average.kind is {average.kind!r}; allowed are {', '.join(AVERAGES)}")
    alike = {"gradients": buffers.gradients, "first": buffers.first}
    if rule.kind != "lion":
        alike["second"] = buffers.second
    if average is not None:
        alike["average"] = average.values
    if copy is not None:
        alike["copy"] = copy
    for name, tensor in alike.items():
        if tensor.shape != values.shape or tensor.device != values.device:
            raise ValueError(
                f"fused_update: {name} has shape {tuple(tensor.shape)} on {tensor.device}; needs that of values, "
                f"{tuple(values.shape)} on {values.device}"
            )
        if name != "copy" and tensor.dtype != values.dtype:
            raise ValueError(f"fused_update: {name} is {tensor.dtype}; needs that of values, {values.dtype}")


def fused_update(
    buffers: Buffers,
    controls: Controls,
    rule: Rule,
    *,
    noise: Noise | None = None,
    average: Averaging | None = None,
    copy: Tensor | None = None,
    clear: bool = False,
) -> None:
    """One step of (N,) values in place: clip and noise, moments, values, average, `copy` in its own dtype.

    controls.keep 0: values, moments and average stay as they are. clear: the gradients are 0 afterwards, always.
    """
    _check_update(buffers, rule, average, copy)
    scalars = {f"controls.{name}": value for name, value in zip(controls._fields, controls, strict=True)}
    if noise is not None:
        scalars["noise.sigma"] = noise.sigma
    if average is not None:
        scalars.update({"average.steps": average.steps, "average.decay": average.decay, "average.taken": average.taken})
    _check_scalars("fused_update", buffers.values.device, **scalars)
    taking_part = [tensor for tensor in buffers if tensor.numel()] or [buffers.values]
    problem = _problem([*taking_part, *([] if average is None else [average.values]), *scalars.values()])
    if copy is not None and not (copy.is_contiguous() and copy.dtype in (torch.bfloat16, torch.float16, torch.float32)):
        problem = problem or f"copy is {copy.dtype}, or not contiguous"
    if not runtime.choose(OP, buffers.values, {}, problem).kernel:
        reference.update(buffers, controls, rule, noise=noise, average=average, copy=copy, clear=clear)
        return
    autograd.step_op(
        *buffers,
        average.values if average else None,
        copy,
        *controls,
        noise.sigma if noise else None,
        average.steps if average else None,
        average.decay if average else None,
        average.taken if average else None,
        noise.seed if noise else 0,
        rule.kind,
        *rule.betas,
        rule.weight_decay,
        average.kind if average else "",
        clear,
    )


def rows_sign_update(
    table: Tensor,
    index: Tensor,
    gradients: Tensor,
    schedule: Tensor,
    keep: Tensor,
    *,
    lr: float,
    weight_decay: float,
) -> None:
    """Moves each row of the (R + 1, D) table that `index` (S) names by the sign of the sum of its (S, D) gradients.

    Rate lr * schedule * keep (0-d both), decoupled decay of touched rows only; the last row stays 0.
    """
    if table.dim() != 2 or gradients.dim() != 2 or gradients.shape[1] != table.shape[1]:
        shapes = f"table {tuple(table.shape)}, gradients {tuple(gradients.shape)}"
        raise ValueError(f"rows_sign_update: {shapes}; needs (R + 1, D), (S, D)")
    if index.shape != gradients.shape[:1] or index.dtype != torch.int64:
        raise ValueError(
            f"rows_sign_update: index is {tuple(index.shape)} {index.dtype}; needs ({gradients.shape[0]},) torch.int64"
        )
    if not table.device == index.device == gradients.device:
        raise ValueError(
            f"rows_sign_update: table on {table.device}, index on {index.device}, gradients on {gradients.device}"
        )
    _check_scalars("rows_sign_update", table.device, schedule=schedule, keep=keep)
    problem = _problem([gradients, table, schedule, keep]) or (None if index.is_contiguous() else "index has gaps")
    if runtime.choose(OP, table, {}, problem).kernel:
        autograd.rows_op(table, index, gradients, schedule, keep, lr, weight_decay)
    else:
        reference.rows_sign_update(table, index, gradients, schedule * keep * lr, weight_decay)
