"""Whether a training step repeats to the bit, and where it first differs when it does not.

Benchmarks room: the parts of a run -> findings in words. Three looks, each from one and the same start: captured graphs
replayed one by one, with every tensor of the state compared after each; the eager step, with the result of every
operation compared in the order they ran; and the eager step with fresh memory filled, where a result that depends on
it has read what nobody wrote. The last also names what torch itself calls nondeterministic.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from hrm_core.training.graphs import StepGraphs, static_buffers
from hrm_core.training.setup import tensors_of
from hrm_core.training.step import StepParts, train_step

REPLAYS = 100
STEPS = 10
# Contents of fresh memory mean nothing, nor do views of it before it is written.
UNWRITTEN = "empty"


@final
@dataclass(frozen=True)
class Repeats:
    """How many replays and eager steps there were and differed; first: what differed first, how often it was that.

    nondeterministic: operations that torch warns of. unwritten: the operation that shows that memory was read which
    nothing had written, None where there is none.
    """

    replays: int
    steps: int
    replays_off: int = 0
    replays_first: dict[str, int] = field(default_factory=dict)
    steps_off: int = 0
    steps_first: dict[str, int] = field(default_factory=dict)
    nondeterministic: list[str] = field(default_factory=list)
    unwritten: str | None = None

    @property
    def passed(self) -> bool:
        """Whether everything was the same bits."""
        return not (self.replays_off or self.steps_off or self.unwritten)

    @property
    def words(self) -> str:
        """One line."""
        if self.passed:
            return f"{self.replays} replays and {self.steps} eager steps from one start are equal bit for bit"
        parts = []
        for what, count, off, first in (
            ("replays", self.replays, self.replays_off, self.replays_first),
            ("eager steps", self.steps, self.steps_off, self.steps_first),
        ):
            places = "; ".join(f"{place} ({times} x)" for place, times in Counter(first).most_common(2))
            parts.append(f"{off} of {count} {what} differ" + (f", first {places}" if places else ""))
        if self.unwritten is not None:
            parts.append(f"reads memory that nothing wrote: {self.unwritten}")
        return "; ".join(parts)


def bits_of(tensor: Tensor) -> Tensor:
    """The tensor's bits as whole numbers, flat."""
    flat = tensor.detach().contiguous().reshape(-1)
    kinds = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return flat.view(kinds.get(flat.element_size(), torch.uint8))


def checksum(tensor: Tensor) -> Tensor:
    """0-d int64: the bits, each with a weight of its own, summed with wrap-around; in any order the same."""
    bits = bits_of(tensor).long()
    weights = torch.arange(1, 2 * bits.numel() + 1, 2, device=bits.device)
    return (bits * weights).sum()


