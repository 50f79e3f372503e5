"""Room `runs`: which of several processes this one is, where several train one run together.

The environment, in torchrun's words -> `World`, and back. What ranks say to one another is in `training/crew.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from hrm_core.errors import UserError
from hrm_core.runs.text import clean


@final
@dataclass(frozen=True)
class World:
    """One process among those of a run. `local`: its number on its machine; `here`: how many there are on it; `own`:
    rank 0 starts the others itself, else torchrun has."""

    rank: int = 0
    size: int = 1
    local: int = 0
    here: int = 1
    own: bool = False


ALONE: Final = World()
# Techniques that look at all slots of a lane at once, which no rank has.
WHOLE_LANE: Final = ("replay", "contrastive")


def world_of(environment: Mapping[str, str]) -> World:
    """What torchrun has said of this process; one of one where it has said nothing. UserError (2) for nonsense."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if not all(name in environment for name in names):
        return ALONE
    try:
        rank, size, local, here = (int(environment[name]) for name in names[:4])
    except ValueError:
        rank, size, local, here = -1, 0, 0, 0
    if not (0 <= rank < size and 0 <= local < here <= size):
        said = ", ".join(f"{name}={clean(environment[name])[:20]}" for name in names[:4])
        raise UserError(f"{said}: no such rank; start with `torchrun`, or unset these.", 2)
    return World(rank, size, local, here)


def world_for(gpus: int | None, environment: Mapping[str, str]) -> World:
    """The world of a run that is to train on `gpus` GPUs, or on as many as torchrun has started processes for."""
    world = world_of(environment)
    if world.size == 1:
        return World(size=gpus, here=gpus, own=True) if gpus is not None and gpus > 1 else world
    if gpus is not None and gpus != world.size:
        raise UserError(f"--gpus {gpus}: torchrun has started {world.size} processes; leave --gpus out.", 2)
    return world


def environment_of(world: World, address: str, port: int, base: Mapping[str, str]) -> dict[str, str]:
    """The environment that tells a child its rank, in torchrun's words."""
    return {
        **base,
        "RANK": str(world.rank),
        "WORLD_SIZE": str(world.size),
        "LOCAL_RANK": str(world.local),
        "LOCAL_WORLD_SIZE": str(world.here),
        "MASTER_ADDR": address,
        "MASTER_PORT": str(port),
    }


def refuse_whole_lane(techniques: object, size: int) -> None:
    """UserError (2) where a recipe's technique needs all slots of a lane in one process."""
    for name in WHOLE_LANE:
        if size > 1 and getattr(techniques, name, None) is not None:
            raise UserError(
                f"techniques.{name} looks at all slots of a lane at once and runs on one GPU only, not on {size}.\n"
                "Leave --gpus out, or choose another experiment.",
                2,
            )
