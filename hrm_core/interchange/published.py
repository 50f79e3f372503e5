"""Names and shapes of the published HRM and TRM state dicts -> ours.

Interchange room: tensors by published name -> a recipe's settings and tensors by our names, every name and shape
checked. Wang et al. 2025 (arXiv 2506.21734) and Jolicoeur-Martineau 2025 (arXiv 2510.04871), attention form, with their
published code's names: a state dict of the loss head, `model.inner.` before each name, `_orig_mod.` before that where
torch.compile was used. Two things differ in meaning: their rotary pairs are the halves of a head (i, i + d / 2), ours
neighbours (2 i, 2 i + 1), which is a permutation of the rows of q and k; and their identity table has a row for each
puzzle and variation, row 0 for none, which are tasks with one variation here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, final

import torch
from torch import Tensor

from hrm_core.errors import UserError
from hrm_core.model.embeddings import VOCABULARY
from hrm_core.model.layers import inner_width
from hrm_core.runs.text import clean

Origin = Literal["hrm", "trm"]
EXPERIMENT: Final[dict[Origin, str]] = {"hrm": "hrm-official", "trm": "trm"}
_BEFORE: Final = re.compile(r"^(?:(?:_orig_mod|module|model|inner)\.)+")
_LAYER: Final = re.compile(r"([HL])_level\.layers\.([0-9]{1,4})\.", re.ASCII)
_BLOCK: Final = {
    "qkv": "self_attn.qkv_proj.weight",
    "out": "self_attn.o_proj.weight",
    "gate_up": "mlp.gate_up_proj.weight",
    "down": "mlp.down_proj.weight",
}
# Without settings beside the file, what the published commands for ARC set and no shape shows.
_USUAL: Final[dict[Origin, dict[str, Any]]] = {
    "hrm": {"num_heads": 8, "H_cycles": 2, "L_cycles": 2, "halt_max_steps": 16, "puzzle_emb_len": 1},
    "trm": {"num_heads": 8, "H_cycles": 3, "L_cycles": 4, "halt_max_steps": 16, "puzzle_emb_len": 16},
}
_OURS: Final = {
    "model.heads": "num_heads",
    "model.h_cycles": "H_cycles",
    "model.l_cycles": "L_cycles",
    "halting.max_segments": "halt_max_steps",
}


@final
@dataclass(frozen=True)
class Shape:
    """What the shapes of a state dict say. `low` and `high` count layers; high is 0 where the levels are shared."""

    hidden: int
    inner: int
    low: int
    high: int
    rows: int


def plain_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what wrappers put before a name. UserError (1) if two then have one name."""
    plain: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        short = _BEFORE.sub("", name)
        if short in plain:
            raise UserError(f"the checkpoint has {clean(short)[:80]} twice, with and without a prefix.", 1)
        plain[short] = tensor
    return plain


def shape_of(tensors: Mapping[str, Tensor], origin: Origin) -> Shape:
    """The model's sizes. UserError (1) where a tensor that they are read from is not there, or is no matrix."""
    if any(".mlp_t." in name for name in tensors):
        raise UserError(
            "this is TRM's MLP form (mlp_t), whose layers mix cells by a fixed matrix; "
            "only its attention form can be imported.",
            1,
        )
    sizes = {}
    for name in ("embed_tokens.embedding_weight", "puzzle_emb.weights", "L_level.layers.0." + _BLOCK["down"]):
        if name not in tensors:
            raise UserError(f"{name} is missing: this is no {origin.upper()} checkpoint with its identity table.", 1)
        if tensors[name].ndim != 2:
            raise UserError(f"{name} has the shape {tuple(tensors[name].shape)}, where a matrix is wanted.", 1)
        sizes[name] = tuple(tensors[name].shape)
    (vocabulary, hidden), (rows, width), (_, inner) = sizes.values()
    if vocabulary != VOCABULARY:
        raise UserError(
            f"its vocabulary has {vocabulary} tokens, not the {VOCABULARY} of ARC; this is another task.", 1
        )
    if width != hidden:
        raise UserError(
            f"its identity rows have {width} numbers, its tokens {hidden}; only equal ones can be taken.", 1
        )
    layers = {"L": 0, "H": 0}
    for name in tensors:
        if match := _LAYER.match(name):
            layers[match[1]] = max(layers[match[1]], int(match[2]) + 1)
    if origin == "trm" and layers["H"]:
        raise UserError(f"it has a high level of {layers['H']} layers, TRM has none; use --from hrm.", 1)
    if origin == "hrm" and not layers["H"]:
        raise UserError("it has no high level (H_level), HRM has one; use --from trm.", 1)
    return Shape(hidden, inner, layers["L"], layers["H"], rows)


