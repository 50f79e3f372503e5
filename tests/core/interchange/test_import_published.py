"""Published checkpoints in: equal logits, every name and shape checked, nothing run, nothing half-made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from published_reference import HRM, TRM, Published, make_state, reference
from safetensors.torch import save_file
from torch import Tensor

from hrm_core.errors import UserError
from hrm_core.interchange.import_published import Imported, import_published
from hrm_core.interchange.published_files import read_published
from hrm_core.interchange.token_files import TokenBatch
from hrm_core.runs.atomic import ABANDONED_S, is_leftover, sibling
from hrm_core.runs.snapshots import read_meta, verify_folder
from hrm_core.training.checkpoint import load_snapshot

SIDE = 5


def write(folder: Path, state: dict[str, Tensor], arch: dict[str, object] | None, name: str = "step_77") -> Path:
    folder.mkdir(exist_ok=True)
    torch.save(state, folder / name)
    if arch is not None:
        (folder / "all_config.yaml").write_text(yaml.safe_dump({"arch": arch, "seed": 0}))
    return folder


def imported(tmp_path: Path, sizes: Published, state: dict[str, Tensor], **more: object) -> Imported:
    files = read_published(write(tmp_path / "published", state, sizes.arch))
    return import_published(files, "hrm" if sizes.high else "trm", tmp_path / "snapshot", **more)  # type: ignore[arg-type]


def predicted(snapshot: Path, segments: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    tokens = torch.randint(0, 12, (3, SIDE * SIDE), generator=torch.Generator().manual_seed(1))
    identity = torch.tensor([0, 4, 8])
    batch = TokenBatch(tokens.int(), identity, SIDE)
    logits, halting = batch.predict(load_snapshot(snapshot).model, segments, 2, lambda _: None)
    return tokens, identity, torch.from_numpy(logits), torch.from_numpy(halting)


def apart(found: Tensor, wanted: Tensor) -> float:
    return float((found.detach() - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("prefix", ["model.inner.", "_orig_mod.model.inner.", "inner.", "module.model.inner."])
def test_names_before_a_name_are_left_out(tmp_path: Path, prefix: str) -> None:
    state = make_state(HRM)
    made = imported(tmp_path, HRM, {name.replace("model.inner.", prefix): tensor for name, tensor in state.items()})
    assert verify_folder(made.path) == []
    assert apart(load_snapshot(made.path).model.head, state["model.inner.lm_head.weight"]) == 0


@pytest.mark.parametrize("sizes", [HRM, TRM], ids=["hrm", "trm"])
@pytest.mark.parametrize("segments", [1, 2, 3])
def test_logits_equal_the_published_formula(tmp_path: Path, sizes: Published, segments: int) -> None:
    state = make_state(sizes)
    made = imported(tmp_path, sizes, state)
    tokens, identity, logits, halting = predicted(made.path, segments)
    wanted = reference(state, sizes, tokens, identity, segments)
    assert apart(logits, wanted[0]) < 1e-4
    assert apart(halting, wanted[1]) < 1e-4
    # The first token is read by the halting head: its identity row must have got there.
    others = reference(state, sizes, tokens, identity.flip(0), segments)
    assert apart(logits, others[0]) > 1e-2


def test_the_snapshot_says_where_it_came_from(tmp_path: Path) -> None:
    made = imported(tmp_path, TRM, make_state(TRM))
    loaded = load_snapshot(made.path)
    assert (loaded.step, made.rows, made.recipe.experiment) == (77, 9, "trm")
    assert loaded.task_ids[:2] == ("row-0", "row-1")
    assert made.recipe.model.share_levels and made.recipe.identity.prefix_tokens == 4
    meta = read_meta(made.path)
    assert meta is not None and meta["imported"]["from"] == "trm" and len(meta["imported"]["sha256"]) == 64
    assert made.assumed == ""


def test_names_of_the_identity_rows_come_along(tmp_path: Path) -> None:
    names = tmp_path / "identifiers.json"
    names.write_text(json.dumps(["<blank>", *(f"puzzle{number}" for number in range(8))]))
    made = imported(tmp_path, HRM, make_state(HRM), identifiers=names)
    assert load_snapshot(made.path).task_ids[8] == "puzzle7"
    names.write_text(json.dumps(["<blank>", "a"]))
    with pytest.raises(UserError, match="2 names, the checkpoint 9 identity rows"):
        import_published(read_published(tmp_path / "published"), "hrm", tmp_path / "other", identifiers=names)


def test_without_settings_it_says_what_it_takes_as_published(tmp_path: Path) -> None:
    folder = write(tmp_path / "published", make_state(HRM), None)
    made = import_published(read_published(folder), "hrm", tmp_path / "snapshot", ("model.heads=2",))
    assert made.recipe.model.heads == 2
    assert made.assumed == "H_cycles 2, L_cycles 2, halt_max_steps 16", "what --set says is not taken for granted"
    with pytest.raises(UserError, match="only what the weights do not show"):
        import_published(read_published(folder), "hrm", tmp_path / "two", ("model.hidden=64",))
    with pytest.raises(UserError, match="heads"):  # 8 heads of 64 would be 8 wide
        import_published(read_published(folder), "hrm", tmp_path / "three")
    assert not (tmp_path / "three").exists()


def test_safetensors_and_the_last_of_several_steps(tmp_path: Path) -> None:
    state, folder = make_state(HRM), tmp_path / "published"
    write(folder, make_state(HRM, seed=1), HRM.arch, "step_9")
    write(folder, state, HRM.arch, "step_10")
    assert read_published(folder).step == 10
    save_file(state, folder / "model.safetensors")
    files = read_published(folder / "model.safetensors")
    assert torch.equal(files.tensors["model.inner.H_init"], state["model.inner.H_init"])
    assert files.arch["num_heads"] == 2


def changed(**tensors: Tensor | None) -> dict[str, Tensor]:
    """A state dict of HRM with some of its tensors replaced, removed or added; `__` stands for a dot."""
    state = make_state(HRM)
    for name, tensor in tensors.items():
        state.pop("model.inner." + name.replace("__", "."), None)
        if tensor is not None:
            state["model.inner." + name.replace("__", ".")] = tensor
    return state


@pytest.mark.parametrize(
    ("state", "origin", "said"),
    [
        (changed(puzzle_emb__weights=None), "hrm", "puzzle_emb.weights is missing"),
        (changed(lm_head__weight=None), "hrm", "missing: lm_head.weight"),
        (changed(embed_pos__embedding_weight=torch.zeros(3)), "hrm", "left over: embed_pos.embedding_weight"),
        (changed(q_head__bias=torch.zeros(3)), "hrm", r"q_head.bias is torch.float32 \(3,\), not \(2,\)"),
        (changed(H_init=torch.full((64,), torch.nan)), "hrm", "H_init holds numbers that are not finite"),
        (changed(embed_tokens__embedding_weight=torch.zeros(11, 64)), "hrm", "vocabulary has 11 tokens"),
        (changed(puzzle_emb__weights=torch.zeros(9, 32)), "hrm", "rows have 32 numbers"),
        (changed(L_level__layers__0__mlp_t__down_proj__weight=torch.zeros(2, 2)), "trm", "MLP form"),
        (make_state(HRM), "trm", "has a high level of 2 layers"),
        (make_state(TRM), "hrm", "no high level"),
        (make_state(HRM) | make_state(HRM, "inner."), "hrm", "twice"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, state: dict[str, Tensor], origin: str, said: str) -> None:
    files = read_published(write(tmp_path / "published", state, None))
    with pytest.raises(UserError, match=said) as raised:
        import_published(files, origin, tmp_path / "snapshot")  # type: ignore[arg-type]
    assert len(raised.value.message.splitlines()) <= 2
    assert not (tmp_path / "snapshot").exists()


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "snapshot").mkdir()
    with pytest.raises(UserError, match="already there"):
        imported(tmp_path, HRM, make_state(HRM))
    assert os.listdir(tmp_path / "snapshot") == []


def test_what_a_killed_import_left_goes_with_a_later_one(tmp_path: Path) -> None:
    for name, age_s in (("old", 2 * ABANDONED_S), ("new", 0.0)):
        left = sibling(tmp_path / name, "tmp")
        left.mkdir()
        (left / "weights.safetensors").write_bytes(b"half")
        os.utime(left, (time.time() - age_s,) * 2)
    imported(tmp_path, HRM, make_state(HRM))
    kept = [name for name in os.listdir(tmp_path) if is_leftover(name)]
    assert len(kept) == 1 and kept[0].startswith(".new.")  # perhaps of one that goes on


class Hostile:
    """A pickle that runs a command when it is loaded by a loader that lets it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self.path),))


