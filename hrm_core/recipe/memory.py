"""The memory plan: the most bytes that a training step of a recipe holds, by arithmetic, before anything is allocated.

Recipe room; free of torch. (recipe, training pairs of each canvas, kind of device, kernels or not) -> `MemoryPlan`:
named parts that add up to the peak. What lives for the whole run is counted from shapes; the forward and backward of a
piece are passed through as `memory_bytes.py` describes them, then the update. Tests hold it within 10 % of the peak
that torch's allocator reports. Not here: validation (no gradient, smaller), what Python and torch themselves take,
fragmentation, techniques but for the layers that stochastic depth scales (`memory_scaled.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

from hrm_core.recipe.counts import DeviceKind, feed_forward_width, laid_pairs, num_tasks, rows_per_task
from hrm_core.recipe.memory_bytes import (
    FP32,
    INT64,
    VOCABULARY,
    Forms,
    Passage,
    Sizes,
    changes,
    choose_forms,
    embed_backward,
    embed_forward,
    head_backward,
    head_forward,
    level_backward,
    level_forward,
)
from hrm_core.recipe.memory_scaled import scaled_level_backward, scaled_level_forward
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.slots import deal_slots, piece_edges

GIB = 2**30
# What a process takes of a CUDA device before its first tensor: context and the libraries' modules (an assumption).
CUDA_CONTEXT = GIB // 2
# cuBLAS's workspace, which torch takes from its allocator (CUBLAS_WORKSPACE_CONFIG: 32 MiB on Hopper, 8 elsewhere).
WORKSPACE = {"cpu": 0, "laptop": 8 * 2**20 + 128 * 2**10, "h100": 32 * 2**20}
# Columns of a pair beside its two grids: nine int64, two bool, and four int64 of sizes that the lane keeps.
PAIR_COLUMNS = 9 * INT64 + 2 + 4 * INT64
# A slot's counters and identity (six int64, one bool, ten int64 of colours); a cell's token and label.
SLOT_COLUMNS = 16 * INT64 + 1
CELL_BYTES = 2 * 4
# Laying a cell: source index, masks, colours, tokens and labels of input and target, counted in `lay`'s reference.
LAY_BYTES = 56
# Choosing what a slot admits: some twelve tables of 20 int64 rounds.
CHOOSE_BYTES = 12 * 20 * INT64
CPU_UPDATE_CHUNK = 1 << 16
# The bounds of the settings.
MAX_BATCH = 16384
MAX_ACCUMULATION = 1024

Dtype = Literal["bf16", "fp32"]


@final
@dataclass(frozen=True)
class MemoryPlan:
    """parts: name -> bytes, adding up to `peak`; moment: where the peak is, in words; slots: of each canvas."""

    parts: dict[str, int]
    moment: str
    slots: dict[int, int]

    @property
    def peak(self) -> int:
        """Bytes at the highest point."""
        return sum(self.parts.values())

    @property
    def peak_gib(self) -> float:
        """The same in GiB."""
        return self.peak / GIB


@final
@dataclass(frozen=True)
class Setting:
    """What a recipe is to run on. pairs: training pairs of each canvas; tasks: rows of the task table; ranks: processes
    that train it together, of which the one with most slots is planned."""

    pairs: Mapping[int, int]
    tasks: int
    device: DeviceKind
    kernels: bool
    dtype: Dtype
    ranks: int = 1

    @property
    def cuda(self) -> bool:
        """Whether it is a GPU."""
        return self.device != "cpu"


def setting_of(
    recipe: Recipe,
    device: DeviceKind,
    kernels: bool,
    pairs: Mapping[int, int] | None = None,
    tasks: int | None = None,
    dtype: Dtype | None = None,
) -> Setting:
    """A setting with what is not given taken from ARC-AGI-1's counts and from the recipe (dtype auto: bf16)."""
    if dtype is None:
        dtype = "fp32" if recipe.training.dtype == "fp32" else "bf16"
    counted = laid_pairs(recipe) if pairs is None else {side: count for side, count in pairs.items() if count}
    return Setting(counted, num_tasks(recipe) or 0 if tasks is None else tasks, device, kernels, dtype)


def trunk_numbers(recipe: Recipe) -> tuple[int, int]:
    """Parameters of the trunk: all, and those in block matrices."""
    model = recipe.model
    hidden, layers = model.hidden, model.l_layers + (0 if model.share_levels else model.h_layers)
    matrices = layers * (4 * hidden * hidden + 3 * hidden * feed_forward_width(model.hidden, model.expansion))
    shared = (8 + 100) * hidden if recipe.identity.kind == "shared" else 0
    return matrices + 2 * VOCABULARY * hidden + 2 * hidden + 2 + shared, matrices


