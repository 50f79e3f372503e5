"""Which techniques a recipe has, as plugs in the order in which they act at every point.

Techniques room. The list is written by hand: a new technique is a new file, one field in
`recipe/techniques.py` and one line here. The trainer is not touched.
"""

from __future__ import annotations

from collections.abc import Sequence

from hrm_core.learning.lanes import LaneState
from hrm_core.techniques.contrastive import contrastive
from hrm_core.techniques.curriculum import Curriculum
from hrm_core.techniques.drop_path import drop_path
from hrm_core.techniques.family_sampling import FamilySampling
from hrm_core.techniques.gradient_noise import GradientNoise
from hrm_core.techniques.halting_entropy import HaltingEntropy
from hrm_core.techniques.label_smoothing import label_smoothing
from hrm_core.techniques.lion_swap import LionSwap
from hrm_core.techniques.object_features import CellObjects
from hrm_core.techniques.object_graph import ObjectGraphView
from hrm_core.techniques.points import Bench, Plug, Techniques
from hrm_core.techniques.replay import Replay
from hrm_core.techniques.rule_head import RuleDescriptors
from hrm_core.techniques.shared_dropout import shared_dropout
from hrm_core.techniques.spikes import SPIKE_FACTOR, SpikeDetector
from hrm_core.techniques.state_noise import state_noise
from hrm_core.techniques.swa_tail import SwaTail


def compose_techniques(bench: Bench) -> Techniques:
    """The plugs of the recipe's techniques; none where all are off."""
    wanted = bench.recipe.techniques
    chosen: list[Plug] = []

    def attach(lanes: Sequence[LaneState]) -> None:
        techniques.attach(lanes)

    if wanted.curriculum is not None:  # first: it puts its own lanes in the bench
        chosen.append(Curriculum(wanted.curriculum, bench, attach).plug())
    if wanted.family_sampling is not None:
        chosen.append(FamilySampling(wanted.family_sampling, bench).plug())
    if wanted.object_graph is not None:
        chosen.append(ObjectGraphView(wanted.object_graph, bench).plug())
    if bench.recipe.input.object_features:  # after the graph, which leaves colours on its nodes only
        chosen.append(CellObjects(bench).plug())
    if wanted.state_noise is not None:
        chosen.append(state_noise(wanted.state_noise, bench))
    if wanted.drop_path is not None:
        chosen.append(drop_path(wanted.drop_path, bench))
    if wanted.shared_dropout is not None:
        chosen.append(shared_dropout(wanted.shared_dropout, bench))
    if bench.recipe.loss.label_smoothing:
        chosen.append(label_smoothing(bench.recipe.loss.label_smoothing, bench))
    if wanted.contrastive is not None:
        chosen.append(contrastive(wanted.contrastive, bench))
    if wanted.halting_entropy is not None:
        chosen.append(HaltingEntropy(wanted.halting_entropy, bench).plug())
    if wanted.rule_head is not None:
        chosen.append(RuleDescriptors(wanted.rule_head, bench).plug())
    if wanted.replay is not None:  # after all that change what a slot admits: it keeps what was admitted in the end
        chosen.append(Replay(wanted.replay, bench).plug())
    if wanted.gradient_noise is not None:
        chosen.append(GradientNoise(wanted.gradient_noise, bench).plug())
    if wanted.lion_swap is not None:
        chosen.append(LionSwap(wanted.lion_swap, bench).plug())
    if wanted.swa_tail is not None:
        chosen.append(SwaTail(wanted.swa_tail, bench).plug())
    factor = SPIKE_FACTOR if wanted.gradient_noise is None else wanted.gradient_noise.spike_factor
    techniques = Techniques(chosen, bench.timeline, SpikeDetector(factor))
    techniques.attach(bench.lanes)
    return techniques
