"""The lay operations outside the interpreter: registration, compilation, refusals, and halted slots alone written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from triton_kernels import runtime
from triton_kernels.launch import ARCHITECTURES
from triton_kernels.lay import aot, autograd, benchmark, lay, lay_into, reference

NAMES = ("input", "target", "sizes", "index", "dihedral", "colors", "offset", "halted", "tokens", "labels")


def admission(side: int = 6, slots: int = 7, pairs: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(side)

    def draw(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator)

    grids = [draw(0, 11, pairs, side, side).to(torch.uint8) for _ in range(2)]
    colors = torch.argsort(torch.rand(slots, 10, generator=generator), dim=1)
    return [*grids, draw(1, side + 2, pairs, 4), draw(0, pairs, slots), draw(0, 8, slots), colors, draw(0, 4, slots, 2)]


def rows(side: int = 6, slots: int = 7) -> list[Tensor]:
    """halted, tokens, labels before an admission."""
    before = torch.arange(slots * side * side, dtype=torch.int32).view(slots, -1)
    return [torch.arange(slots) % 3 == 0, before.clone(), -before]


def test_operations_pass_opcheck() -> None:
    torch.library.opcheck(autograd.lay, tuple(admission()))
    torch.library.opcheck(autograd.lay_into, (*admission(), *rows()))


def compiled(call: Callable[..., Any]) -> Callable[..., Any]:
    torch.compiler.reset()
    whole: Callable[..., Any] = torch.compile(call, fullgraph=True, backend="aot_eager")
    return whole


def test_operations_compile_in_one_piece() -> None:
    def admit(*arguments: Tensor) -> tuple[Tensor, Tensor]:
        autograd.lay_into(*arguments)
        tokens, labels = autograd.lay(*arguments[:7])
        return tokens + arguments[8], labels

    plain, graph = rows(), rows()
    expected = admit(*admission(), *plain)
    actual = compiled(admit)(*admission(), *graph)
    for one, other in zip((*expected, *plain), (*actual, *graph), strict=True):
        assert torch.equal(one, other)


def test_lay_into_is_where_and_copy() -> None:
    pairs, (halted, tokens, labels) = admission(), rows()
    laid = lay(*pairs)
    expected = [torch.where(halted[:, None], new, old) for new, old in zip(laid, (tokens, labels), strict=True)]
    places = tokens.data_ptr(), labels.data_ptr()
    lay_into(*pairs, halted, tokens, labels)
    assert torch.equal(tokens, expected[0]) and torch.equal(labels, expected[1])
    assert places == (tokens.data_ptr(), labels.data_ptr())


def test_rows_of_any_layout_and_no_slots_at_all() -> None:
    pairs, (halted, tokens, _) = admission(), rows()
    wide = torch.full((7, 72), -1, dtype=torch.int32)
    lay_into(*pairs, halted, tokens, wide[:, ::2])
    assert torch.equal(wide[halted, ::2], reference.lay(*pairs)[1][halted]) and bool((wide[:, 1::2] == -1).all())
    empty = [*pairs[:3], *(values[:0] for values in pairs[3:])]
    assert lay(*empty)[0].shape == (0, 36)
    lay_into(*empty, halted[:0], tokens[:0], tokens[:0].clone())


REFUSED: list[tuple[str, dict[str, Tensor]]] = [
    ("input", {"input": torch.zeros(4, 6, 5, dtype=torch.uint8)}),
    ("input", {"input": torch.zeros(4, 0, 0, dtype=torch.uint8)}),
    ("target", {"target": torch.zeros(4, 5, 5, dtype=torch.uint8)}),
    ("sizes", {"sizes": torch.zeros(4, 2, dtype=torch.int64)}),
    ("index", {"index": torch.zeros(7, 1, dtype=torch.int64)}),
    ("dihedral", {"dihedral": torch.zeros(6, dtype=torch.int64)}),
    ("colors", {"colors": torch.zeros(7, 9, dtype=torch.int64)}),
    ("offset", {"offset": torch.zeros(7, 2, dtype=torch.int64, device="meta")}),
    ("halted", {"halted": torch.zeros(7)}),
    ("halted", {"halted": torch.zeros(8, dtype=torch.bool)}),
    ("tokens", {"tokens": torch.zeros(7, 36, dtype=torch.int64)}),
    ("labels", {"labels": torch.zeros(7, 35, dtype=torch.int32)}),
]


@pytest.mark.parametrize(("name", "change"), REFUSED)
def test_refusals_name_the_argument(name: str, change: dict[str, Tensor]) -> None:
    arguments = {**dict(zip(NAMES, (*admission(), *rows()), strict=True)), **change}
    with pytest.raises(ValueError, match=f"lay_into: {name}"):
        lay_into(**arguments)
    if name in NAMES[:7]:
        with pytest.raises(ValueError, match=f"lay: {name}"):
            lay(**{key: arguments[key] for key in NAMES[:7]})


def test_no_pairs_for_slots_is_refused() -> None:
    pairs = admission()
    with pytest.raises(ValueError, match="has no pairs for 7 slots"):
        lay(*(values[:0] for values in pairs[:3]), *pairs[3:])


class NoSynchronisation(TorchDispatchMode):
    """Fails at an operation that would make the host wait for a value or has a shape that depends on one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.__name__.split(".")[0] not in {"_local_scalar_dense", "nonzero", "_unique2", "masked_select"}
        return func(*args, **(kwargs or {}))


def test_nothing_is_read_back() -> None:
    with NoSynchronisation():
        lay_into(*admission(), *rows())
        lay(*admission())


def test_choice_says_why() -> None:
    assert runtime.choose("lay", torch.empty(0), {}).reason == "there is no GPU"
    for arch in ARCHITECTURES:
        assert runtime.has_rows("lay", arch, {})


def test_specimens_and_cases_are_complete() -> None:
    for item in benchmark.specimens(torch.device("cpu"), torch.float32):
        assert set(item.peers) == {"reference"} and item.check is None and item.bytes > 0
        item.peers["reference"]()
    cases = aot.cases()
    assert len({case.key for case in cases}) == len(cases) and {case.arch for case in cases} == set(ARCHITECTURES)
    for case in cases:
        assert set(case.kernel.arg_names) == set(case.signature) | set(case.constants)
