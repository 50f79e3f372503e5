"""Formats that people write: recipes, saved experiments, settings, overrides, the key map, ARC tasks.

Torture room. Each `prepare` gives seeds as our own writers make them and a reader that goes the way of the program.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hrm_core.data.build import build
from hrm_core.data.file import from_bytes, to_bytes
from hrm_core.data.grids import Pair, Task
from hrm_core.data.sources.folders import read_path
from hrm_core.recipe.experiments import EXPERIMENTS
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.my_experiments import MyExperiment, find_mine, write_mine
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.toml_io import from_toml, read_recipe, to_toml
from hrm_core.runs.user_settings import BY_KEY, parsed, read_settings, settings_text
from hrm_core.torture.fuzz_reader import Reader, Wrong, check_problems

WORDS = (
    "EXP-00\npreset=cpu\ntraining.batch=32\noptimizer.lr=3e-4\ntraining.max_steps=20min\nmodel.hidden=128",
    "demo\ntraining.seed=7\ndata.canvases=[7]\naveraging.kind=none\ntraining.checkpoint_every=0.1\naugment.translate=0.5",
    "EXP-03\npreset=laptop\ntechniques.gradient_noise=on\nschedule=absolute\nevaluation.views=2\ntraining.dtype=bf16",
    "EXP-07\ndata.source='a b'\noptimizer.clip=none\ndata.canvases=30\nkernels.mode=auto\ntraining.threads=2",
)


def round_trip(recipe: Recipe) -> None:
    """Wrong where a recipe that was taken is another after it was written."""
    if from_toml(to_toml(recipe)) != recipe:
        raise Wrong("a recipe that is another once it is written")


def recipes(folder: Path) -> Reader:
    """recipe.toml of a run: with its digest line whole, only the recipe itself may come of it."""
    names = ("EXP-00", "demo", "EXP-03", "EXP-09", "strong")
    known = [to_toml(build_recipe(name).recipe).encode() for name in names]
    bare = [text.partition(b"\n")[2] for text in known]
    written = {text.partition(b"\n")[0]: from_toml(text.decode()) for text in known}
    path = folder / "recipe.toml"

    def read(label: str, data: bytes, forged: bool) -> bool:
        path.write_bytes(data)
        recipe = read_recipe(path)
        expected = written.get(data.partition(b"\n")[0])
        if expected is not None and recipe != expected:
            raise Wrong("another recipe below its digest")
        round_trip(recipe)
        return True

    return Reader([("with digest", text) for text in known] + [("by hand", text) for text in bare], read)


def experiments(folder: Path) -> Reader:
    """Saved experiments."""
    mine = [
        MyExperiment("mine", "EXP-00", "cpu", ("training.batch=32", "optimizer.lr=1e-3"), "a title", "a guess"),
        MyExperiment("mine", "EXP-03", "laptop", ("data.canvases=10,14",)),
    ]
    seeds = [("mine.toml", write_mine(one, EXPERIMENTS, folder, replace_it=True).read_bytes()) for one in mine]

    def read(label: str, data: bytes, forged: bool) -> bool:
        (folder / "mine.toml").write_bytes(data)
        return find_mine("mine", EXPERIMENTS, folder) is not None

    return Reader(seeds, read)


def settings(folder: Path) -> Reader:
    """settings.toml: whatever holds is of the kind and range that the list says."""
    defaults = {key: setting.default for key, setting in BY_KEY.items()}
    other = {**defaults, "console.theme": "calm", "console.refresh_s": 2.0, "notify.command": ("a", "b")}
    every = {**other, "console.mouse": False, "archive.budget_gib": 3.0, "console.exports": "~/x y"}
    path = folder / "settings.toml"

    def read(label: str, data: bytes, forged: bool) -> bool:
        path.write_bytes(data)
        found = read_settings(path)
        for key, value in found.values.items():
            if parsed(BY_KEY[key], value) != value:
                raise Wrong(f"{key} is {value!r}")
        check_problems(found.problems)
        return not found.problems

    return Reader([("settings.toml", settings_text(values).encode()) for values in (defaults, other, every)], read)


def overrides(folder: Path) -> Reader:
    """Words behind `hrm run`, one a line."""

    def read(label: str, data: bytes, forged: bool) -> bool:
        name, *words = data.decode("utf-8", "surrogateescape").split("\n")
        round_trip(build_recipe(name, words).recipe)
        return True

    return Reader([("words", text.encode()) for text in WORDS], read)


def keys(folder: Path) -> Reader:
    """The console's key map. Found by its name: this room imports nothing of the console."""
    module = importlib.import_module("hrm_console.keys")
    path = folder / "keys.toml"
    seeds = (
        b'[keys]\nopen = "f2,ctrl+n"\nmark = "f3"\n',
        b'# Keys\n[keys]\nfilter = "f5"\npage_1 = "f6"\n',
    )

    def read(label: str, data: bytes, forged: bool) -> bool:
        path.write_bytes(data)
        keymap, problems = module.read_keymap(path)
        for name, value in keymap.items():
            if not all(module.SAFE.fullmatch(key) for key in value.split(",")):
                raise Wrong(f"{name} = {value!r}")
        check_problems(problems)
        return not problems

    return Reader([("keys.toml", text) for text in seeds], read)


def _task_value(task: int) -> dict[str, Any]:
    def grid(height: int, width: int) -> list[list[int]]:
        return [[(task + 3 * row + column) % 10 for column in range(width)] for row in range(height)]

    pairs = [{"input": grid(3, 3 + number), "output": grid(2 + task % 2, 4)} for number in range(3)]
    return {"train": pairs[:2], "test": pairs[2:]}


def _same_pairs(pairs: tuple[Pair, ...], value: object) -> bool:
    mine = [{"input": pair.input.tolist(), "output": pair.target.tolist()} for pair in pairs]
    return isinstance(value, list) and mine == [
        {key: entry.get(key) for key in ("input", "output")} for entry in value if isinstance(entry, dict)
    ]


def _is_in(task: Task, value: object) -> bool:
    """Whether the JSON value, read by nothing of ours, holds this task."""
    return any(
        _same_pairs(task.demonstrations, found.get("train")) and _same_pairs(task.tests, found.get("test"))
        for found in _tasks_in(value)
    )


def _tasks_in(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "train" in value and "test" in value:
            yield value
        for part in value.values():
            if isinstance(part, dict):
                yield from _tasks_in(part)


def tasks(folder: Path) -> Reader:
    """ARC tasks: one a file, or many; what is taken stands in the JSON and can be built into a data file."""
    one = [json.dumps(_task_value(task)).encode() for task in range(3)]
    many = json.dumps({"train": {"a": _task_value(4)}, "eval": {"b": _task_value(5), "c": _task_value(6)}}).encode()

    def read(label: str, data: bytes, forged: bool) -> bool:
        path = folder / label
        path.write_bytes(data)
        source = read_path(path, "made")
        value = json.loads(data.decode("utf-8-sig"))
        for task in source.tasks:
            if not _is_in(task, value):
                raise Wrong(f"task {task.id!r} is not in the file")
        for bad in source.bad:
            if len(bad.reason) > 1000:
                raise Wrong("a reason without end")
        if len(data) % 16 == 0 and source.tasks:
            from_bytes(to_bytes(build([source])))
        return not source.bad

    return Reader([("one.json", text) for text in one] + [("many.json", many)], read)
