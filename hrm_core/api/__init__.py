"""The Python API: what `hrm` does, as five functions. `docs/api.md` has an example of each.

API room, between the commands and everything else: snapshots, puzzles, experiments and run folders -> the frozen
records of `results.py`. The commands call these functions too. Importing this loads no torch; what a user can put right
is an `hrm_core.errors.UserError`. Names that are not here are ours to change.
"""

from __future__ import annotations

from hrm_core.api.answering import predict
from hrm_core.api.judging import evaluate
from hrm_core.api.loading import load
from hrm_core.api.run_folders import runs, train

__all__ = ["evaluate", "load", "predict", "runs", "train"]
