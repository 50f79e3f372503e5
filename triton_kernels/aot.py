"""Compiles a kernel for a GPU that is not there, and reads what it would use of it.

Input: a jit function, its signature and constants, an architecture; output: `Resources` from the compiler's own
listings (registers, shared memory, spills, tensor-core instructions) and the occupancy that follows. A process that
has TRITON_INTERPRET=1 cannot do this: there the decorator returns an interpreted function.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

# Bytes of shared memory that one block may use; per multiprocessor: bytes, warps. Orin, Ada, Hopper.
SHARED_LIMIT = {87: 163 * 1024, 89: 99 * 1024, 90: 227 * 1024}
SHARED_ON_CHIP = {87: 164 * 1024, 89: 100 * 1024, 90: 228 * 1024}
WARPS_ON_CHIP = {87: 48, 89: 48, 90: 64}
REGISTERS_ON_CHIP = 65536


class AotCase(NamedTuple):
    """One compilation. signature: argument -> "*bf16", "*fp32", "i32", "fp32" ...; constants: constexpr arguments.

    tensor_cores: whether mma.sync (or wgmma on sm_90) must be among its instructions.
    """

    op: str
    name: str
    kernel: Any
    signature: dict[str, str]
    constants: dict[str, Any]
    arch: int
    num_warps: int
    num_stages: int
    tensor_cores: bool

    @property
    def key(self) -> str:
        """Name in the committed table."""
        return f"{self.op}.{self.name}@sm_{self.arch}"


class Resources(NamedTuple):
    """What one block of the compiled kernel uses; counts of instructions; blocks resident on a multiprocessor."""

    shared: int
    registers: int
    spill: int
    local: int
    mma: int
    wgmma: int
    occupancy: int


def occupancy(arch: int, registers: int, num_warps: int, shared: int) -> int:
    """Blocks that fit on a multiprocessor at once."""
    by_registers = REGISTERS_ON_CHIP // (-(-max(registers, 1) // 8) * 8 * 32 * num_warps)
    return min(by_registers, WARPS_ON_CHIP[arch] // num_warps, SHARED_ON_CHIP[arch] // (shared + 1024))


def cases_of(op: str) -> list[AotCase]:
    """`cases()` of the operation's `aot.py`; ModuleNotFoundError where it has none."""
    cases: list[AotCase] = importlib.import_module(f"triton_kernels.{op}.aot").cases()
    return cases


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def compile_case(case: AotCase) -> Resources:
    """Compiles and reads the listings; RuntimeError or Triton's own error where the kernel does not compile."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.backends.nvidia.compiler import get_ptxas
    from triton.compiler import ASTSource

    tools = Path(triton.__file__).parent / "backends/nvidia/bin"
    names = case.kernel.arg_names
    full = {name: "constexpr" if name in case.constants else case.signature[name] for name in names}
    # Pointers are 16-byte aligned at run time; without saying so loads are narrow and the figures are another kernel's.
    aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if full[name].startswith("*")}
    options = {"num_warps": case.num_warps, "num_stages": case.num_stages, "enable_fp_fusion": True}
    source = ASTSource(case.kernel, full, case.constants, aligned)
    compiled = triton.compile(source, target=GPUTarget("cuda", case.arch, 32), options=options)
    ptx = compiled.asm["ptx"]
    target = re.search(r"\.target (sm_\w+)", ptx)
    assert target is not None
    with tempfile.TemporaryDirectory() as folder:
        ptx_file, binary = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        ptx_file.write_text(ptx, encoding="utf-8")
        binary.write_bytes(compiled.asm["cubin"])
        assembler = [get_ptxas(case.arch).path, "-v", "--gpu-name", target[1], str(ptx_file), "-o", os.devnull]
        verbose = _run(assembler)
        usage = _run([str(tools / "cuobjdump"), "--dump-resource-usage", str(binary)])
    found = {
        "spill": re.search(r"(\d+) bytes spill stores", verbose),
        "registers": re.search(r"REG:(\d+)", usage),
        "local": re.search(r"STACK:(\d+)", usage),
    }
    if not all(found.values()):
        raise RuntimeError(f"{case.key}: the compiler's listing could not be read: {verbose[-300:]} {usage[-300:]}")
    spill, registers, local = (int(match[1]) for match in found.values() if match)
    shared = int(compiled.metadata.shared)
    blocks = occupancy(case.arch, registers, case.num_warps, shared)
    mma, wgmma = ptx.count("mma.sync"), ptx.count("wgmma.mma_async")
    return Resources(shared, registers, spill, local, mma, wgmma, blocks)