def settings_of(shape: Shape, arch: Mapping[str, Any], origin: Origin) -> list[str]:
    """Recipe lines over the published recipe. UserError (1) for settings of theirs that we have no counterpart of."""
    positions = arch.get("pos_encodings", "rope")
    if positions != "rope":
        raise UserError(f"pos_encodings: {clean(positions)[:40]}; only rope can be imported.", 1)
    said = {name: _integer(arch, name, usual) for name, usual in _USUAL[origin].items()}
    # HRM's code counts the prefix from the widths, which are equal; 0 asks TRM's to do the same.
    prefix = 1 if origin == "hrm" else said["puzzle_emb_len"] or 1
    lines: dict[str, float | str] = {
        "augment.pool": 1,
        "identity.prefix_tokens": prefix,
        "model.hidden": shape.hidden,
        "model.heads": said["num_heads"],
        "model.h_layers": shape.high or shape.low,
        "model.l_layers": shape.low,
        "model.h_cycles": said["H_cycles"],
        "model.l_cycles": said["L_cycles"],
        "model.expansion": _expansion(shape, arch),
        "model.rope_theta": _number(arch, "rope_theta", 10_000.0),
        "halting.max_segments": said["halt_max_steps"],
        "halting.exploration": _number(arch, "halt_exploration_prob", 0.1),
    }
    if origin == "trm" and arch.get("no_ACT_continue", True) is False:
        lines["halting.kind"] = "q_learning"
    eps = _number(arch, "rms_norm_eps", 1e-5)
    if eps != 1e-5:
        raise UserError(f"rms_norm_eps: {eps:g}; only 1e-05 can be imported.", 1)
    return [f"{key}={value}" for key, value in lines.items()]


def assumed(arch: Mapping[str, Any], origin: Origin, settings: Sequence[str] = ()) -> str:
    """What was taken for granted, in words; "" where the file or `settings` (of ours) said it all."""
    said = {*arch, *(_OURS.get(setting.partition("=")[0].strip(), "") for setting in settings)}
    missing = [f"{name} {value}" for name, value in _USUAL[origin].items() if name not in said]
    if origin == "hrm":
        missing = [part for part in missing if not part.startswith("puzzle_emb_len")]
    return ", ".join(missing)


def _integer(arch: Mapping[str, Any], name: str, usual: int) -> int:
    value = arch.get(name, usual)
    if type(value) is not int or not 0 <= value <= 10_000:
        raise UserError(f"{name}: {clean(value)[:40]} in its settings is no such number.", 1)
    return value


def _number(arch: Mapping[str, Any], name: str, usual: float) -> float:
    value = arch.get(name, usual)
    if type(value) not in (int, float) or not 0 <= value <= 1e9:
        raise UserError(f"{name}: {clean(value)[:40]} in its settings is no such number.", 1)
    return float(value)


