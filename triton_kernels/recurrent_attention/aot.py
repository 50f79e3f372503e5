"""The operation's kernels as compilations ahead of time: the projection's launch rows here, the attention's in flash.

Input: `launch.json`; output: cases in bf16 for `triton_kernels.aot`. The projection is compiled without injections and
with two, one head dim each: what a head dim changes is an index into the tables.
"""

from __future__ import annotations

from typing import Any

from triton_kernels.aot import AotCase
from triton_kernels.launch import Meta, table
from triton_kernels.recurrent_attention.flash.aot import flash_cases
from triton_kernels.recurrent_attention.projection.kernel import projection_forward_kernel

OP = "recurrent_attention"
KERNEL = "projection_forward_kernel"
# Injections -> head dim.
VARIANTS = {0: 64, 2: 32}


def projection_case(row: Meta, injections: int, width: int) -> AotCase:
    """The projection by one launch row; pointers that this many injections leave out are None, as at a launch."""
    hidden = row.shape["D"]
    constants: dict[str, Any] = {"INJECTIONS": injections, "D": hidden, "E": width, **row.blocks}
    unused = ("first_ptr", "second_ptr", "residual_ptr") if injections == 0 else ()
    constants |= dict.fromkeys(unused)
    signature = {
        name: "i32" if name in ("num_rows", "num_tokens") else "*bf16"
        for name in projection_forward_kernel.arg_names
        if name not in constants
    }
    title = f"{KERNEL}.D{hidden}.E{width}.injections{injections}"
    return AotCase(
        OP, title, projection_forward_kernel, signature, constants, row.arch, row.num_warps, row.num_stages, True
    )


def cases() -> list[AotCase]:
    """Every kernel of the operation x launch row x variant."""
    projection = [projection_case(row, *variant) for row in table(OP)[KERNEL] for variant in VARIANTS.items()]
    return projection + flash_cases()
