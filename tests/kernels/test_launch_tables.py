"""The launch tables: what the committed rows must have, which row a question gets, and when a kernel is chosen.

Compared: every operation's `launch.json` with the architectures, hidden sizes and head dims that are supported; `find`,
`launch` and `choose` with tables made for the purpose, on devices that need not be there.
"""

from __future__ import annotations

import itertools
import re
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from triton_kernels import launch, runtime
from triton_kernels.launch import ARCHITECTURES, Meta, find, is_verified, table
from triton_kernels.runtime import OPERATIONS, OPTIONAL, Choice

# What the model may have, by the names that launch tables use.
SUPPORTED = {"D": (128, 256, 384, 512), "E": (32, 64)}
WARPS = {1, 2, 4, 8, 16}
MOST_STAGES = 8
ROWS = [
    pytest.param(op, kernel, row, id=f"{op}-{kernel}-sm_{row.arch}-{row.shape}")
    for op in OPERATIONS
    for kernel, rows in table(op).items()
    for row in rows
]


def shapes_of(op: str) -> list[dict[str, int]]:
    """Every shape that an operation may be asked with."""
    names = OPERATIONS[op]
    return [dict(zip(names, sizes, strict=True)) for sizes in itertools.product(*(SUPPORTED[name] for name in names))]


def is_power_of_two(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0


@pytest.mark.parametrize("op", OPERATIONS)
def test_every_kernel_has_one_row_for_each_architecture_and_shape(op: str) -> None:
    """Exactly one: of two that fit, which is taken would be chance."""
    tables = table(op)
    assert tables, "no kernel has rows"
    for kernel, arch, shape in itertools.product(tables, ARCHITECTURES, shapes_of(op)):
        fitting = [row for row in tables[kernel] if row.arch == arch and row.shape.items() <= shape.items()]
        where = f"{op}.{kernel}, sm_{arch}, {shape}: {len(fitting)} rows"
        assert len(fitting) <= 1, where
        if (op, kernel) not in OPTIONAL:
            assert fitting, where


@pytest.mark.parametrize("op", OPERATIONS)
def test_every_supported_shape_can_be_launched(op: str) -> None:
    for arch, shape in itertools.product(ARCHITECTURES, shapes_of(op)):
        assert runtime.has_rows(op, arch, shape), (arch, shape)


def test_optional_kernels_exist() -> None:
    for op, kernel in OPTIONAL:
        assert kernel in table(op)


@pytest.mark.parametrize(("op", "kernel", "row"), ROWS)
def test_row_is_well_formed(op: str, kernel: str, row: Meta) -> None:
    assert row.arch in ARCHITECTURES
    assert set(row.shape) <= set(OPERATIONS[op])
    assert all(size in SUPPORTED[name] for name, size in row.shape.items())
    assert all(name.isupper() and is_power_of_two(size) for name, size in row.blocks.items()), row.blocks
    assert row.num_warps in WARPS
    assert 1 <= row.num_stages <= MOST_STAGES
    assert row.verified is None or {"commit", "date"} <= set(row.verified)
    assert row.options() == {**row.blocks, "num_warps": row.num_warps, "num_stages": row.num_stages}
    assert find(op, kernel, row.arch, **{**shapes_of(op)[0], **row.shape}) == row


def meta(arch: int, verified: bool = False, **shape: int) -> Meta:
    found = {"commit": "0123abc", "date": "2026-01-01"} if verified else None
    return Meta(arch, shape, {"BM": 64}, 4, 2, found)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Meta, ...]]:
    """A table that stands in for every operation's; tests fill it."""
    rows: dict[str, tuple[Meta, ...]] = {}
    monkeypatch.setattr(launch, "table", lambda op: rows)
    monkeypatch.setattr(runtime, "table", lambda op: rows)
    return rows


@pytest.mark.parametrize(
    ("arch", "expected"), [(80, None), (86, None), (87, 87), (88, 87), (89, 89), (90, 90), (100, 90), (120, 90)]
)
def test_find_takes_the_newest_architecture_that_is_not_newer(
    made: dict[str, tuple[Meta, ...]], arch: int, expected: int | None
) -> None:
    made["forward"] = (meta(89, D=256), meta(90, D=256), meta(87, D=256), meta(90, D=512))
    found = find("swiglu", "forward", arch, D=256)
    assert (None if found is None else found.arch) == expected


def test_find_asks_only_for_what_the_row_names(made: dict[str, tuple[Meta, ...]]) -> None:
    made["forward"] = (meta(89, E=32), meta(89, E=64))
    made["any"] = (meta(89),)
    assert find("recurrent_attention", "forward", 89, D=256, E=64) == meta(89, E=64)
    assert find("recurrent_attention", "forward", 89, D=256, E=128) is None
    assert find("recurrent_attention", "forward", 89, D=256) is None
    assert find("recurrent_attention", "any", 89, D=7, E=9) == meta(89)


def test_launch_says_what_there_is(made: dict[str, tuple[Meta, ...]]) -> None:
    made["forward"] = (meta(89, D=256), meta(90, D=512))
    assert launch.launch("swiglu", "forward", 89, D=256) == meta(89, D=256)
    said = "swiglu.forward: no launch row for sm_89 {'D': 512}; there are [(89, ('D', 256)), (90, ('D', 512))]"
    with pytest.raises(ValueError, match=re.escape(said)):
        launch.launch("swiglu", "forward", 89, D=512)
    with pytest.raises(ValueError, match=r"no launch row for sm_75"):
        launch.launch("swiglu", "forward", 75, D=256)


