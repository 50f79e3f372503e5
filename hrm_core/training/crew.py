"""Several processes that train one run together: who they are, and all that they ever say to one another.

Training room: rank and number of ranks -> a `Crew`. Rank 0 leads: it alone writes, logs, scores and decides, and sends
each step's orders; the others follow (`follower.py`). Each rank owns a range of every lane's slots, and so of the
streams, and predicts its part of a validation's pieces. Trunk gradients are summed before the clip, gradients of the
identity rows gathered before their sign, running sums added up where a row of metrics is due. Orders and states go over
gloo, what is on GPUs over NCCL (PyTorch documentation, "Distributed communication package"). Nothing is pickled. Lanes
of a rank: `hrm_core/learning/lanes.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, final

import torch
from torch import Tensor, distributed
from torch.distributed import Store  # type: ignore[attr-defined]

from hrm_core.errors import UserError
from hrm_core.learning.lanes import LaneState, Share
from hrm_core.runs.text import clean
from hrm_core.runs.world import World

if TYPE_CHECKING:
    from hrm_core.training.step import StepParts

# A pause may last, and followers wait through it; a process that is gone is noticed at once by its connection.
PATIENCE: Final = timedelta(days=30)


class Order(IntEnum):
    """What rank 0 has the others do next."""

    BEGIN = 0
    STEP = 1
    ROW = 2
    VALIDATED = 3
    SAVE = 4
    LOAD = 5
    END = 6
    VALIDATE = 7
    PREDICT = 8
    PREDICTED = 9


@final
class Crew:
    """What one rank says and hears. Nothing is said before `join`.

    `index` (S) int64 and `gradients` (S, D) fp32 of the identity rows of all slots, in the order of one rank, are there
    after `exchange`; they keep their storage as long as the lanes stay.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.share = Share(world.rank, world.size)
        self.index = torch.zeros(0, dtype=torch.int64)
        self.gradients = torch.zeros(0, 0)
        self._gradients_by: distributed.ProcessGroup | None = None  # who carries tensors of the device
        self._device = torch.device("cpu")
        self._order = torch.zeros(0, dtype=torch.int64)
        self._lanes: tuple[tuple[int, int], ...] = ()

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return self.world.rank == 0

    # Beginning and end ------------------------------------------------------------------------------------------------

    def join(self, store: Store | None = None) -> None:
        """Meets the others: by `store`, else where MASTER_ADDR and MASTER_PORT say. UserError (1) if that fails."""
        rank, size = self.world.rank, self.world.size
        with told(self):
            if store is None:
                distributed.init_process_group("gloo", timeout=PATIENCE, rank=rank, world_size=size)
            else:
                distributed.init_process_group("gloo", timeout=PATIENCE, rank=rank, world_size=size, store=store)

    def use(self, device: torch.device) -> None:
        """Has NCCL carry what lies on GPUs. All ranks call it at the same time."""
        self._device = device
        if device.type == "cuda":
            with told(self):
                self._gradients_by = distributed.new_group(backend="nccl", timeout=PATIENCE)

    def leave(self) -> None:
        """Ends what `join` began, in this process only."""
        if distributed.is_initialized():
            distributed.destroy_process_group()

    # Orders -----------------------------------------------------------------------------------------------------------

    def tell(self, order: Order, content: Mapping[str, Any] | None = None) -> None:
        """Rank 0: gives an order, with plain values where it has any."""
        data = json.dumps(content or {}).encode("ascii")
        with told(self):
            distributed.broadcast(torch.tensor([int(order), len(data)], dtype=torch.int64), 0)
            distributed.broadcast(torch.frombuffer(bytearray(data), dtype=torch.uint8), 0)

    def hear(self) -> tuple[Order, dict[str, Any]]:
        """The others: waits for the next order."""
        head = torch.zeros(2, dtype=torch.int64)
        with told(self):
            distributed.broadcast(head, 0)
            data = torch.zeros(int(head[1]), dtype=torch.uint8)
            distributed.broadcast(data, 0)
        return Order(int(head[0])), json.loads(bytes(data.numpy()))

    def scalars(self, lr: float = 0.0, schedule: float = 0.0, log_due: bool = False) -> tuple[float, float, bool]:
        """Rates of the step to come and whether its sums are read, as rank 0 has them; the others give nothing."""
        values = torch.tensor([lr, schedule, float(log_due)], dtype=torch.float64)
        with told(self):
            distributed.broadcast(values, 0)
        rate, factor, due = values.tolist()
        return rate, factor, bool(due)

    # In the step ------------------------------------------------------------------------------------------------------

    def exchange(self, parts: StepParts) -> None:
        """Sums the trunk's gradient over ranks in place, and gathers what belongs to identity rows."""
        with told(self), torch.no_grad():
            distributed.all_reduce(parts.flat.gradients, group=self._gradients_by)
            if parts.model.rows.kind == "none":
                return
            self._place(parts)
            most = max(sum(self._counts(rank)) for rank in range(self.world.size))
            index = _padded(torch.cat([parts.model.rows.index(lane.identity()) for lane in parts.lanes]), most)
            gradients = _padded(torch.cat([lane.row_gradients for lane in parts.lanes]), most)
            for mine, whole in ((index, self.index), (gradients, self.gradients)):
                found = mine.new_empty(self.world.size, *mine.shape)
                distributed.all_gather(list(found.unbind()), mine.contiguous(), group=self._gradients_by)
                torch.index_select(found.flatten(0, 1), 0, self._order, out=whole)

    def _counts(self, rank: int) -> list[int]:
        share = Share(rank, self.world.size)
        return [len(share.of(slots)) for _, slots in self._lanes]

    def _place(self, parts: StepParts) -> None:
        """Buffers for the rows of all slots, and where each of them comes in what is gathered."""
        lanes = tuple((lane.number, lane.num_slots) for lane in parts.lanes)
        if lanes == self._lanes:
            return
        self._lanes, device = lanes, parts.flat.gradients.device
        counts = [self._counts(rank) for rank in range(self.world.size)]
        most = max(map(sum, counts))
        order = [
            rank * most + sum(counts[rank][:number]) + slot
            for number in range(len(lanes))
            for rank in range(self.world.size)
            for slot in range(counts[rank][number])
        ]
        self._order = torch.tensor(order, device=device)
        self.index = torch.zeros(len(order), dtype=torch.int64, device=device)
        self.gradients = torch.zeros(len(order), parts.model.rows.table.shape[1], device=device)

    def reduce(self, parts: StepParts, additive: int) -> None:
        """Adds up on rank 0 what every rank has counted of its own slots, the first `additive` places of the running
        sums and the techniques' own, and begins them anew on the others. UserError (1) if weights have drifted apart.
        """
        with told(self), torch.no_grad():
            for sums in (parts.sums[:additive], *parts.techniques.summed()):
                total = sums.contiguous()
                distributed.reduce(total, 0, group=self._gradients_by)
                sums.copy_(total if self.leads else torch.zeros_like(total))
            if not self.leads:
                parts.sums.zero_()
            mine = torch.stack([parts.flat.values.double().sum(), parts.model.rows.table.double().sum()])
            low, high = mine.clone(), mine.clone()
            distributed.all_reduce(low, distributed.ReduceOp.MIN, group=self._gradients_by)
            distributed.all_reduce(high, distributed.ReduceOp.MAX, group=self._gradients_by)
        if not torch.equal(low, high):
            raise UserError("the ranks' weights are not the same any more; `hrm resume` it, and please report this.", 1)

    # Validations ------------------------------------------------------------------------------------------------------

    def spread(self, tensor: Tensor) -> None:
        """From rank 0 to all, in place."""
        with told(self), torch.no_grad():
            distributed.broadcast(tensor, 0, group=self._gradients_by)

    def any(self, here: bool) -> bool:
        """Whether it is so on any rank."""
        found = torch.tensor([int(here)], device=self._device)
        with told(self):
            distributed.all_reduce(found, distributed.ReduceOp.MAX, group=self._gradients_by)
        return bool(found.item())

    def collect(self, mine: Tensor, rows: int) -> Tensor:
        """Rows of all ranks in their order: `mine` (at most `rows` of them), from each as many but the last. Rank 0 has
        them behind one another, (size * rows, ...), of which those that nobody gave are zeros."""
        with told(self), torch.no_grad():
            padded = _padded(mine, rows).contiguous()
            found = padded.new_empty(self.world.size, *padded.shape)
            distributed.all_gather(list(found.unbind()), padded, group=self._gradients_by)
        return found.flatten(0, 1)

    # Checkpoints ------------------------------------------------------------------------------------------------------

    def gather(self, lanes: Sequence[LaneState]) -> dict[str, Tensor]:
        """Rank 0: every lane's buffers whole, on the host, by the names of a checkpoint. Empty on the others."""
        found: dict[str, Tensor] = {}
        with told(self):
            for lane in lanes:
                shares = [Share(rank, self.world.size).of(lane.num_slots) for rank in range(self.world.size)]
                for name, mine in lane.buffers.items():
                    whole = self._gathered(mine, shares)
                    if whole is not None:
                        found[f"lane_{lane.side}.{name}"] = whole
        return found

    def _gathered(self, mine: Tensor, shares: Sequence[range]) -> Tensor | None:
        sent = mine.detach().to("cpu").contiguous()
        if not self.leads:
            if sent.numel():
                distributed.send(sent.reshape(-1).view(torch.uint8), 0)
            return None
        parts = [sent]
        for rank, slots in list(enumerate(shares))[1:]:
            part = torch.empty(len(slots), *sent.shape[1:], dtype=sent.dtype)
            if part.numel():
                distributed.recv(part.reshape(-1).view(torch.uint8), rank)
            parts.append(part)
        return torch.cat(parts)


def _padded(values: Tensor, length: int) -> Tensor:
    missing = length - values.shape[0]
    return torch.cat([values, values.new_zeros(missing, *values.shape[1:])]) if missing else values


@contextmanager
def told(crew: Crew) -> Iterator[None]:
    """What torch raises when another rank is gone, as one line with the remedy."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise  # a fault of ours, or memory that ran out
        first = re.sub(r"^\[[^\]]*\]\s*", "", str(error).strip()).partition("\n")[0].partition(". ")[0]
        first = clean(first or type(error).__name__)[:120]
        raise UserError(
            f"rank {crew.world.rank} of {crew.world.size} lost another rank of this run ({first}).\n"
            "`hrm resume` goes on from the last checkpoint, with any number of GPUs.",
            1,
        ) from error
