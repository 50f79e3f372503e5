"""What to compile ahead of time for `stablemax_loss`: each kernel and launch row in bf16, both losses."""

from __future__ import annotations

import triton

from triton_kernels.aot import AotCase
from triton_kernels.launch import Meta, table
from triton_kernels.stablemax_loss.kernel import stablemax_loss_backward_kernel, stablemax_loss_forward_kernel

OP = "stablemax_loss"
VOCABULARY = 12
INPUTS = {"hidden_ptr": "*bf16", "head_ptr": "*bf16", "labels_ptr": "*i32"}
SIZES = {"num_tokens": "i32", "rows_apart": "i32"}
SIGNATURES = {
    "forward": INPUTS
    | {"loss_ptr": "*fp32", "right_ptr": "*i64", "count_ptr": "*i64", "exact_ptr": "*i1", "shape_ptr": "*i1"}
    | SIZES,
    "backward": INPUTS
    | {"count_ptr": "*i64", "d_loss_ptr": "*fp32", "d_hidden_ptr": "*bf16", "d_head_ptr": "*fp32"}
    | SIZES,
}
KERNELS = {"forward": stablemax_loss_forward_kernel, "backward": stablemax_loss_backward_kernel}


def case(kernel: str, meta: Meta, kind: str) -> AotCase:
    """One kernel for one row of the launch table."""
    width = meta.shape["D"]
    constants = {
        "D": width,
        "V": VOCABULARY,
        "BD": triton.next_power_of_2(width),
        "STABLEMAX": kind == "stablemax",
        "INCLUDE_PAD": False,
        **meta.blocks,
    }
    name = f"{kernel}[D={width},{kind}]"
    return AotCase(
        OP, name, KERNELS[kernel], SIGNATURES[kernel], constants, meta.arch, meta.num_warps, meta.num_stages, True
    )


def cases() -> list[AotCase]:
    """Every row; softmax only at the largest D of each architecture: it differs by a few instructions a token."""
    listed: list[AotCase] = []
    for kernel in KERNELS:
        rows = table(OP)[kernel]
        listed += [case(kernel, meta, "stablemax") for meta in rows]
        widest = max(meta.shape["D"] for meta in rows)
        listed += [case(kernel, meta, "softmax") for meta in rows if meta.shape["D"] == widest]
    return listed
