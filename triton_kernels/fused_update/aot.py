"""What to compile ahead of time: every kernel of the update for every row of its launch table.

The update is compiled as a run uses it (AdamW or Adam-atan2 with EMA) and with everything switched on.
"""

from __future__ import annotations

from typing import Any

from triton_kernels.aot import AotCase
from triton_kernels.fused_update.kernel import finish_kernel, norm_kernel, rows_sign_kernel, update_kernel
from triton_kernels.launch import table

OP = "fused_update"
FLOATS = dict.fromkeys(("rest1", "rest2", "log_beta1", "log_beta2", "weight_decay"), "fp32")
BUFFERS = ("values", "gradients", "first", "second", "average")
SCALARS = ("lr", "keep", "scale", "count", "sigma", "average_count", "decay", "taken")
UPDATE = {
    **{f"{name}_ptr": "*fp32" for name in BUFFERS},
    "copy_ptr": "*bf16",
    **{f"{name}_ptr": "*fp32" for name in SCALARS},
    "n": "i32",
    "seed": "i32",
    **FLOATS,
}
ROWS = {
    **{f"{name}_ptr": "*fp32" for name in ("table", "gradients", "schedule", "keep")},
    "index_ptr": "*i64",
    **dict.fromkeys(("num_slots", "num_columns", "last_row"), "i32"),
    **dict.fromkeys(("lr", "weight_decay"), "fp32"),
}
FINISH = {"partial_ptr": "*fp32", "out_ptr": "*fp32", "num_partials": "i32", "clip": "fp32"}


def update_constants(kind: int, noise: bool, average: int, copy: bool) -> dict[str, Any]:
    """Constants of one variant of the update; the gradients are cleared in all of them."""
    return {"KIND": kind, "NOISE": noise, "AVERAGE": average, "COPY": copy, "CLEAR": True}


# Name -> (kernel's name in the launch table, kernel, signature, constants beside the tile sizes).
VARIANTS: dict[str, tuple[str, Any, dict[str, str], dict[str, Any]]] = {
    "norm": ("norm_kernel", norm_kernel, {"g_ptr": "*fp32", "partial_ptr": "*fp32", "n": "i32"}, {}),
    "finish": ("finish_kernel", finish_kernel, FINISH, {"CLIP": True}),
    "update_adamw_ema": ("update_kernel", update_kernel, UPDATE, update_constants(0, False, 1, False)),
    "update_atan2_ema": ("update_kernel", update_kernel, UPDATE, update_constants(1, False, 1, False)),
    "update_lion_swa": ("update_kernel", update_kernel, UPDATE, update_constants(2, False, 2, False)),
    "update_adamw_all": ("update_kernel", update_kernel, UPDATE, update_constants(0, True, 1, True)),
    "update_atan2_all": ("update_kernel", update_kernel, UPDATE, update_constants(1, True, 2, True)),
    "rows_sign": ("rows_sign_kernel", rows_sign_kernel, ROWS, {}),
}


def cases() -> list[AotCase]:
    """One compilation per variant and launch row."""
    return [
        AotCase(
            op=OP,
            name=name,
            kernel=kernel,
            signature=signature,
            constants={**constants, **row.blocks},
            arch=row.arch,
            num_warps=row.num_warps,
            num_stages=row.num_stages,
            tensor_cores=False,
        )
        for name, (kernel_name, kernel, signature, constants) in VARIANTS.items()
        for row in table(OP)[kernel_name]
    ]
