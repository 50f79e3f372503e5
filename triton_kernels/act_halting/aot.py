"""What of this operation is compiled ahead of time: every kernel and launch row, at hidden sizes of both kinds."""

from __future__ import annotations

from typing import Any

from triton_kernels.aot import AotCase
from triton_kernels.launch import Meta, table

OP = "act_halting"
HEAD = {"prefix_ptr": "*bf16", "prefix_stride": "i32", "weight_ptr": "*fp32", "bias_ptr": "*fp32"}
DECIDE = {
    **HEAD,
    "segment_ptr": "*i64",
    "admissions_ptr": "*i64",
    "slots_ptr": "*i64",
    "halted_ptr": "*i1",
    "finite_ptr": "*i1",
    "logits_ptr": "*fp32",
    "entropy_ptr": "*fp32",
    "num_slots": "i32",
    "explore_word": "i32",
    "minimum_word": "i32",
    "num_slots_lane": "i32",
    "explore_below": "i32",
    "max_segments": "i32",
}
RESET = {
    "high_ptr": "*bf16",
    "low_ptr": "*bf16",
    "start_high_ptr": "*fp32",
    "start_low_ptr": "*fp32",
    "halted_ptr": "*i1",
    "size": "i32",
}


def _case(name: str, kernel: Any, signature: dict[str, str], constants: dict[str, Any], row: Meta) -> AotCase:
    constants = {**constants, **row.blocks}
    return AotCase(OP, name, kernel, signature, constants, row.arch, row.num_warps, row.num_stages, False)


def cases() -> list[AotCase]:
    """A power of two and 384 as hidden size; both kinds of halting."""
    from triton_kernels.act_halting import kernel

    rows = table(OP)
    logits = {**HEAD, "logits_ptr": "*fp32", "num_slots": "i32"}
    found = [
        _case("halting_logits_d256", kernel.halting_logits_kernel, logits, {"D": 256}, row)
        for row in rows["halting_logits"]
    ]
    for learning, hidden in ((False, 256), (True, 384)):
        name = f"decide_{'q_learning' if learning else 'halt_only'}_d{hidden}"
        constants = {"LEARNING": learning, "D": hidden}
        found += [_case(name, kernel.decide_kernel, DECIDE, constants, row) for row in rows["decide"]]
    for hidden in (256, 384):
        found += [_case(f"reset_d{hidden}", kernel.reset_kernel, RESET, {"D": hidden}, row) for row in rows["reset"]]
    return found
