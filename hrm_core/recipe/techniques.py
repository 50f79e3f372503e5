"""Settings of the ten experiments' techniques, and of a few from the plan's earlier list. None is off.

Recipe room; free of torch. Defaults are the plan's values, its thresholds in steps as shares of its 100,000. A
technique that is not built yet is refused by name (`unbuilt.py`), never ignored. How they act: `hrm_core/techniques`.
"""

from __future__ import annotations

from typing import Annotated, Literal, final

from pydantic import AfterValidator, BeforeValidator

from hrm_core.recipe.base import Floats, Settings, as_tuple, setting
from hrm_core.recipe.learning import CheckedBetas
from hrm_core.recipe.spans import Span, SpanOrZero


def _check_scales(scales: tuple[float, ...]) -> tuple[float, ...]:
    if not 1 <= len(scales) <= 8 or any(not 0.1 <= scale <= 1.0 for scale in scales) or list(scales) != sorted(scales):
        raise ValueError("scales grow, 1 to 8 of them, each 0.1 to 1.0 of the largest canvas, such as 0.6,0.8,1.0")
    return scales


Scales = Annotated[Floats, AfterValidator(_check_scales)]
Spans = Annotated[tuple[Span, ...], BeforeValidator(as_tuple)]


@final
class SwaTailConfig(Settings):
    """EXP-02. Averages weights at the low points of a cyclic learning rate (Izmailov et al. 2018, arXiv 1803.05407)."""

    start: Span = setting(0.5, "When averaging begins: steps, share of the run or time")
    period: Span = setting(0.04, "Length of a learning-rate cycle, at least 2 steps")
    low_ratio: float = setting(0.5, "Lowest learning rate of a cycle over the highest, 0 to 1", ge=0, le=1)
    rows: bool = setting(True, "Average the tasks' identity rows too")


@final
class DropPathConfig(Settings):
    """EXP-03. Drops whole layers of the high level, at training only."""

    probability: float = setting(
        0.2, "Drop probability of the last high layer, growing linearly from 0; 0 to 0.9", ge=0, le=0.9
    )
    mask: Literal["call", "segment", "sample"] = setting(
        "segment", "One draw for each call of a layer, for all cycles of a segment, or for all segments of a sample"
    )


@final
class GradientNoiseConfig(Settings):
    """EXP-04. Gaussian noise on the trunk's gradient, after the clip."""

    kind: Literal["absolute", "relative"] = setting(
        "absolute", "absolute: from start to end by a cosine; relative: ratio x rms of the gradient / (1 + t)^decay"
    )
    start: float = setting(1e-3, "Standard deviation at step 0, 0 to 1", ge=0, le=1)
    end: float = setting(1e-5, "Standard deviation when the cosine ends, 0 to 1", ge=0, le=1)
    until: Span = setting(1.0, "When the cosine ends: steps, share of the run or time")
    ratio: float = setting(0.1, "Noise over the gradient's rms at step 0 (relative), 0 to 10", ge=0, le=10)
    decay: float = setting(
        0.275, "Exponent of the decay (relative): half of Neelakantan's 0.55 of the variance", ge=0, le=2
    )
    spike_factor: float = setting(3.0, "A loss above so many times its recent median is a spike, above 1", gt=1, le=100)
    spike_clip: float = setting(0.5, "Gradient norm allowed after a spike, when the noise is halved too; above 0", gt=0)


@final
class HaltingEntropyConfig(Settings):
    """EXP-05. Charges indecision of the halting head in late segments."""

    kind: Literal["entropy", "geometric"] = setting(
        "entropy", "Entropy of halting, or PonderNet's divergence from a geometric distribution (arXiv 2107.05407)"
    )
    weight: float = setting(1e-3, "Weight in the loss, 0 to 10", ge=0, le=10)
    after: int = setting(4, "Counts in segments beyond this one (entropy), 0 to 128", ge=0, le=128)
    through: Literal["head", "trunk"] = setting(
        "trunk", "Gradient into the halting head only, or through the trunk too"
    )
    rate: float = setting(0.2, "Halting rate of the geometric distribution (geometric), above 0 to below 1", gt=0, lt=1)


@final
class ObjectGraphConfig(Settings):
    """EXP-06. A share of the samples shows the graph of the input's objects instead of its grid."""

    share: float = setting(0.2, "Share of admissions that see the graph, 0 to 1", ge=0, le=1)
    connectivity: Literal[4, 8] = setting(8, "Neighbours that join cells of one colour into an object")
    max_objects: int = setting(64, "Largest objects kept, 1 to 900", ge=1, le=900)


