"""What must hold between settings of different groups. Each check returns a sentence, or None where all is well.

Recipe room; free of torch. `schema.Recipe` runs them all at construction, so no wrong recipe exists. A sentence names
the setting, its value and the remedy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from hrm_core.recipe.base import Settings
from hrm_core.recipe.spans import is_time, resolve_span

if TYPE_CHECKING:
    from hrm_core.recipe.schema import Recipe


def _model(recipe: Recipe) -> str | None:
    model = recipe.model
    if model.hidden % model.heads:
        return f"model.hidden={model.hidden} is no multiple of model.heads={model.heads}; change one of them"
    width = model.hidden // model.heads
    if width not in (32, 64):
        remedy = " or ".join(str(model.hidden // w) for w in (64, 32) if model.hidden % w == 0)
        remedy = f"set model.heads={remedy}" if remedy else "make model.hidden a multiple of 32"
        return f"model.heads={model.heads} makes heads of width {width}, only 32 and 64 are possible; {remedy}"
    if model.share_levels and model.h_layers != model.l_layers:
        return (
            f"model.share_levels needs as many high as low layers, got {model.h_layers} and {model.l_layers}; "
            f"set model.h_layers={model.l_layers}"
        )
    return None


def _identity(recipe: Recipe) -> str | None:
    if recipe.identity.kind == "none" and recipe.identity.place != "prefix":
        return (
            f"identity.place={recipe.identity.place} places an identity that identity.kind=none does not have; "
            "set identity.place=prefix"
        )
    return None


def _halting(recipe: Recipe) -> str | None:
    halting = recipe.halting
    if halting.kind == "q_learning" and halting.max_segments < 2:
        return "halting.kind=q_learning learns from the next segment; set halting.max_segments to 2 or more"
    return None


def _halting_entropy(recipe: Recipe) -> str | None:
    config, segments = recipe.techniques.halting_entropy, recipe.halting.max_segments
    if config is not None and config.kind == "entropy" and config.after >= segments:
        return (
            f"techniques.halting_entropy.after={config.after} leaves none of halting.max_segments={segments} segments; "
            f"set it below {segments}"
        )
    if config is not None and config.kind == "geometric" and segments < 2:
        return "techniques.halting_entropy.kind=geometric needs a choice; set halting.max_segments to 2 or more"
    return None


def _optimizer(recipe: Recipe) -> str | None:
    if recipe.optimizer.muon_lr is not None and recipe.optimizer.kind != "muon":
        return (
            f"optimizer.muon_lr={recipe.optimizer.muon_lr} has no effect with optimizer.kind="
            f"{recipe.optimizer.kind}; set optimizer.kind=muon or optimizer.muon_lr=none"
        )
    if recipe.techniques.lion_swap is not None and recipe.optimizer.kind == "lion":
        return (
            "techniques.lion_swap changes to Lion what optimizer.kind=lion has made Lion from the start; "
            "set optimizer.kind=adamw or techniques.lion_swap=none"
        )
    return None


def _data(recipe: Recipe) -> str | None:
    data = recipe.data
    if data.subset == "fits7" and data.canvases != (7,):
        return f"data.subset=fits7 implies data.canvases=7, got {','.join(map(str, data.canvases))}; leave canvases out"
    if data.train_on_val_tests and data.validate_on == "val":
        return "data.train_on_val_tests trains on what data.validate_on=val validates on; set data.validate_on=eval"
    return None


def _colors(recipe: Recipe) -> str | None:
    chosen, probability = recipe.input, recipe.augment.color_probability
    if chosen.canonicalize_colors and probability > 0 and not chosen.residual_permutation:
        return (
            f"augment.color_probability={probability} permutes the colours that input.canonicalize_colors has put in "
            "order; set augment.color_probability=0, or input.residual_permutation=true for both"
        )
    if chosen.residual_permutation and not chosen.canonicalize_colors:
        return (
            "input.residual_permutation permutes canonical colours, which input.canonicalize_colors=false leaves out; "
            "set input.canonicalize_colors=true, or input.residual_permutation=false"
        )
    return None


def _schedule(recipe: Recipe) -> str | None:
    length, schedule = recipe.training.max_steps, recipe.schedule
    if schedule.restarts and schedule.kind != "cosine":
        return (
            f"schedule.restarts={schedule.restarts} restarts a cosine, and schedule.kind={schedule.kind} has none; "
            "set schedule.kind=cosine or schedule.restarts=0"
        )
    if isinstance(length, str) or is_time(schedule.warmup) or is_time(schedule.decay):
        return None
    warmup = resolve_span(schedule.warmup, length)
    decay = resolve_span(schedule.decay, length) if schedule.kind == "wsd" else 0
    assert isinstance(warmup, int) and isinstance(decay, int)
    if warmup + decay > max(length, 2):
        return (
            f"schedule.warmup ({warmup} steps) and schedule.decay ({decay} steps) exceed training.max_steps={length}; "
            "shorten them or give shares of the run, such as 0.02 and 0.2"
        )
    return None


def _deterministic(recipe: Recipe) -> str | None:
    if not recipe.training.deterministic:
        return None
    for key, value in times(recipe).items():
        return (
            f'{key}="{value}" depends on the speed of the machine, which training.deterministic refuses; '
            "give it in steps or as a share of the run"
        )
    return None


def _stages(recipe: Recipe) -> str | None:
    curriculum = recipe.techniques.curriculum
    if curriculum is not None and len(curriculum.ends) != len(curriculum.scales) - 1:
        return (
            f"techniques.curriculum has {len(curriculum.scales)} scales and {len(curriculum.ends)} ends; "
            "every stage but the last has an end"
        )
    if curriculum is not None and curriculum.kind == "downsample" and len(recipe.data.canvases) > 1:
        return (
            "techniques.curriculum.kind=downsample lays every grid on one canvas, data.canvases names "
            f"{len(recipe.data.canvases)}; set data.canvases={max(recipe.data.canvases)}, or "
            "techniques.curriculum.kind=fit"
        )
    return None


def _family_sampling(recipe: Recipe) -> str | None:
    if recipe.techniques.family_sampling is not None and recipe.data.validate_on == "eval":
        return (
            "techniques.family_sampling draws by the scores of validations, which data.validate_on=eval takes from the "
            "evaluation split; set data.validate_on=val or techniques.family_sampling=none"
        )
    return None


def _replay(recipe: Recipe) -> str | None:
    replay = recipe.techniques.replay
    if replay is not None and replay.share > replay.cap:
        return (
            f"techniques.replay.share={replay.share:g} exceeds techniques.replay.cap={replay.cap:g}, above which a run "
            "overfits to its buffer; lower the share or raise the cap"
        )
    return None


def times(settings: Settings, prefix: str = "") -> dict[str, str]:
    """Dotted key -> value of every setting given as time, but `training.time_budget`, which only stops a run."""
    found: dict[str, str] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, Settings):
            found.update(times(value, f"{prefix}{name}."))
        elif isinstance(value, str) and int in get_args(field.annotation):  # text where steps are possible: a time
            found[prefix + name] = value
        elif isinstance(value, tuple):
            found.update((prefix + name, part) for part in value if isinstance(part, str))
    return found


CHECKS = (
    _model,
    _identity,
    _halting,
    _halting_entropy,
    _optimizer,
    _data,
    _colors,
    _schedule,
    _stages,
    _family_sampling,
    _replay,
    _deterministic,
)


def first_problem(recipe: Recipe) -> str | None:
    """The first sentence that any check has to say, or None."""
    for check in CHECKS:
        sentence = check(recipe)
        if sentence is not None:
            return sentence
    return None
