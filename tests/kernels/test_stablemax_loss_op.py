"""`hrm::stablemax_loss_*` as torch sees them on a CPU: schema, fakes, gradients, compilation; and what is refused.

Compared: the formula of the gradient with autograd of the reference in float64, the compiled operation with the eager
one, and `shape` with the evaluation's decoder.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hrm_core.data.views import decode_grid
from triton_kernels import runtime
from triton_kernels.lay import lay
from triton_kernels.stablemax_loss import reference, stablemax_loss, stablemax_loss_with_shape
from triton_kernels.stablemax_loss.autograd import stablemax_loss_backward, stablemax_loss_forward
from triton_kernels.stablemax_loss.benchmark import specimens

F64 = torch.float64
KINDS = ("stablemax", "softmax")


def inputs(dtype: torch.dtype = torch.float32, batch: int = 3, tokens: int = 11) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    hidden = torch.randn(batch, tokens + 1, 16, generator=random, dtype=F64).to(dtype)[:, 1:].requires_grad_()
    head = torch.randn(12, 16, generator=random, dtype=F64).to(dtype).requires_grad_()
    labels = torch.randint(0, 12, (batch, tokens), generator=random, dtype=torch.int32)
    labels[-1] = 0
    return hidden, head, labels


@pytest.mark.parametrize("include_pad", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_operations_pass_opcheck(kind: str, include_pad: bool) -> None:
    hidden, head, labels = inputs()
    torch.library.opcheck(stablemax_loss_forward, (hidden, head, labels, kind, include_pad))
    count = stablemax_loss_forward(hidden, head, labels, kind, include_pad)[2]
    given = (torch.rand(3), hidden.detach(), head.detach(), labels, count, kind, include_pad)
    torch.library.opcheck(stablemax_loss_backward, given)


@pytest.mark.parametrize("include_pad", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "bound"), [(F64, 1e-12), (torch.float32, 2e-6), (torch.bfloat16, 2e-2)])
def test_gradient_equals_autograd_in_float64(kind: str, include_pad: bool, dtype: torch.dtype, bound: float) -> None:
    hidden, head, labels = inputs(dtype)
    weight = torch.rand(3, generator=torch.Generator().manual_seed(2))
    loss, *_ = stablemax_loss_forward(hidden, head, labels, kind, include_pad)
    found = torch.autograd.grad(loss, (hidden, head), weight.to(loss.dtype))
    wide = [tensor.detach().double().requires_grad_() for tensor in (hidden, head)]
    expected_loss, *_ = reference.stablemax_loss(*wide, labels, kind, include_pad)
    expected = torch.autograd.grad(expected_loss, wide, weight.double())
    assert (loss.double() - expected_loss).norm() <= bound * expected_loss.norm()
    for gradient, exact in zip(found, expected, strict=True):
        assert gradient.dtype == dtype
        assert (gradient.double() - exact).norm() <= bound * exact.norm()


@pytest.mark.parametrize("kind", KINDS)
def test_operation_compiles_in_one_graph(kind: str) -> None:
    hidden, head, labels = inputs()

    def step(hidden: Tensor, head: Tensor) -> tuple[Tensor, ...]:
        loss, *counts = stablemax_loss_forward(2 * hidden, head, labels, kind, False)
        return (loss, *counts)

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    results = []
    for run in (step, compiled):
        outputs = run(hidden, head)
        results.append((*outputs, *torch.autograd.grad(outputs[0].sum(), (hidden, head))))
    for eager, other in zip(*results, strict=True):
        torch.testing.assert_close(other, eager)


def test_counts_have_no_gradient() -> None:
    loss, right, count, exact, shape = stablemax_loss_forward(*inputs(), "stablemax", False)
    assert loss.requires_grad
    assert [result.requires_grad for result in (right, count, exact, shape)] == [False] * 4


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_reference_has_the_slope_of_the_formula_at_zero(dtype: torch.dtype) -> None:
    logits = torch.tensor([0.0, 1e-30, -1e-30, 1.0, -3.0, 1e30], dtype=dtype).requires_grad_()
    score = reference.log_stable(logits)
    (slope,) = torch.autograd.grad(score.sum(), logits)
    torch.testing.assert_close(slope, 1 / (1 + logits.detach().abs()))
    torch.testing.assert_close(score.detach(), logits.detach().sign() * logits.detach().abs().log1p())


def laid(heights: Tensor, widths: Tensor, side: int, offset: Tensor, random: torch.Generator) -> Tensor:
    """(S, side * side) labels of grids of these sizes at these offsets."""
    num = len(heights)
    grids = torch.randint(0, 10, (num, side, side), generator=random, dtype=torch.uint8)
    sizes = torch.stack([heights, widths, heights, widths], 1)
    colors = torch.arange(10).repeat(num, 1)
    return lay(grids, grids, sizes, torch.arange(num), torch.zeros(num, dtype=torch.int64), colors, offset)[1]


def test_shape_is_enough_for_the_decoder_and_follows_from_exact() -> None:
    """Predictions that are the label but for a few tokens: exact implies shape, shape implies the decoded size."""
    random = torch.Generator().manual_seed(3)
    num, side = 300, 6
    heights, widths = (torch.randint(1, side + 1, (num,), generator=random) for _ in range(2))
    room = side - torch.stack([heights, widths], 1)
    offset = (torch.rand(num, 2, generator=random) * (room + 1)).long()
    labels = laid(heights, widths, side, offset, random)
    noise = torch.rand(num, side * side, generator=random) < torch.rand(num, 1, generator=random) * 0.06
    guess = torch.where(noise, torch.randint(0, 12, labels.shape, generator=random, dtype=torch.int32), labels)
    hidden = torch.nn.functional.one_hot(guess.long(), 12).float()
    *_, exact, shape = stablemax_loss_with_shape(hidden, torch.eye(12), labels)
    decoded = [
        decode_grid(field.numpy(), (row, column)).shape
        for field, (row, column) in zip(guess.view(num, side, side), offset.tolist(), strict=True)
    ]
    same = torch.tensor([tuple(size) == (h, w) for size, h, w in zip(decoded, heights, widths, strict=True)])
    assert not (exact & ~shape).any()
    assert not (shape & ~same).any()
    assert 0 < exact.sum() < shape.sum() < same.sum() < num


@pytest.mark.parametrize("call", [stablemax_loss, stablemax_loss_with_shape])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x, w, y: (x, w, y[:, :-1]), r"labels \(3, 10\); needs"),
        (lambda x, w, y: (x, w[:, :-1], y), r"head \(12, 15\)"),
        (lambda x, w, y: (x[0], w, y[0]), r"hidden \(11, 16\)"),
        (lambda x, w, y: (x[:, :0], w, y[:, :0]), r"hidden \(3, 0, 16\).*at least one token"),
        (lambda x, w, y: (x, w.double(), y), r"head torch.float64; needs one floating dtype"),
        (lambda x, w, y: (x.int(), w.int(), y), r"needs one floating dtype"),
        (lambda x, w, y: (x, w, y.float()), r"labels torch.float32; allowed"),
        (lambda x, w, y: (x, w.to("meta"), y), r"head on meta.*needs one device"),
        (lambda x, w, y: (x, w, y, "hinge"), r"'hinge'; allowed"),
    ],
)
def test_what_does_not_fit_is_named(
    call: Callable[..., object], change: Callable[..., tuple[Tensor]], says: str
) -> None:
    hidden, head, labels = inputs()
    with pytest.raises(ValueError, match=says):
        call(*change(hidden.detach(), head.detach(), labels))


def reason(monkeypatch: pytest.MonkeyPatch, hidden: Tensor, head: Tensor) -> str:
    """Why the public function took the reference, were this an interpreter's process with kernels forced."""
    choices: list[runtime.Choice] = []
    choose = runtime.choose

    def record(*arguments: object) -> runtime.Choice:
        choices.append(choose(*arguments))  # type: ignore[arg-type]
        return choices[-1]

    monkeypatch.setattr(runtime, "choose", record)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    labels = torch.zeros(hidden.shape[:2], dtype=torch.int32)
    with runtime.mode("force"):
        stablemax_loss(hidden, head, labels)
    assert [choice.kernel for choice in choices] == [False]
    return choices[0].reason


@pytest.mark.parametrize(
    ("width", "vocabulary", "dtype", "says"),
    [
        (16, 12, torch.float32, "no launch row for sm_89, {'D': 16}"),
        (256, 17, torch.float32, "vocabulary of at most 16, not 17"),
        (256, 12, F64, "not torch.float64"),
    ],
)
def test_why_a_call_takes_the_reference(
    monkeypatch: pytest.MonkeyPatch, width: int, vocabulary: int, dtype: torch.dtype, says: str
) -> None:
    hidden, head = torch.zeros(1, 4, width, dtype=dtype), torch.zeros(vocabulary, width, dtype=dtype)
    assert says in reason(monkeypatch, hidden, head)


def test_without_a_gpu_the_reference_runs() -> None:
    choice = runtime.choose("stablemax_loss", torch.zeros(1), {"D": 256})
    assert choice == (False, "there is no GPU")


def test_specimens_run_on_a_cpu() -> None:
    listed = specimens(torch.device("cpu"), torch.float32)
    assert len({(specimen.shape, specimen.direction) for specimen in listed}) == 6
    for specimen in listed:
        assert set(specimen.peers) == {"reference"}
        assert specimen.check is None
        assert specimen.peers["reference"]()