def whole_run(recipe: Recipe, setting: Setting, slots: Mapping[int, int]) -> dict[str, int]:
    """What is held from the first step to the last, without the data."""
    hidden, itemsize = recipe.model.hidden, _itemsize(setting)
    trunk, matrices = trunk_numbers(recipe)
    rows = (setting.tasks * rows_per_task(recipe) + 1) * hidden * FP32
    muon = matrices if recipe.optimizer.kind == "muon" else 0
    row_moments = 2 * rows + rows // hidden if recipe.rows.kind == "adam" else 0
    averaged = trunk * FP32 + (rows if recipe.averaging.rows else 0) if recipe.averaging.kind == "ema" else 0
    if (tail := recipe.techniques.swa_tail) is not None:
        averaged += trunk * FP32 + (rows if tail.rows else 0)
    adam = 0 if recipe.optimizer.kind == "lion" else trunk - muon
    prefix = recipe.identity.prefix_tokens
    lanes = 0
    for side, count in slots.items():
        tokens = prefix + side * side
        state = tokens * hidden * itemsize
        lanes += count * (SLOT_COLUMNS + INT64 + CELL_BYTES * side * side + 2 * state + hidden * FP32)
        lanes += 2 * tokens * hidden // recipe.model.heads * itemsize
    return {
        "parameters": trunk * FP32,
        "gradients": trunk * FP32,
        "moments": (trunk + adam) * FP32,
        "average": averaged,
        "bf16 weights": trunk * itemsize if setting.dtype == "bf16" else 0,
        "identity rows": rows + row_moments,
        "slots": lanes,
    }


def _itemsize(setting: Setting) -> int:
    return 2 if setting.dtype == "bf16" else FP32


def sizes_of_piece(recipe: Recipe, setting: Setting, side: int, samples: int) -> Sizes:
    """Sizes of a piece of so many samples on a canvas."""
    model, prefix = recipe.model, recipe.identity.prefix_tokens
    return Sizes(
        samples,
        prefix + side * side,
        prefix,
        model.hidden,
        feed_forward_width(model.hidden, model.expansion),
        model.heads,
        _itemsize(setting),
    )


def _quiet_segment(recipe: Recipe, z: Sizes, forms: Forms, low: int, high: int) -> Passage:
    """Updates without gradient, `low` and `high` of them; leaves the newest state of each level that was updated."""
    model, x = recipe.model, z.state
    lows = level_forward(z, forms, False, model.l_layers, 2 if model.inject_input else 1)
    highs = scaled_level_forward(z, forms, False, model.h_layers, _scaled(recipe), 1)
    passage = Passage()
    for level, count in ((lows, low), (highs, high)):
        if count:
            passage = passage.then(level, level.then(changes(-x)).times(count - 1))
    return passage


def forward_of_piece(recipe: Recipe, z: Sizes, forms: Forms) -> Passage:
    """A piece from its tokens to its losses; leaves everything that the backward needs, and the new carry."""
    model, x = recipe.model, z.state
    recorded = model.l_cycles if model.gradient == "last_recursion" else 1
    total_low = model.h_cycles * model.l_cycles
    quiet_low, quiet_high = total_low - recorded, model.h_cycles - 1
    embedded = embed_forward(z, recipe.identity.kind != "none" and recipe.identity.place != "prefix")
    low = level_forward(z, forms, True, model.l_layers, 2 if model.inject_input else 1)
    high = scaled_level_forward(z, forms, True, model.h_layers, _scaled(recipe), 1)
    # A state that was made without gradient goes when the next one has its name; the first carry when all is done.
    after_low = changes(-x) if quiet_low else changes()
    # A segment begins with the lane's own carry, reset in place, or where the input enters there, with a copy.
    carry = 0 if model.inject_input else 2 * x
    passage = embedded.then(changes(carry), _quiet_segment(recipe, z, forms, quiet_low, quiet_high), low, after_low)
    # In a recorded chain each low state but the last goes too: the sum with its injections is what is kept. A kernel
    # keeps its result as well.
    chained = low if forms.kernels else low.then(changes(-x))
    passage = passage.then(chained.times(recorded - 1), high)
    passage = passage.then(changes(-carry - (x if quiet_high else 0)), head_forward(z, forms, _stablemax(recipe)))
    if recipe.halting.kind == "q_learning" and recipe.halting.bootstrap:
        following = _quiet_segment(recipe, z, forms, total_low, model.h_cycles)
        passage = passage.then(following, changes(-2 * x))
    return passage


def _scaled(recipe: Recipe) -> int:
    """High layers that stochastic depth may drop: all but the first, or the only one."""
    return 0 if recipe.techniques.drop_path is None else max(recipe.model.h_layers - 1, 1)


