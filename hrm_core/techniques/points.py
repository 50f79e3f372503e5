"""The named points at which a technique acts, and what is handed to it there.

Techniques room. A technique is a `Plug`: plain functions at the points it needs, its tensors by name, and what the
host remembers. The first group runs inside the step: plain tensor operations on static shapes, 0-d device tensors for
all that varies, no question to the device, because the step is captured as CUDA graphs. The second group runs on the
host between steps. The trainer knows points, never techniques; which there are, and in which order, is `compose.py`.
Every draw is a hash of (seed, purpose, lane, entry, segment): `triton_kernels.hashing`; purposes are in `purposes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, final

from torch import Tensor

from hrm_core.data.dataset import Dataset
from hrm_core.data.streams import Admission
from hrm_core.learning.flat import FlatParameters
from hrm_core.learning.lanes import WHOLE, LaneState, Share
from hrm_core.learning.optimizers import TrunkOptimizer
from hrm_core.model.hrm import HRM
from hrm_core.model.segment import Carry, Regularisation, TrunkWeights
from hrm_core.recipe.schema import Recipe
from hrm_core.techniques.spikes import SpikeDetector
from hrm_core.techniques.timeline import Timeline
from triton_kernels.fused_update import Measure, Noise


class Bench(NamedTuple):
    """What a technique is built from. `lanes` is the step's own list: a stage replaces its items in place.
    `share`: which slots of every lane are this process's."""

    recipe: Recipe
    model: HRM
    lanes: list[LaneState]
    flat: FlatParameters
    trunk: TrunkOptimizer
    dataset: Dataset
    timeline: Timeline
    share: Share = WHOLE


class LossView(NamedTuple):
    """One piece of B slots of a lane, after its segment, with gradient where the step has it.

    cells (B, T, D): z_H of the grid tokens; halt_logits (B, 2) fp32: q_halt, q_continue; token_loss (B) fp32; exact (B)
    bool. At `loss`, lane["segment"] counts the segments before this one; at `decided`, this one too.
    """

    lane: LaneState
    piece: slice
    carry: Carry
    cells: Tensor
    halt_logits: Tensor
    token_loss: Tensor
    exact: Tensor
    weights: TrunkWeights


@final
@dataclass(frozen=True)
class Event:
    """Something for events.jsonl, and a line for the log. `recapture`: buffers or code of the step have changed."""

    name: str
    say: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    recapture: bool = False


def no_events(step: int) -> Sequence[Event]:
    """Nothing to tell."""
    return ()


@final
@dataclass(frozen=True)
class Plug:
    """One technique. Points that it does not need are None.

    Inside the step, in this order: `attach` (once for every lane: puts buffers of its own, (S, ...), into
    lane.buffers), `choose` (what halted slots admit), `admitted` (after laying; lane["halted"] still says who), `rows`
    (B, D) fp32 and `embedded` (B, T, D), `carry`, `regularise`, `weigh` (B) fp32 factor of the token loss, `loss` (B)
    fp32 added to the loss of each sample, `decided` (counters and halt flags have moved on; without gradient), `clip`
    (the gradient's measure as the update is to take it), `noise` (for that measure).
    On the host: `quieten` (a factor on its noise, from the run's policy), `before_step` (the number of the step to
    come), `factor` (of the learning rate), `after_step`, `row` (adds columns to a row of metrics; reads its
    `loss_spike`), `validated` (an evaluation row), `evaluation_weights`, `pace` (mean seconds of a step over the run's
    seconds, given those of a step now: where steps get slower), and for checkpoints `tensors`, `remember` and `recall`
    (plain values; called before tensors are loaded), `save_files`, `load_files`.
    `summed`: those of `tensors` that count what this process's slots did: several processes add them up.
    `scratch`: tensors that the step changes and `save_files` saves; a capture puts them back like the others.
    """

    name: str
    attach: Callable[[LaneState], None] | None = None
    choose: Callable[[LaneState, Admission], Admission] | None = None
    admitted: Callable[[LaneState, Admission], None] | None = None
    rows: Callable[[LaneState, slice, Tensor], Tensor] | None = None
    embedded: Callable[[LaneState, slice, Tensor], Tensor] | None = None
    carry: Callable[[LaneState, slice, Carry], Carry] | None = None
    regularise: Callable[[LaneState, slice], Regularisation] | None = None
    weigh: Callable[[LaneState, slice], Tensor] | None = None
    loss: Callable[[LossView], Tensor] | None = None
    decided: Callable[[LossView], None] | None = None
    clip: Callable[[Measure], Measure] | None = None
    noise: Callable[[Measure], Noise] | None = None
    quieten: Callable[[float], None] | None = None
    before_step: Callable[[int], Sequence[Event]] | None = None
    factor: Callable[[int, float], float] | None = None
    after_step: Callable[[int], Sequence[Event]] | None = None
    row: Callable[[dict[str, Any]], Sequence[Event]] | None = None
    validated: Callable[[Mapping[str, Any]], None] | None = None
    evaluation_weights: Callable[[], AbstractContextManager[None]] | None = None
    weights_name: Callable[[], str | None] | None = None
    pace: Callable[[float, float], float] | None = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    summed: Sequence[Tensor] = ()
    scratch: Callable[[], Mapping[str, Tensor]] | None = None
    remember: Callable[[], dict[str, Any]] | None = None
    recall: Callable[[Mapping[str, Any]], None] | None = None
    save_files: Callable[[], dict[str, bytes]] | None = None
    load_files: Callable[[Path], None] | None = None


