"""Every technique with small settings that act within 20 steps, and settings with which it must change nothing."""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """`neutral`: overrides that leave the technique on and without effect; None where there is no such setting."""

    on: tuple[str, ...]
    neutral: tuple[str, ...] | None


# Name -> case. One line a technique, in the order of `hrm_core/techniques/compose.py`.
CASES: dict[str, Case] = {
    # Canvases of 4, 6 and 7 cells from steps 0, 4 and 8.
    "curriculum": Case(
        ("techniques.curriculum.ends=4,8",), ("techniques.curriculum.scales=1.0,1.0", "techniques.curriculum.ends=0.9")
    ),
    "curriculum_fit": Case(
        ("techniques.curriculum.kind=fit", "techniques.curriculum.ends=4,14"),
        ("techniques.curriculum.kind=fit", "techniques.curriculum.scales=1.0,1.0", "techniques.curriculum.ends=0.9"),
    ),
    "family_sampling": Case(("techniques.family_sampling=on",), ("techniques.family_sampling.strength=0",)),
    "object_graph": Case(("techniques.object_graph.share=0.5",), ("techniques.object_graph.share=0",)),
    "object_features": Case(("input.object_features=true",), None),
    "state_noise": Case(("techniques.state_noise=on",), ("techniques.state_noise.scale=0",)),
    "drop_path": Case(
        ("techniques.drop_path.probability=0.5", "techniques.drop_path.mask=call"),
        ("techniques.drop_path.probability=0",),
    ),
    "shared_dropout": Case(
        ("techniques.shared_dropout.probability=0.2",), ("techniques.shared_dropout.probability=0",)
    ),
    # A share of 0 is off.
    "label_smoothing": Case(("loss.label_smoothing=0.1",), None),
    "contrastive": Case(("techniques.contrastive=on", "training.batch=12"), ("techniques.contrastive.weight=0",)),
    "halting_entropy": Case(
        ("techniques.halting_entropy.weight=0.1", "techniques.halting_entropy.after=1"),
        ("techniques.halting_entropy.weight=0", "techniques.halting_entropy.after=1"),
    ),
    "halting_entropy_geometric": Case(
        ("techniques.halting_entropy.kind=geometric", "techniques.halting_entropy.weight=0.1"),
        ("techniques.halting_entropy.kind=geometric", "techniques.halting_entropy.weight=0"),
    ),
    "rule_head": Case(
        ("techniques.rule_head.blank_rows=0.5",), ("techniques.rule_head.weight=0", "techniques.rule_head.blank_rows=0")
    ),
    "gradient_noise": Case(
        ("techniques.gradient_noise=on",), ("techniques.gradient_noise.start=0", "techniques.gradient_noise.end=0")
    ),
    "gradient_noise_relative": Case(
        ("techniques.gradient_noise.kind=relative",),
        ("techniques.gradient_noise.kind=relative", "techniques.gradient_noise.ratio=0"),
    ),
    "lion_swap": Case(
        ("techniques.lion_swap.start=5", "techniques.lion_swap.warmup=3"), ("techniques.lion_swap.start=1.0",)
    ),
    # With a period of 4 the low points of 20 steps after step 4 are 8, 12, 16 and 20.
    "swa_tail": Case(
        ("techniques.swa_tail.start=4", "techniques.swa_tail.period=4"), ("techniques.swa_tail.start=1.0",)
    ),
    "replay": Case(
        ("techniques.replay.window=10", "techniques.replay.capacity=50", "techniques.replay.task_share=0.5"),
        ("techniques.replay.share=0",),
    ),
    "replay_importance": Case(
        ("techniques.replay.importance=true", "techniques.replay.window=10", "techniques.replay.task_share=0.5"),
        ("techniques.replay.importance=true", "techniques.replay.share=0"),
    ),
}