def _stablemax(recipe: Recipe) -> bool:
    return recipe.loss.kind == "stablemax"


def backward_of_piece(recipe: Recipe, z: Sizes, forms: Forms) -> Passage:
    """From the losses to the gradients of all parameters."""
    model = recipe.model
    hidden, width, narrow = model.hidden, feed_forward_width(model.hidden, model.expansion), z.half
    recorded = model.l_cycles if model.gradient == "last_recursion" else 1
    passage = head_backward(z, forms, _stablemax(recipe)).then(
        scaled_level_backward(z, forms, narrow, model.h_layers, _scaled(recipe), output_stays=True),
        level_backward(z, forms, narrow and not model.share_levels, model.l_layers, output_stays=True),
    )
    if recorded > 1:
        # The gradient of the embedded input is summed over the chain beside that of the state.
        chain = level_backward(z, forms, False, model.l_layers, output_stays=False)
        passage = passage.then(changes(z.state), chain.times(recorded - 1), changes(-z.state))
    if narrow:
        waiting = trunk_numbers(recipe)[1] * z.itemsize
        largest = 2 * width * hidden
        passage = passage.then(changes(largest * FP32, -largest * FP32 - waiting))
    return passage.then(embed_backward(z))


def _piece(recipe: Recipe, setting: Setting, side: int, samples: int) -> tuple[int, int]:
    """Bytes kept for the backward of a piece, and how far above that its highest point is."""
    z = sizes_of_piece(recipe, setting, side, samples)
    forms = choose_forms(setting.cuda, setting.kernels, z.tokens)
    forward = forward_of_piece(recipe, z, forms)
    whole = forward.then(backward_of_piece(recipe, z, forms))
    return forward.left, whole.peak - forward.left


def _update(recipe: Recipe, setting: Setting, num_slots: int) -> int:
    """Working memory of the optimizer, of Muon's matrices and of the rows, which come one after the other."""
    trunk, matrices = trunk_numbers(recipe)
    muon = recipe.optimizer.kind == "muon"
    rest = trunk - (matrices if muon else 0)
    if setting.cuda:
        update = 0 if setting.kernels else 2 * rest * FP32
    else:
        update = 2 * min(rest, CPU_UPDATE_CHUNK) * FP32
    gradients = num_slots * recipe.model.hidden * FP32
    same = num_slots * num_slots
    rows = 0
    if recipe.identity.kind != "none":
        kernel = setting.cuda and setting.kernels and recipe.rows.kind == "sign_sgd"
        rows = 2 * gradients + (0 if kernel else max(same * (1 + FP32), 2 * same, 5 * gradients))
    return max(update, _muon(recipe) if muon else 0, rows)


def _muon(recipe: Recipe) -> int:
    """Orthogonalisation of the three shapes of matrices, all of a shape at once, one shape after the other."""
    model = recipe.model
    hidden, width = model.hidden, feed_forward_width(model.hidden, model.expansion)
    layers = model.l_layers + (0 if model.share_levels else model.h_layers)
    numbers = trunk_numbers(recipe)[1]
    passage = changes(numbers * FP32, numbers * FP32)  # clean gradients; with momentum
    before = 0
    for count, rows, columns in ((4, hidden, hidden), (2, width, hidden), (1, hidden, width)):
        group = layers * count * rows * columns
        gram = layers * count * min(rows, columns) ** 2
        step = (group * FP32, group * 2, group * 2, 3 * gram * 2, -3 * gram * 2, -group * 2, group * FP32)
        passage = passage.then(changes(*step, -group * (FP32 + 2), -before, group * FP32, -group * FP32))
        before = group * FP32
    return passage.peak


def _admission(side: int, slots: int, kernels: bool) -> int:
    """Working memory of choosing and laying what a lane's slots admit."""
    return slots * max((CELL_BYTES if kernels else LAY_BYTES) * side * side, CHOOSE_BYTES)


