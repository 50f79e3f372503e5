"""Small synthetic tasks for the data tests: sizes, splits and one test output that its canvas cannot hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrm_core.data.grids import Pair, Task

Json = dict[str, Any]


def random_pair(generator: np.random.Generator, shapes: tuple[tuple[int, int], tuple[int, int]]) -> Pair:
    given, target = (generator.integers(0, 10, shape, dtype=np.uint8) for shape in shapes)
    return Pair(given, target)


@pytest.fixture
def make_task() -> Callable[..., Task]:
    """make_task("name", [(input shape, output shape), ...], [tests ...], evaluation=False, seed=0)."""

    def make(name: str, demonstrations: Any, tests: Any, evaluation: bool = False, seed: int = 0) -> Task:
        generator = np.random.default_rng([seed, *name.encode()])
        pairs = [tuple(random_pair(generator, shapes) for shapes in group) for group in (demonstrations, tests)]
        return Task(name, "synthetic", evaluation, pairs[0], pairs[1], f"{name}.json")

    return make


@pytest.fixture
def synthetic_tasks(make_task: Callable[..., Task]) -> list[Task]:
    """Seven tasks: 3x3 to 30x30, one whose output sizes vary, one with two tests, one oversize test output."""
    small, wide, large = ((3, 3), (3, 3)), ((5, 12), (5, 12)), ((30, 29), (2, 1))
    return [
        make_task("small", [small, small], [small]),
        make_task("wide", [wide, ((12, 5), (5, 12))], [wide, wide]),
        make_task("varies", [((9, 9), (2, 2)), ((9, 9), (3, 3))], [((9, 9), (4, 4))]),
        make_task("grows", [((4, 4), (8, 8))], [((6, 6), (12, 12))]),
        make_task("large", [large], [large], evaluation=True),
        make_task("middle", [((17, 4), (4, 17)), ((1, 1), (1, 1))], [((17, 17), (17, 17))], evaluation=True),
        make_task("shoots", [((5, 5), (5, 5))], [((5, 5), (25, 20))], evaluation=True),
    ]


@pytest.fixture
def task_json() -> Callable[..., Json]:
    """task_json(**replacements) -> a valid task as JSON; keys of the task may be replaced."""

    def make(**replacements: Any) -> Json:
        pair = {"input": [[0, 1], [2, 3]], "output": [[3, 2], [1, 0]]}
        return {"train": [pair, pair], "test": [pair], **replacements}

    return make


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with an empty home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path
