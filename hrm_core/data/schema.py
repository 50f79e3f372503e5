"""The built file: what it may contain, to the last dtype, as one table that writer and reader share.

`/canvas/<side>/` pairs on their task's canvas, `/tasks/` one row per task, `/oversize/` test outputs that their canvas
cannot hold, `/curriculum/` stages and the row ranges that belong to each, `/objects/` connected components. All columns
of a group have equal length. Reading and writing are in `file`; what the numbers mean on a recipe's own canvases is
decided in `dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]
Spec = dict[str, tuple[tuple[str | int, ...], str]]

FORMAT = "hrm-data"
FORMAT_VERSION = 1
BUILDER_VERSION = 1

SPLITS = ("train", "val", "eval")
TRAIN, VAL, EVAL = range(3)
CURRICULUM_STAGES = (18, 24, 30)

MAX_ROWS = 1_000_000
MAX_CELLS = 2**28  # of one column: a small file may claim to hold far more than memory
MAX_ID_BYTES = 255

# Trailing shape and dtype of every data set; "side" stands for the canvas, dtype S for fixed-length bytes.
PAIR_COLUMNS: Spec = {
    "input": (("side", "side"), "uint8"),
    "target": (("side", "side"), "uint8"),
    "task": ((), "int32"),
    "pair": ((), "int32"),
    "split": ((), "int32"),
    "input_height": ((), "int32"),
    "input_width": ((), "int32"),
    "target_height": ((), "int32"),
    "target_width": ((), "int32"),
    "duplicate": ((), "int32"),
    "oversize": ((), "int32"),
}
OVERSIZE_COLUMNS: Spec = {
    "target": ((30, 30), "uint8"),
    "task": ((), "int32"),
    "pair": ((), "int32"),
    "split": ((), "int32"),
    "target_height": ((), "int32"),
    "target_width": ((), "int32"),
}
DESCRIPTOR_COLUMNS = (
    "symmetry",
    "translation",
    "translation_row",
    "translation_column",
    "objects_changed",
    "recolored",
)
TASK_COLUMNS: Spec = {
    "id": ((), "S"),
    "source": ((), "int32"),
    "evaluation": ((), "int32"),
    "num_demonstrations": ((), "int32"),
    "num_tests": ((), "int32"),
    "known_side": ((), "int32"),
    "size_varies": ((), "int32"),
    "canvas": ((), "int32"),
    "stage": ((), "int32"),
    "families": ((), "int64"),
    "colors": ((10,), "uint8"),
    **dict.fromkeys(DESCRIPTOR_COLUMNS, ((), "int32")),
}
# Objects of the grids known at test time, see `objects`. grid: 0 input, 1 target; color 10: of several colours.
OBJECT_COLUMNS: Spec = {
    "task": ((), "int32"),
    "pair": ((), "int32"),
    "grid": ((), "uint8"),
    "neighbors": ((), "uint8"),
    "color": ((), "uint8"),
    "row": ((), "uint8"),
    "column": ((), "uint8"),
    "height": ((), "uint8"),
    "width": ((), "uint8"),
    "area": ((), "int32"),
}
STAGE_COLUMNS: Spec = {
    "stage": ((), "int32"),
    "side": ((), "int32"),
    "start": ((), "int32"),
    "stop": ((), "int32"),
}
# Attributes of the root: name -> type. `provenance` is a JSON object of the sources, their digests and what is missing;
# `content_sha256` is over all columns and the other attributes: lzf packs the same cells differently from time to time,
# so the file's own sha256 finds damage, and this one says whether two files hold the same data.
ATTRIBUTES: dict[str, type] = {
    "format": str,
    "format_version": int,
    "builder_version": int,
    "seed": int,
    "provenance": str,
    "content_sha256": str,
}


@final
@dataclass(frozen=True)
class Content:
    """All of a built file as numpy arrays: canvas side -> pair columns, and the other groups.

    `curriculum` holds, for each stage and canvas, the half-open row range of the training pairs that belong to it.
    """

    attributes: dict[str, Any]
    canvas: dict[int, Columns]
    tasks: Columns
    oversize: Columns = field(default_factory=dict)
    curriculum: Columns = field(default_factory=dict)
    objects: Columns = field(default_factory=dict)

    def groups(self) -> dict[str, tuple[Columns, Spec, int]]:
        """Group name -> (columns, what the schema says of them, canvas side), in the order of the file."""
        groups = {f"canvas/{side}": (columns, PAIR_COLUMNS, side) for side, columns in sorted(self.canvas.items())}
        groups["tasks"] = (self.tasks, TASK_COLUMNS, 0)
        groups["oversize"] = (self.oversize, OVERSIZE_COLUMNS, 0)
        groups["curriculum"] = (self.curriculum, STAGE_COLUMNS, 0)
        groups["objects"] = (self.objects, OBJECT_COLUMNS, 0)
        return groups


def empty_columns(spec: Spec, side: int = 0) -> Columns:
    """Columns of no rows, of the schema's shapes and dtypes."""
    return {
        name: np.zeros((0, *(side if size == "side" else int(size) for size in shape)), dtype=dtype)
        for name, (shape, dtype) in spec.items()
    }