def plan_memory(recipe: Recipe, setting: Setting) -> MemoryPlan:
    """What a training step of this recipe holds at its highest point."""
    whole = deal_slots(setting.pairs, recipe.training.batch * recipe.training.accumulation)
    slots = {side: -(-count // setting.ranks) for side, count in whole.items()}
    parts = whole_run(recipe, setting, slots)
    if setting.ranks > 1 and recipe.identity.kind != "none":
        # The gradients of the rows of all slots as they come, and in the order of one rank.
        parts["rows of all ranks"] = 2 * sum(whole.values()) * recipe.model.hidden * FP32
    run = sum(parts.values())
    parts["training pairs"] = sum(n * (2 * side * side + PAIR_COLUMNS) for side, n in setting.pairs.items())
    moments: list[tuple[int, int, str]] = [(_update(recipe, setting, sum(whole.values())), 0, "update")]
    for side, count in slots.items():
        samples = max(end - start for start, end in piece_edges(count, recipe.training.batch))
        working, kept = reversed(_piece(recipe, setting, side, samples))
        moments.append((working, kept, f"backward of {samples} x {side}x{side}"))
        moments.append(
            (
                _admission(side, count, setting.cuda and setting.kernels),
                0,
                f"admission to {count} slots of {side}x{side}",
            )
        )
    working, kept, moment = max(moments, key=lambda item: item[0] + item[1])
    parts |= {"activations": kept, "working memory": working}
    if setting.cuda:
        parts["library workspace"] = WORKSPACE[setting.device]
        if recipe.training.graph != "off":
            # Captured graphs: every buffer of the run is copied while the step warms up, and put back.
            parts["copies for capture"] = run - parts["bf16 weights"]
        parts["CUDA context"] = CUDA_CONTEXT
    return MemoryPlan(parts, moment, slots)


def memory_plan(
    recipe: Recipe,
    device: DeviceKind,
    kernels: bool,
    pairs: Mapping[int, int] | None = None,
    tasks: int | None = None,
    dtype: Dtype | None = None,
) -> MemoryPlan:
    """`plan_memory` with what is not given filled in by `setting_of`."""
    return plan_memory(recipe, setting_of(recipe, device, kernels, pairs, tasks, dtype))


# What fits ------------------------------------------------------------------------------------------------------------


def with_batch(recipe: Recipe, batch: int, accumulation: int) -> Recipe:
    """The recipe with other pieces; nothing else changes, so what held between groups still holds."""
    training = recipe.training.model_copy(update={"batch": batch, "accumulation": accumulation})
    return recipe.model_copy(update={"training": training})


def piece_choices(slots: int) -> list[tuple[int, int]]:
    """(`training.batch`, `training.accumulation`) for so many slots in a step, or hardly more; largest pieces first."""
    found = [(math.ceil(slots / pieces), pieces) for pieces in range(1, min(slots, MAX_ACCUMULATION) + 1)]
    return [(batch, pieces) for batch, pieces in found if batch <= MAX_BATCH and batch * (pieces - 1) < slots]


def largest_piece(recipe: Recipe, setting: Setting, limit: float, exact: bool = False) -> tuple[int, int] | None:
    """Largest (batch, accumulation) within `limit` bytes for the slots of the recipe; None where none will do.

    exact: for exactly as many slots.
    """
    slots = recipe.training.batch * recipe.training.accumulation
    for batch, pieces in piece_choices(slots):
        wanted = batch * pieces == slots or not exact
        if wanted and plan_memory(with_batch(recipe, batch, pieces), setting).peak <= limit:
            return batch, pieces
    return None


def largest_step(recipe: Recipe, setting: Setting, limit: float) -> int | None:
    """Largest `training.batch` within `limit` bytes with `training.accumulation=1`: a whole step in one go."""

    def fits(batch: int) -> bool:
        return plan_memory(with_batch(recipe, batch, 1), setting).peak <= limit

    least, most = 1, MAX_BATCH
    if not fits(least):
        return None
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if fits(middle) else (least, middle - 1)
    return least


def size_words(size: float) -> str:
    """Bytes for people: GiB, or MiB where it is little."""
    return f"{size / GIB:.2f} GiB" if size >= GIB / 10 else f"{size / 2**20:.0f} MiB"


def refusal(recipe: Recipe, setting: Setting, limit: float, limit_name: str) -> str | None:
    """Why this recipe does not fit into `limit` bytes, and what would, in two lines; None where it fits."""
    peak = plan_memory(recipe, setting).peak
    if peak <= limit:
        return None
    first = f"memory: a step needs {size_words(peak)} at its peak, {limit_name} is {size_words(limit)}.\n"
    slots = recipe.training.batch * recipe.training.accumulation
    most = largest_piece(recipe, setting, limit)
    if most is None:
        batch, pieces = piece_choices(slots)[-1]
        least = plan_memory(with_batch(recipe, batch, pieces), setting).peak
        return (
            f"{first}Even training.batch={batch} needs {size_words(least)} with these {slots} slots; "
            "take fewer slots, smaller canvases or a smaller model."
        )
    text = f"{first}The largest that fits: training.batch={most[0]} training.accumulation={most[1]}"
    if most[0] * most[1] == slots:
        return f"{text}, with the same {slots} slots."
    same = largest_piece(recipe, setting, limit, exact=True)
    kept = "" if same is None else f", or {same[0]} x {same[1]} for the same {slots}"
    return f"{text} ({most[0] * most[1]} slots){kept}."