def test_a_checkpoint_that_brings_code_runs_none(tmp_path: Path) -> None:
    evil = tmp_path / "evil.pt"
    torch.save({"model.inner.H_init": Hostile(tmp_path / "owned")}, evil)
    with pytest.raises(UserError, match="without running code"):
        read_published(evil)
    assert not (tmp_path / "owned").exists()


def test_more_numbers_than_are_stored_are_not_made(tmp_path: Path) -> None:
    state = make_state(HRM)
    state["model.inner.puzzle_emb.weights"] = torch.zeros(1).expand(10**9, 64)
    with pytest.raises(UserError, match="declares more numbers than are stored"):
        read_published(write(tmp_path / "published", state, None))


@pytest.mark.parametrize(
    "text",
    ["a: &a [1]\nb: *a\n", "[" * 100 + "]" * 100, "!!python/object/apply:os.getcwd []", "\x00", "seed: 1", "- arch"],
)
def test_settings_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    folder = write(tmp_path / "published", {"x": torch.zeros(1)}, None)
    (folder / "all_config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"all_config\.yaml"):
        read_published(folder)


@pytest.mark.parametrize(
    ("name", "value"), [("num_heads", "8"), ("H_cycles", -1), ("rope_theta", "x"), ("rms_norm_eps", 1e-6)]
)
def test_settings_of_the_wrong_kind_are_named(tmp_path: Path, name: str, value: object) -> None:
    files = read_published(write(tmp_path / "published", make_state(HRM), {**HRM.arch, name: value}))
    with pytest.raises(UserError, match=name):
        import_published(files, "hrm", tmp_path / "snapshot")


def test_commands_from_a_checkpoint_to_logits(tmp_path: Path) -> None:
    """What somebody with a checkpoint types, in processes of their own."""
    state = make_state(HRM)
    write(tmp_path / "published", state, HRM.arch)
    tokens, identity = torch.randint(0, 12, (2, 36)), torch.tensor([3, 5])
    np.savez(tmp_path / "in.npz", tokens=tokens.numpy(), identity=identity.numpy())
    commands = [
        ["import", "published", "--from", "hrm", "--out", "snapshot", "--json"],
        ["predict", "snapshot", "--tokens", "in.npz", "--segments", "2", "--out", "out.npz"],
    ]
    for command in commands:
        words = [sys.executable, "-m", "hrm_core.cli.main", *command]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    found, wanted = np.load(tmp_path / "out.npz"), reference(state, HRM, tokens, identity, 2)
    assert found["logits"].dtype == np.float32 and found["logits"].shape == (2, 36, 12)
    assert apart(torch.from_numpy(found["logits"]), wanted[0]) < 1e-4
    assert apart(torch.from_numpy(found["halting_logits"]), wanted[1]) < 1e-4