@final
class CurriculumConfig(Settings):
    """EXP-07. Small grids first."""

    kind: Literal["downsample", "fit"] = setting(
        "downsample", "Grids and outputs shrunk to the stage's canvas, or only tasks that fit it"
    )
    scales: Scales = setting((0.6, 0.8, 1.0), "Canvas of each stage over the largest canvas: 18, 24 and 30 of 30")
    ends: Spans = setting((0.29, 0.58), "When each stage but the last ends: steps, shares of the run or time")


@final
class RuleHeadConfig(Settings):
    """EXP-08. A head that predicts descriptors of the task's rule, at training only."""

    weight: float = setting(0.1, "Weight in the loss, 0 to 10", ge=0, le=10)
    width: int = setting(32, "Hidden width of the head, 16 to 256", ge=16, le=256)
    read: Literal["mean", "prefix"] = setting(
        "mean", "Reads the mean of z_H over grid tokens, or the first prefix token"
    )
    blank_rows: float = setting(
        0.2, "Share of admissions without the task's row, which could memorise the labels", ge=0, le=1
    )


@final
class ReplayConfig(Settings):
    """EXP-09. Hard samples of the recent past again (weights: Schaul et al. 2015, arXiv 1511.05952)."""

    capacity: int = setting(
        10_000, "Samples kept, 1 to 10000000; at most a tenth of the window's admissions", ge=1, le=10**7
    )
    window: Span = setting(0.0417, "How far back a sample may come from: the plan's hour of its day")
    share: float = setting(0.2, "Share of slot-segments spent on replayed samples, 0 to 1", ge=0, le=1)
    cap: float = setting(0.25, "Never more than this share of slot-segments, 0 to 1", ge=0, le=1)
    task_share: float = setting(0.05, "At most this share of the buffer from one task, above 0 to 1", gt=0, le=1)
    importance: bool = setting(False, "Correct the bias by importance weights (second arm)")
    alpha: float = setting(0.6, "Exponent of the priorities (importance), 0 to 1", ge=0, le=1)
    beta: float = setting(0.4, "Exponent of the weights at the start, growing to 1 (importance), 0 to 1", ge=0, le=1)


@final
class LionSwapConfig(Settings):
    """EXP-10. Another optimizer for the last part (Lion: Chen et al. 2023, arXiv 2302.06675)."""

    start: Span = setting(0.4, "When the optimizer changes: steps, share of the run or time")
    betas: CheckedBetas = setting((0.95, 0.98), "Lion's decays, each 0 to below 1")
    weight_decay: float = setting(0.01, "Decoupled weight decay, 0 to 10", ge=0, le=10)
    lr_factor: float = setting(1.0, "Learning rate over the schedule's, above 0 to 10", gt=0, le=10)
    warmup: SpanOrZero = setting(0.005, "Warm-up after the change: steps, share of the run or time; 0 is none")


@final
class ContrastiveConfig(Settings):
    """Two augmented views of a task are closer than two tasks."""

    weight: float = setting(0.1, "Weight in the loss, 0 to 10", ge=0, le=10)
    temperature: float = setting(0.1, "Temperature of the similarities, above 0 to 10", gt=0, le=10)


@final
class FamilySamplingConfig(Settings):
    """Families that do badly are drawn more often."""

    strength: float = setting(0.5, "0: as the data; 1: all families alike", ge=0, le=1)


@final
class SharedDropoutConfig(Settings):
    """Dropout with one mask for all cycles of a slot's thinking."""

    probability: float = setting(0.025, "Drop probability, 0 to 0.9", ge=0, le=0.9)


@final
class StateNoiseConfig(Settings):
    """Noise on the states between segments."""

    scale: float = setting(0.003, "Standard deviation over the state's norm, 0 to 1", ge=0, le=1)


@final
class TechniquesConfig(Settings):
    """Each is None, off, or its settings. `techniques.replay=on` takes the plan's values."""

    swa_tail: SwaTailConfig | None = setting(None, "Weight averaging over a cyclic tail")
    drop_path: DropPathConfig | None = setting(None, "Stochastic depth of the high level")
    gradient_noise: GradientNoiseConfig | None = setting(None, "Noise on the gradient")
    halting_entropy: HaltingEntropyConfig | None = setting(None, "Entropy of halting in the loss")
    object_graph: ObjectGraphConfig | None = setting(None, "Object graphs as a second view")
    curriculum: CurriculumConfig | None = setting(None, "Grid-size curriculum")
    rule_head: RuleHeadConfig | None = setting(None, "Head for rule descriptors")
    replay: ReplayConfig | None = setting(None, "Replay of hard samples")
    lion_swap: LionSwapConfig | None = setting(None, "Lion for the last part")
    contrastive: ContrastiveConfig | None = setting(None, "Contrastive loss between views")
    family_sampling: FamilySamplingConfig | None = setting(None, "Sampling by family")
    shared_dropout: SharedDropoutConfig | None = setting(None, "One dropout mask for all cycles")
    state_noise: StateNoiseConfig | None = setting(None, "Noise on the carried states")
