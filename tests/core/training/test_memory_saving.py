"""What a checkpoint holds on the host, predicted, against the copies that are really made; and what counts it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from small_trainer import TINY_MODEL

from hrm_core.cli.main import cli
from hrm_core.data.dataset import load_dataset
from hrm_core.errors import UserError
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.memory import plan_memory
from hrm_core.recipe.memory_saving import saving_bytes
from hrm_core.training import memory
from hrm_core.training.checkpoint import take_snapshot
from hrm_core.training.memory import enforce, setting_for
from hrm_core.training.plan import make_plan
from hrm_core.training.progress import Progress
from hrm_core.training.setup import assemble_parts, choose_device
from hrm_core.training.tensor_files import HostCopies, size_of


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("training.dtype=bf16", "model.hidden=64", "training.batch=8"),
        ("averaging.kind=ema", "averaging.rows=true", "optimizer.kind=lion", "rows.kind=adam"),
        ("averaging.kind=none", "optimizer.kind=muon", "techniques.swa_tail.start=0.8"),
        ("identity.kind=shared",),
    ],
)
def test_the_copies_are_as_large_as_predicted(arc1_file: Path, overrides: tuple[str, ...]) -> None:
    recipe = build_recipe("demo", (*TINY_MODEL, *overrides)).recipe
    dataset, chosen = load_dataset(arc1_file, recipe.data), choose_device(recipe.training)
    parts = assemble_parts(recipe, dataset, chosen)
    progress = Progress(make_plan(recipe)).to_json()
    taken = take_snapshot(parts, ("task",), {}, progress, copies=HostCopies(reuse=True))
    made = sum(map(size_of, taken.tensors.values()))
    assert saving_bytes(recipe, setting_for(recipe, dataset, chosen)) == pytest.approx(made, rel=0.01)


def test_a_cpu_has_to_hold_both(arc1_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = build_recipe("demo", TINY_MODEL).recipe
    dataset, chosen = load_dataset(arc1_file, recipe.data), choose_device(recipe.training)
    setting = setting_for(recipe, dataset, chosen)
    peak, saving = plan_memory(recipe, setting).peak, saving_bytes(recipe, setting)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(total=peak + saving))
    enforce(recipe, dataset, chosen)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(total=peak + saving - 1))
    with pytest.raises(UserError, match=r"this machine's memory less the .* that a checkpoint copies is"):
        enforce(recipe, dataset, chosen)


def test_the_prediction_names_it() -> None:
    shown = CliRunner().invoke(cli, ["bench", "memory", "EXP-00"])
    assert shown.exit_code == 0, shown.output
    assert "a checkpoint under way holds" in shown.output and "of the host's memory (pinned)" in shown.output
    shown = CliRunner().invoke(cli, ["bench", "memory", "EXP-00", "--device", "cpu"])
    assert "on top of the peak" in shown.output
