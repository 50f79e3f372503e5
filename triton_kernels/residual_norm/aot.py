"""What to compile ahead of time: every launch row, in bf16, for the inner widths that the model has.

Output: `AotCase`s, compiled and read by `triton_kernels.aot`. The forward is compiled with I = D (the attention's
output projection) and with the MLP's width (the down projection).
"""

from __future__ import annotations

from triton_kernels.aot import AotCase
from triton_kernels.launch import Meta, table
from triton_kernels.residual_norm.kernel import residual_norm_backward_kernel, residual_norm_forward_kernel
from triton_kernels.residual_norm.launcher import fitted, row_widths

# Hidden size -> width of its MLP (two thirds of 4 D, up to the next multiple of 256).
MLP_WIDTH = {128: 512, 256: 768, 384: 1024, 512: 1536}


def forward_case(meta: Meta, inner: int) -> AotCase:
    """The forward of one row of the table at one inner width."""
    hidden = meta.shape["D"]
    left, right = row_widths(hidden)
    signature = dict.fromkeys(("branch_ptr", "weight_ptr", "residual_ptr", "y_ptr"), "*bf16")
    signature |= {"rstd_ptr": "*fp32", "num_rows": "i32", "eps": "fp32"}
    return AotCase(
        "residual_norm",
        f"forward D{hidden} I{inner}",
        residual_norm_forward_kernel,
        signature,
        {"INNER": inner, "D0": left, "D1": right, **fitted(meta, BK=inner).blocks},
        meta.arch,
        meta.num_warps,
        meta.num_stages,
        tensor_cores=True,
    )


def backward_case(meta: Meta) -> AotCase:
    """The norm's gradient for one row of the table."""
    hidden = meta.shape["D"]
    signature = {"d_y_ptr": "*bf16", "y_ptr": "*bf16", "rstd_ptr": "*fp32", "d_total_ptr": "*bf16", "num_rows": "i32"}
    return AotCase(
        "residual_norm",
        f"backward D{hidden}",
        residual_norm_backward_kernel,
        signature,
        {"D": hidden, "WIDTH": 1 << (hidden - 1).bit_length(), **meta.blocks},
        meta.arch,
        meta.num_warps,
        meta.num_stages,
        tensor_cores=False,
    )


def cases() -> list[AotCase]:
    """Every kernel x launch row x inner width."""
    rows = table("residual_norm")
    forward = [
        forward_case(meta, inner)
        for meta in rows["residual_norm_forward"]
        for inner in (meta.shape["D"], MLP_WIDTH[meta.shape["D"]])
    ]
    return forward + [backward_case(meta) for meta in rows["residual_norm_backward"]]
