"""Which techniques a recipe has, as plugs in the order in which they act at every point.

Techniques room. The list is written by hand: a new technique is a new file, one field in
`recipe/techniques.py` and one line here. The trainer is not touched.
"""

from __future__ import annotations

from hrm_core.techniques.contrastive import contrastive
from hrm_core.techniques.drop_path import drop_path
from hrm_core.techniques.halting_entropy import HaltingEntropy
from hrm_core.techniques.label_smoothing import label_smoothing
from hrm_core.techniques.points import Bench, Plug, Techniques
from hrm_core.techniques.replay import Replay
from hrm_core.techniques.shared_dropout import shared_dropout
from hrm_core.techniques.state_noise import state_noise


def compose_techniques(bench: Bench) -> Techniques:
    """The plugs of the recipe's techniques; none where all are off."""
    wanted = bench.recipe.techniques
    chosen: list[Plug] = []
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
    if wanted.replay is not None:  # after all that change what a slot admits: it keeps what was admitted in the end
        chosen.append(Replay(wanted.replay, bench).plug())
    techniques = Techniques(chosen, bench.timeline)
    techniques.attach(bench.lanes)
    return techniques
