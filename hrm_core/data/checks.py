"""A deeper look at a built file than loading takes. Path -> a short report, or the UserError that says what is wrong.

Loading checks digest, schema and every value already. Here every pair is also laid under several augmentations and
brought back, the splits are compared with the task table, and the stages with the rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from hrm_core.data import schema
from hrm_core.data.dataset import make_dataset
from hrm_core.data.file import BUILD_IT, digest_path, read_content
from hrm_core.data.lanes import LanePairs
from hrm_core.data.schema import Content
from hrm_core.data.streams import choose
from hrm_core.data.views import decode_grid, invert_grid
from hrm_core.errors import UserError
from hrm_core.recipe.augment import AugmentConfig
from hrm_core.recipe.data import DataConfig
from hrm_core.runs.text import clean
from triton_kernels.lay import lay

ROUND_TRIPS = 2  # admissions of every training pair that are brought back


def check_file(path: Path) -> dict[str, Any]:
    """What was found in order; UserError at the first thing that is not."""
    content, digest = read_content(path, BUILD_IT)
    dataset = make_dataset(content, DataConfig(), digest)
    faults = [*split_faults(content), *stage_faults(content)]
    trips = 0
    for lane_id, lane in enumerate(dataset.train.values()):
        wrong = round_trip_faults(lane, lane_id)
        trips += ROUND_TRIPS * lane.num_pairs
        if wrong:
            faults.append(f"{wrong} pairs on canvas {lane.side} do not come back from their augmentation")
    if faults:
        raise UserError(f"data file {clean(path)}: {faults[0]}; {BUILD_IT}", exit_code=1)
    rows = sum(len(columns["task"]) for columns in content.canvas.values())
    return {
        "file": str(path),
        "sha256": digest_path(path).read_text(encoding="ascii").split()[0],
        "digest": digest,
        "tasks": len(dataset.tasks),
        "pairs": rows,
        "round_trips": trips,
        "verdict": "good",
    }


def split_faults(content: Content) -> list[str]:
    """Pairs in another split than their task's kind and their number say."""
    evaluation, demonstrations = content.tasks["evaluation"], content.tasks["num_demonstrations"]
    faults = []
    for side, rows in content.canvas.items():
        tested = rows["pair"] >= demonstrations[rows["task"]]
        expected = np.where(tested, np.where(evaluation[rows["task"]] > 0, schema.EVAL, schema.VAL), schema.TRAIN)
        wrong = int((expected != rows["split"]).sum())
        if wrong:
            faults.append(f"{wrong} pairs on canvas {side} are in the wrong split")
    return faults


def stage_faults(content: Content) -> list[str]:
    """Curriculum ranges that hold anything but the training rows of their stage."""
    faults = []
    for stage, side, start, stop in zip(*(content.curriculum[name] for name in schema.STAGE_COLUMNS), strict=True):
        rows = content.canvas.get(int(side))
        chosen = np.zeros(0) if rows is None else np.zeros(len(rows["task"]))
        chosen[start:stop] = 1
        if rows is None or not np.array_equal(
            chosen > 0, (rows["split"] == schema.TRAIN) & (content.tasks["stage"][rows["task"]] <= stage)
        ):
            faults.append(f"the rows of stage {stage} on canvas {side} are not those of its tasks")
    return faults


def round_trip_faults(pairs: LanePairs, lane_id: int) -> int:
    """How many grids of a lane, each admitted ROUND_TRIPS times, differ from the original once brought back."""
    slots = torch.arange(pairs.num_pairs)
    wrong = 0
    for admission in range(ROUND_TRIPS):
        chosen = choose(pairs, AugmentConfig(), 1, lane_id, pairs.num_pairs, slots, torch.full_like(slots, admission))
        tokens, labels = lay(
            pairs.input, pairs.target, pairs.sizes, chosen.index, chosen.dihedral, chosen.colors, chosen.offset
        )
        for laid, original, height, width in (
            (tokens, pairs.input, pairs.input_height, pairs.input_width),
            (labels, pairs.target, pairs.target_height, pairs.target_width),
        ):
            fields = laid.reshape(-1, pairs.side, pairs.side).numpy()
            for slot, row in enumerate(chosen.index.tolist()):
                offset = (int(chosen.offset[slot, 0]), int(chosen.offset[slot, 1]))
                back = invert_grid(
                    decode_grid(fields[slot], offset), int(chosen.dihedral[slot]), chosen.colors[slot].numpy()
                )
                wrong += not np.array_equal(back, original[row, : height[row], : width[row]].numpy())
    return wrong
