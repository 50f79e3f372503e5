"""Presets: sizes of a run, alike for every experiment so that arms stay comparable.

Recipe room; free of torch. A preset is a few lines over EXP-00; the experiment's own lines come after it.
"""

from __future__ import annotations

from typing import Any

Lines = dict[str, Any]

_SMALL: Lines = {
    "data.subset": "fits7",
    "augment.dihedral": False,
    "augment.color_probability": 0.0,
    "identity.place": "both",
    "model.hidden": 128,
    "model.heads": 2,
    "model.h_layers": 2,
    "model.l_layers": 2,
    "halting.max_segments": 8,
    "loss.kind": "softmax",
    "optimizer.lr": 1e-3,
    "rows.kind": "adam",
    "rows.lr": 1e-2,
    "training.batch": 32,
    "training.accumulation": 1,
    # Eight views would make the ten full validations cost more than the training itself.
    "evaluation.views": 2,
}

PRESETS: dict[str, Lines] = {
    "plan": {},
    "laptop": {"training.batch": 384, "training.accumulation": 1, "training.max_steps": 180_000},
    "h100": {
        "augment.pool": 80,
        "halting.max_segments": 8,
        "training.batch": 384,
        "training.accumulation": 1,
        "training.max_steps": 20_000,
    },
    # fits7 has 69 test pairs; of all 416, a full validation would take longer than the hundred steps between two.
    "cpu": {**_SMALL, "training.max_steps": 1_000, "data.validate_limit": 100},
    "demo": {**_SMALL, "training.max_steps": 1_300},
}
