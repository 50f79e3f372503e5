"""Speed of the whole training step and its peers, in a table for each shape: `pytest -m bench`.

On CUDA the shapes that have targets: with kernels in captured graphs, references in captured graphs, references
eagerly, and `torch.compile` with torch's attention. On a CPU a small batch of full canvases, eagerly and compiled.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from hrm_core.benchmarks.steps import FULL_CANVAS, SHAPES, VARIANTS, Variant, compiled_levels, shape_recipe
from hrm_core.data.dataset import load_dataset
from hrm_core.training.graphs import make_step
from hrm_core.training.setup import build_parts, choose_device
from hrm_core.training.step import Sum

CPU_SHAPES = {"916 tokens, batch 2": (*FULL_CANVAS, "training.batch=2", "training.threads=1")}

pytestmark = [
    pytest.mark.bench,
    pytest.mark.timeout(900),
    # torch.compile warns of its own parts, and of reading .grad from cast weights; inside it a warning is an error.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All variants on CUDA; those that need no graph on a CPU."""
    cuda = torch.cuda.is_available()
    variants = [variant for variant in VARIANTS if cuda or "training.graph=off" in variant.overrides]
    shapes = SHAPES if cuda else CPU_SHAPES
    places = [pytest.param(shape, variant, id=f"{shape}-{variant.name}") for shape in shapes for variant in variants]
    metafunc.parametrize(("shape", "variant"), places)


@pytest.mark.benchmark(max_time=3.0, min_rounds=5)
def test_speed_of_the_step(shape: str, variant: Variant, arc1_file: Path, benchmark: Any) -> None:
    lines = (SHAPES if torch.cuda.is_available() else CPU_SHAPES)[shape]
    recipe = shape_recipe(lines, *variant.overrides)
    chosen = choose_device(recipe.training)
    benchmark.group, benchmark.name = f"step, {shape}", variant.name
    with compiled_levels() if variant.compiled else nullcontext():
        parts = build_parts(recipe, load_dataset(arc1_file, recipe.data), chosen)
        benchmark.extra_info.update(segments_per_step=parts.num_slots, dtype=str(chosen.dtype))
        step = make_step(parts, lambda words: None)
        for _ in range(2):
            step()

        def waited() -> None:
            step()
            if chosen.device.type == "cuda":
                torch.cuda.synchronize()

        benchmark(waited)
    assert int(parts.sums[Sum.STEPS].item()) >= 7
