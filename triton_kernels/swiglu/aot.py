"""What to compile ahead of time: every launch row of the gated MLP's three kernels, in bf16.

Output: `AotCase`s, compiled and read by `triton_kernels.aot`. The down projection is among `residual_norm`'s cases.
"""

from __future__ import annotations

from triton_kernels.aot import AotCase
from triton_kernels.launch import Meta, table
from triton_kernels.residual_norm.aot import MLP_WIDTH
from triton_kernels.residual_norm.launcher import fitted, row_widths
from triton_kernels.swiglu.kernel import gate_up_backward_kernel, gate_up_forward_kernel, whole_mlp_forward_kernel

GATE_UP = {
    "gate_up_forward": (gate_up_forward_kernel, ("x_ptr", "weight_ptr", "inner_ptr")),
    "gate_up_backward": (
        gate_up_backward_kernel,
        ("x_ptr", "weight_ptr", "d_inner_ptr", "d_gate_up_ptr", "inner_ptr"),
    ),
}


def gate_up_case(name: str, meta: Meta) -> AotCase:
    """One row of gate_up_forward or gate_up_backward."""
    kernel, pointers = GATE_UP[name]
    hidden = meta.shape["D"]
    inner = MLP_WIDTH[hidden]
    return AotCase(
        "swiglu",
        f"{name} D{hidden}",
        kernel,
        {**dict.fromkeys(pointers, "*bf16"), "num_rows": "i32"},
        {"INNER": inner, "D": hidden, **fitted(meta, BN=inner, BK=hidden).blocks},
        meta.arch,
        meta.num_warps,
        meta.num_stages,
        tensor_cores=True,
    )


def whole_mlp_case(meta: Meta) -> AotCase:
    """One row of the whole MLP."""
    hidden = meta.shape["D"]
    inner = MLP_WIDTH[hidden]
    left, right = row_widths(hidden)
    signature = dict.fromkeys(("x_ptr", "gate_up_ptr", "down_ptr", "y_ptr"), "*bf16")
    return AotCase(
        "swiglu",
        f"whole_mlp D{hidden}",
        whole_mlp_forward_kernel,
        {**signature, "rstd_ptr": "*fp32", "num_rows": "i32", "eps": "fp32"},
        {"INNER": inner, "D0": left, "D1": right, **fitted(meta, BI=inner).blocks},
        meta.arch,
        meta.num_warps,
        meta.num_stages,
        tensor_cores=True,
    )


def cases() -> list[AotCase]:
    """Every kernel x launch row."""
    rows = table("swiglu")
    halves = [gate_up_case(name, meta) for name in GATE_UP for meta in rows[name]]
    return halves + [whole_mlp_case(meta) for meta in rows["whole_mlp"]]