def _expansion(shape: Shape, arch: Mapping[str, Any]) -> float:
    """The setting that gives this inner width; theirs where it does."""
    theirs = _number(arch, "expansion", 4.0)
    for candidate in (theirs, 1.5 * shape.inner / shape.hidden):
        if inner_width(shape.hidden, candidate) == shape.inner:
            return candidate
    raise UserError(f"its feed-forward layers are {shape.inner} wide, which no expansion of {shape.hidden} gives.", 1)


def wanted_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Published name -> shape of every tensor that there has to be."""
    hidden, inner = shape.hidden, shape.inner
    block = {"qkv": (3 * hidden, hidden), "out": (hidden, hidden), "gate_up": (2 * inner, hidden)}
    wanted: dict[str, tuple[int, ...]] = {
        "embed_tokens.embedding_weight": (VOCABULARY, hidden),
        "lm_head.weight": (VOCABULARY, hidden),
        "q_head.weight": (2, hidden),
        "q_head.bias": (2,),
        "puzzle_emb.weights": (shape.rows, hidden),
        "H_init": (hidden,),
        "L_init": (hidden,),
    }
    for level, count in (("H", shape.high), ("L", shape.low)):
        for layer in range(count):
            for part, name in _BLOCK.items():
                wanted[f"{level}_level.layers.{layer}.{name}"] = block.get(part, (hidden, inner))
    return wanted


def check_tensors(tensors: Mapping[str, Tensor], shape: Shape) -> None:
    """UserError (1) naming what is missing, left over, of another shape, or no finite numbers."""
    wanted = wanted_shapes(shape)
    problems = [f"missing: {_some(sorted(wanted.keys() - tensors.keys()))}"] * bool(wanted.keys() - tensors.keys())
    problems += [f"left over: {_some(sorted(tensors.keys() - wanted.keys()))}"] * bool(tensors.keys() - wanted.keys())
    for name, expected in wanted.items():
        found = tensors.get(name)
        if found is not None and (tuple(found.shape) != expected or not found.is_floating_point()):
            problems.append(f"{name} is {found.dtype} {tuple(found.shape)}, not {expected}")
    if problems:
        raise UserError(f"the checkpoint does not fit: {'; '.join(problems[:3])}.", 1)
    for name in wanted:
        if not bool(torch.isfinite(tensors[name]).all()):
            raise UserError(f"{name} holds numbers that are not finite; its training had failed.", 1)


def _some(names: list[str]) -> str:
    shown = ", ".join(clean(name)[:80] for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def rotary_rows(qkv: Tensor, heads: int) -> Tensor:
    """qkv (3 D, D) with halves as rotary pairs -> with neighbours; values, and so their output, stay in order."""
    query_key, value = qkv[: 2 * qkv.shape[1]], qkv[2 * qkv.shape[1] :]
    halves = query_key.reshape(2 * heads, 2, qkv.shape[1] // heads // 2, qkv.shape[1])
    return torch.cat([halves.transpose(1, 2).reshape(query_key.shape), value])


def our_tensors(tensors: Mapping[str, Tensor], shape: Shape, heads: int) -> dict[str, Tensor]:
    """Checked tensors -> the state dict of our model, fp32. The last row of the identity table is scratch space."""
    ours = {
        "embeddings.token": tensors["embed_tokens.embedding_weight"],
        "head": tensors["lm_head.weight"],
        "q_weight": tensors["q_head.weight"],
        "q_bias": tensors["q_head.bias"],
        "high_start": tensors["H_init"],
        "low_start": tensors["L_init"],
        "rows.table": torch.cat([tensors["puzzle_emb.weights"].float(), torch.zeros(1, shape.hidden)]),
    }
    for level, here, count in (("H", "high", shape.high), ("L", "low", shape.low)):
        for layer in range(count):
            for part, name in _BLOCK.items():
                tensor = tensors[f"{level}_level.layers.{layer}.{name}"]
                ours[f"{here}.{layer}.{part}"] = rotary_rows(tensor.float(), heads) if part == "qkv" else tensor
    return {name: tensor.float().contiguous() for name, tensor in ours.items()}
