"""What of this operation is compiled ahead of time: the kernel with and without a mask of slots, every launch row."""

from __future__ import annotations

from typing import Any

from triton_kernels.aot import AotCase
from triton_kernels.launch import table

SIGNATURE = {
    "input_ptr": "*u8",
    "target_ptr": "*u8",
    "sizes_ptr": "*i64",
    "index_ptr": "*i64",
    "dihedral_ptr": "*i64",
    "colors_ptr": "*i64",
    "offset_ptr": "*i64",
    "halted_ptr": "*i1",
    "tokens_ptr": "*i32",
    "labels_ptr": "*i32",
    "side": "i32",
}


def cases() -> list[AotCase]:
    """`lay_into` has the mask; `lay` has none."""
    from triton_kernels.lay.kernel import lay_kernel

    found = []
    for masked in (False, True):
        absent: dict[str, Any] = {} if masked else {"halted_ptr": None}
        signature = {name: kind for name, kind in SIGNATURE.items() if name not in absent}
        for row in table("lay")["lay"]:
            constants = {**absent, "MASKED": masked, **row.blocks}
            name = "lay_into" if masked else "lay"
            found.append(
                AotCase("lay", name, lay_kernel, signature, constants, row.arch, row.num_warps, row.num_stages, False)
            )
    return found