@final
class OperationLog(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Name and checksum of the result of every operation that runs within the block, backward included."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []
        self.sums: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation and notes what it returned and what it changed."""
        result = func(*args, **(kwargs or {}))
        schema = func._schema
        views = schema.returns and all(r.alias_info is not None and not r.alias_info.is_write for r in schema.returns)
        if views or UNWRITTEN in str(func):
            return result
        changed = [
            value
            for value, described in zip(args, schema.arguments, strict=False)
            if described.alias_info is not None and described.alias_info.is_write
        ]
        given = result if isinstance(result, tuple | list) else (result,)
        for tensor in (*given, *changed):
            if isinstance(tensor, Tensor) and tensor.numel() and not tensor.is_complex():
                self.names.append(f"{func} -> {str(tensor.dtype).removeprefix('torch.')}{tuple(tensor.shape)}")
                self.sums.append(checksum(tensor))
        return result

    def all(self) -> Tensor:
        """The checksums in their order, on the host."""
        return torch.stack(self.sums).cpu() if self.sums else torch.zeros(0, dtype=torch.int64)


def first_difference(names: list[str], first: Tensor, other_names: list[str], other: Tensor) -> str | None:
    """The first operation whose result differs, with its number; None where the two logs are the same."""
    for number, (name, other_name) in enumerate(zip(names, other_names, strict=False)):
        if name != other_name:
            return f"operation {number}: {name} here, {other_name} there"
    places = (first[: len(other)] != other[: len(first)]).nonzero().flatten().tolist()
    if places:
        return f"operation {places[0]} of {len(names)}: {names[places[0]]}"
    return None if len(names) == len(other_names) else f"{len(names)} operations here, {len(other_names)} there"


def state_of(parts: StepParts) -> dict[str, Tensor]:
    """Everything that a step changes, by name: the run's state, and gradients by parameter."""
    named = {f"gradient of {name}": value.grad for name, value in parts.model.named_parameters()}
    rows = {f"lane_{lane.side}.row_gradients": lane.row_gradients for lane in parts.lanes}
    return {**{name: grad for name, grad in named.items() if grad is not None}, **rows, **tensors_of(parts)}


@contextmanager
def from_one_start(parts: StepParts) -> Iterator[Callable[[], None]]:
    """Hands out what puts every buffer back to where it stood, and does so at the end."""
    buffers = static_buffers(parts)
    copies = [buffer.clone() for buffer in buffers]
    train_step(parts)  # what a first step makes once, such as position tables, is made now

    def back() -> None:
        for buffer, copy in zip(buffers, copies, strict=True):
            buffer.copy_(copy)

    try:
        back()
        yield back
    finally:
        back()


def replay_difference(graphs: StepGraphs, parts: StepParts, expected: list[dict[str, Tensor]]) -> str | None:
    """Replays graph by graph and compares the state with that of the first time, which it notes down if not there."""
    noting = not expected
    for number, replay in enumerate(graphs.replays):
        replay()
        state = state_of(parts)
        if noting:
            expected.append({name: tensor.clone() for name, tensor in state.items()})
            continue
        off = [
            name for name, tensor in state.items() if not torch.equal(bits_of(tensor), bits_of(expected[number][name]))
        ]
        if off:
            return f"after graph {number + 1} of {len(graphs.replays)}: {', '.join(off[:4])}, {len(off)} tensors in all"
    return None


def compare_replays(graphs: StepGraphs, parts: StepParts, repeats: int) -> Counter[str]:
    """What differed first in replays from one start, and how often."""
    found: Counter[str] = Counter()
    expected: list[dict[str, Tensor]] = []
    with from_one_start(parts) as back:
        for _ in range(repeats + 1):
            back()
            off = replay_difference(graphs, parts, expected)
            if off is not None:
                found[off] += 1
    return found


def logged_step(parts: StepParts) -> tuple[list[str], Tensor]:
    """An eager step, and the checksums of all its operations."""
    log = OperationLog()
    with log:
        train_step(parts)
    return log.names, log.all()


def compare_steps(parts: StepParts, repeats: int) -> Counter[str]:
    """Which operation's result differed first in eager steps from one start, and how often."""
    found: Counter[str] = Counter()
    with from_one_start(parts) as back:
        expected = logged_step(parts)
        for _ in range(repeats):
            back()
            off = first_difference(*expected, *logged_step(parts))
            if off is not None:
                found[off] += 1
    return found


def look_at_fresh_memory(parts: StepParts) -> tuple[str | None, list[str]]:
    """(the operation that read memory which nothing wrote, or None; what torch calls nondeterministic)."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with from_one_start(parts) as back, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            # In a process that is deterministic already, memory would be filled for the first of the two as well.
            torch.use_deterministic_algorithms(False)
            expected = logged_step(parts)
            back()
            caught.clear()
            torch.use_deterministic_algorithms(True, warn_only=True)
            filled = logged_step(parts)
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        told = sorted({str(warning.message).partition(" does not have")[0][:120] for warning in caught})
    return first_difference(*expected, *filled), told


def look_for_differences(
    parts: StepParts, graphs: StepGraphs | None, num_replays: int = REPLAYS, num_steps: int = STEPS
) -> Repeats:
    """All three looks. graphs: the captured step of these parts, None where there is none."""
    replays = compare_replays(graphs, parts, num_replays) if graphs is not None else Counter[str]()
    steps = compare_steps(parts, num_steps)
    unwritten, told = look_at_fresh_memory(parts)
    return Repeats(
        replays=num_replays if graphs is not None else 0,
        steps=num_steps,
        replays_off=sum(replays.values()),
        replays_first=dict(replays),
        steps_off=sum(steps.values()),
        steps_first=dict(steps),
        nondeterministic=told,
        unwritten=unwritten,
    )
