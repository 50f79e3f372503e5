"""The flash attention kernels as compilations ahead of time: every launch row, with and without key lengths, bf16."""

from __future__ import annotations

from typing import Any

from triton_kernels.aot import AotCase
from triton_kernels.launch import Meta, table
from triton_kernels.recurrent_attention.flash.kernel import (
    attention_dkdv_kernel,
    attention_dq_kernel,
    attention_forward_kernel,
)

KERNELS: dict[str, Any] = {
    "attention_forward_kernel": attention_forward_kernel,
    "attention_dq_kernel": attention_dq_kernel,
    "attention_dkdv_kernel": attention_dkdv_kernel,
}
SIGNATURE = {
    "qkv_ptr": "*bf16",
    "d_qkv_ptr": "*bf16",
    "attended_ptr": "*bf16",
    "d_attended_ptr": "*bf16",
    "cos_ptr": "*bf16",
    "sin_ptr": "*bf16",
    "key_length_ptr": "*i64",
    "lse_ptr": "*fp32",
    "delta_ptr": "*fp32",
    "T": "i32",
    "H": "i32",
}


def case(name: str, row: Meta, has_key_length: bool) -> AotCase:
    """One kernel by one launch row; without key lengths their pointer is None, as the launcher passes it."""
    kernel = KERNELS[name]
    constants: dict[str, Any] = {"E": row.shape["E"], "HAS_KEY_LENGTH": has_key_length, **row.blocks}
    if not has_key_length:
        constants["key_length_ptr"] = None
    signature = {argument: SIGNATURE[argument] for argument in kernel.arg_names if argument not in constants}
    title = f"{name}.E{row.shape['E']}" + (".key_length" if has_key_length else "")
    return AotCase(
        "recurrent_attention", title, kernel, signature, constants, row.arch, row.num_warps, row.num_stages, True
    )


def flash_cases() -> list[AotCase]:
    """Every kernel of the attention x launch row x key lengths or none."""
    rows = table("recurrent_attention")
    return [case(name, row, flag) for name in KERNELS for row in rows[name] for flag in (False, True)]