@final
class Techniques:
    """All plugs of a run, in their order, called at each point. Without plugs only spikes of the loss are counted."""

    def __init__(
        self, plugs: Sequence[Plug] = (), timeline: Timeline | None = None, spikes: SpikeDetector | None = None
    ) -> None:
        self.plugs = tuple(plugs)
        self.timeline = timeline or Timeline()
        self.spikes = spikes or SpikeDetector()

    def attach(self, lanes: Sequence[LaneState]) -> None:
        """Gives every lane the techniques' buffers."""
        for lane in lanes:
            for plug in self.plugs:
                if plug.attach is not None:
                    plug.attach(lane)

    def choose(self, lane: LaneState, admission: Admission) -> Admission:
        """What the lane's slots would admit; only halted ones do."""
        for plug in self.plugs:
            if plug.choose is not None:
                admission = plug.choose(lane, admission)
        return admission

    def admitted(self, lane: LaneState, admission: Admission) -> None:
        """The admission has been laid into the halted slots."""
        for plug in self.plugs:
            if plug.admitted is not None:
                plug.admitted(lane, admission)

    def rows(self, lane: LaneState, piece: slice, rows_BD: Tensor) -> Tensor:
        """Task rows as the model is to see them."""
        for plug in self.plugs:
            if plug.rows is not None:
                rows_BD = plug.rows(lane, piece, rows_BD)
        return rows_BD

    def embedded(self, lane: LaneState, piece: slice, embedded_BTD: Tensor) -> Tensor:
        """The embedded input as the model is to see it."""
        for plug in self.plugs:
            if plug.embedded is not None:
                embedded_BTD = plug.embedded(lane, piece, embedded_BTD)
        return embedded_BTD

    def carry(self, lane: LaneState, piece: slice, carry: Carry) -> Carry:
        """The carry that the segment begins with."""
        for plug in self.plugs:
            if plug.carry is not None:
                carry = plug.carry(lane, piece, carry)
        return carry

    def regularise(self, lane: LaneState, piece: slice) -> Regularisation | None:
        """Masks of this segment; None where no technique has any."""
        merged: Regularisation | None = None
        for plug in self.plugs:
            if plug.regularise is not None:
                merged = plug.regularise(lane, piece).over(merged)
        return merged

    def weigh(self, lane: LaneState, piece: slice, loss_B: Tensor) -> Tensor:
        """Token loss of each sample, weighted."""
        for plug in self.plugs:
            if plug.weigh is not None:
                loss_B = loss_B * plug.weigh(lane, piece)
        return loss_B

    def loss(self, view: LossView) -> Tensor | None:
        """(B) fp32 added to the loss of each sample; None where no technique adds any."""
        terms = [plug.loss(view) for plug in self.plugs if plug.loss is not None]
        return None if not terms else sum(terms[1:], start=terms[0])

    def decided(self, view: LossView) -> None:
        """The piece's counters and halt flags have moved on."""
        for plug in self.plugs:
            if plug.decided is not None:
                plug.decided(view)

    def clip(self, measured: Measure) -> Measure:
        """The gradient's measure, its scale lowered where a technique wants it lower."""
        for plug in self.plugs:
            if plug.clip is not None:
                measured = plug.clip(measured)
        return measured

    def noise(self, measured: Measure) -> Noise | None:
        """Noise on the trunk's clipped gradient, at most one technique's."""
        return next((plug.noise(measured) for plug in self.plugs if plug.noise is not None), None)

    @property
    def has_noise(self) -> bool:
        """Whether a technique adds noise to the gradient, which a policy may make less."""
        return any(plug.quieten is not None for plug in self.plugs)

    def quieten(self, factor: float) -> None:
        """What the run's policy leaves of the noise on the gradient: 1 is all of it."""
        for plug in self.plugs:
            if plug.quieten is not None:
                plug.quieten(factor)

    def before_step(self, step: int) -> list[Event]:
        """Sets what varies for the step with this number (0-based)."""
        return [event for plug in self.plugs if plug.before_step is not None for event in plug.before_step(step)]

    def factor(self, step: int, factor: float) -> float:
        """The schedule's factor for this step, changed."""
        for plug in self.plugs:
            if plug.factor is not None:
                factor = plug.factor(step, factor)
        return factor

    def after_step(self, step: int) -> list[Event]:
        """`step` steps are done."""
        return [event for plug in self.plugs if plug.after_step is not None for event in plug.after_step(step)]

    def row(self, row: dict[str, Any]) -> list[Event]:
        """Adds columns to a row of metrics; the first say whether its loss begins a spike, and how many there were."""
        median = self.spikes.see(row.get("token_loss"))
        row["loss_spike"], row["loss_spikes"] = median is not None, self.spikes.count
        found: list[Event] = []
        if median is not None:
            say = f"the token loss is {row['token_loss']:.3f}, the median of the rows before {median:.3f}"
            found.append(Event("loss_spike", say, {"token_loss": row["token_loss"], "median": median}))
        return found + [event for plug in self.plugs if plug.row is not None for event in plug.row(row)]

    def validated(self, row: Mapping[str, Any]) -> None:
        """A validation has ended."""
        for plug in self.plugs:
            if plug.validated is not None:
                plug.validated(row)

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """Within the block the model has the weights that the techniques evaluate with."""
        with ExitStack() as stack:
            for plug in self.plugs:
                if plug.evaluation_weights is not None:
                    stack.enter_context(plug.evaluation_weights())
            yield

    def weights_name(self) -> str | None:
        """What a technique calls the weights that it puts in place; None where it puts none now."""
        names = [plug.weights_name() for plug in self.plugs if plug.weights_name is not None]
        return next((name for name in names if name is not None), None)

    def pace(self, total_s: float, step_s: float) -> float:
        """Mean seconds of a step of a run that takes `total_s`, where one takes `step_s` now."""
        for plug in self.plugs:
            if plug.pace is not None:
                step_s = plug.pace(total_s, step_s)
        return step_s

    def tensors(self) -> dict[str, Tensor]:
        """State by name, for checkpoints and captures; lane buffers are the lanes'."""
        return {f"{plug.name}.{name}": value for plug in self.plugs for name, value in plug.tensors.items()}

    def summed(self) -> list[Tensor]:
        """Counts of this process's slots alone."""
        return [tensor for plug in self.plugs for tensor in plug.summed]

    def scratch(self) -> list[Tensor]:
        """What the step changes beside `tensors`, kept in files of the techniques' own."""
        return [value for plug in self.plugs if plug.scratch is not None for value in plug.scratch().values()]

    def remember(self) -> dict[str, Any]:
        """Plain values for the checkpoint."""
        kept = {plug.name: plug.remember() for plug in self.plugs if plug.remember is not None}
        return {"struck": dict(self.timeline.struck), "spikes": self.spikes.remember(), **kept}

    def recall(self, kept: Mapping[str, Any]) -> None:
        """The reverse of `remember`. May replace lanes, so it comes before tensors are loaded."""
        self.timeline.struck = {str(name): int(step) for name, step in kept.get("struck", {}).items()}
        self.spikes.recall(kept.get("spikes", {}))
        for plug in self.plugs:
            if plug.recall is not None and plug.name in kept:
                plug.recall(kept[plug.name])

    def save_files(self) -> dict[str, bytes]:
        """Files of a checkpoint by name."""
        return {
            name: data for plug in self.plugs if plug.save_files is not None for name, data in plug.save_files().items()
        }

    def load_files(self, folder: Path) -> None:
        """The reverse of `save_files`."""
        for plug in self.plugs:
            if plug.load_files is not None:
                plug.load_files(folder)