@pytest.mark.parametrize(
    ("rows", "arch", "expected"),
    [
        ((meta(89, True, D=256), meta(89, True, D=256)), 89, True),
        ((meta(89, True, D=256), meta(89, D=256)), 89, False),
        ((meta(89, True, D=256), meta(89, True, D=512)), 89, False),
        ((meta(89, True, D=256), meta(89, True, D=256)), 90, False),
        ((meta(89, True), meta(89, True)), 89, True),
    ],
    ids=["both", "one of two kernels", "another shape", "an older architecture", "any shape"],
)
def test_verified_means_every_kernel_on_this_very_architecture(
    made: dict[str, tuple[Meta, ...]], rows: tuple[Meta, Meta], arch: int, expected: bool
) -> None:
    made["forward"], made["backward"] = (rows[0],), (rows[1],)
    shape = {"D": 256}
    assert (runtime.has_rows("swiglu", arch, shape) and is_verified("swiglu", arch, **shape)) is expected


def tensor_on(device: str) -> Tensor:
    """As much of a tensor as `choose` looks at."""
    return cast(Tensor, SimpleNamespace(device=torch.device(device)))


def gpu(monkeypatch: pytest.MonkeyPatch, capability: int) -> None:
    """As if CUDA device 0, of this compute capability, were the current one."""
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: divmod(capability, 10))


GPU_CASES: list[Any] = [
    ("off", True, None, 256, Choice(False, "kernels.mode=off")),
    ("auto", True, None, 256, Choice(True, "verified on sm_89")),
    ("auto", False, None, 256, Choice(False, "no verified launch row for sm_89, {'D': 256}")),
    ("auto", True, "hidden is odd", 256, Choice(False, "hidden is odd")),
    ("auto", True, None, 320, Choice(False, "no launch row for sm_89, {'D': 320}")),
    ("force", False, None, 256, Choice(True, "kernels.mode=force")),
    ("force", True, "hidden is odd", 256, Choice(False, "hidden is odd")),
    ("force", False, None, 320, Choice(False, "no launch row for sm_89, {'D': 320}")),
]


@pytest.mark.parametrize(("mode", "verified", "problem", "width", "expected"), GPU_CASES)
def test_choice_on_a_gpu(
    made: dict[str, tuple[Meta, ...]],
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    verified: bool,
    problem: str | None,
    width: int,
    expected: Choice,
) -> None:
    made["forward"] = made["backward"] = (meta(89, verified, D=256),)
    gpu(monkeypatch, 89)
    with runtime.mode(mode):
        assert runtime.choose("swiglu", tensor_on("cuda:0"), {"D": width}, problem) == expected
        if mode != "off" and problem is None:
            elsewhere = runtime.choose("swiglu", tensor_on("cuda:1"), {"D": width}, problem)
            assert elsewhere == Choice(False, "cuda:1 is not the current CUDA device")


@pytest.mark.parametrize(
    ("capability", "rows"), [(80, 87), (86, 89), (87, 87), (89, 89), (90, 90), (100, 90), (120, 89)]
)
def test_a_gpu_without_rows_of_its_own_is_forced_only(
    made: dict[str, tuple[Meta, ...]], monkeypatch: pytest.MonkeyPatch, capability: int, rows: int
) -> None:
    """It uses rows that fit in its shared memory when told to; what is verified on another is not verified on it."""
    made["forward"] = made["backward"] = (meta(rows, True, D=256),)
    gpu(monkeypatch, capability)
    assert runtime.arch_of(torch.device("cuda:0")) == rows
    with runtime.mode("force"):
        assert runtime.choose("swiglu", tensor_on("cuda:0"), {"D": 256}).kernel
    with runtime.mode("auto"):
        assert runtime.choose("swiglu", tensor_on("cuda:0"), {"D": 256}).kernel is (capability == rows)


@pytest.mark.parametrize(
    ("mode", "interpreting", "expected"),
    [
        ("auto", False, Choice(False, "there is no GPU")),
        ("auto", True, Choice(False, "there is no GPU")),
        ("force", False, Choice(False, "there is no GPU")),
        ("force", True, Choice(True, "kernels.mode=force")),
        ("off", True, Choice(False, "kernels.mode=off")),
    ],
)
def test_choice_on_a_cpu(
    made: dict[str, tuple[Meta, ...]], monkeypatch: pytest.MonkeyPatch, mode: str, interpreting: bool, expected: Choice
) -> None:
    """Even with verified rows: a CPU launches in the interpreter only, and there only when told to."""
    made["forward"] = (meta(runtime.INTERPRETER_ARCH, True, D=256),)
    monkeypatch.setattr(runtime, "interpreting", lambda: interpreting)
    with runtime.mode(mode):
        assert runtime.choose("swiglu", tensor_on("cpu"), {"D": 256}) == expected


def test_choice_elsewhere() -> None:
    with runtime.mode("force"):
        assert runtime.choose("swiglu", tensor_on("mps"), {"D": 256}) == Choice(False, "no kernels for mps")


def test_an_optional_kernel_may_be_missing(made: dict[str, tuple[Meta, ...]]) -> None:
    made["gate_up_forward"] = (meta(89, D=256), meta(89, D=512))
    made["whole_mlp"] = (meta(89, D=256),)
    assert runtime.has_rows("swiglu", 89, {"D": 512})
    assert not runtime.has_rows("residual_norm", 89, {"D": 512})


def test_a_mode_is_put_back_and_others_are_refused() -> None:
    def current() -> str:
        return runtime.choose("swiglu", tensor_on("cpu"), {"D": 256}).reason

    before = current()
    with pytest.raises(RuntimeError, match="within"), runtime.mode("off"):
        assert current() == "kernels.mode=off"
        raise RuntimeError("within")
    assert current() == before
    with pytest.raises(ValueError, match=r"kernels.mode 'fast'; allowed are auto, force, off"):
        runtime.set_mode("fast")
