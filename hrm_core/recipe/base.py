"""What every group of settings has in common: frozen, strictly typed, unknown keys refused.

Recipe room; free of torch. `setting(...)` declares one field with its description, bounds and, where a value needs a
technique that a later version brings, which one. Nothing is validated across groups here: see `checks.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Settings(BaseModel):
    """Abstract base of all groups of settings. Types are strict: `"3"` is no number and `1.0` no integer."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False, validate_default=True)


def setting(
    default: Any,
    description: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    later: str | None = None,
    later_values: dict[str, str] | None = None,
) -> Any:
    """One field. `later`: the experiment that brings it (until then only the default is allowed); `later_values`:
    the same for single choices. The description names the unit; the bounds are checked by pydantic.
    """
    extra: dict[str, Any] = {}
    if later is not None:
        extra["later"] = later
    if later_values is not None:
        extra["later_values"] = dict(later_values)
    return Field(
        default=default, description=description, ge=ge, gt=gt, le=le, lt=lt, json_schema_extra=extra if extra else None
    )


def as_tuple(value: object) -> object:
    """TOML and JSON know lists only; strict pydantic wants the tuple."""
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


Integers = Annotated[tuple[int, ...], BeforeValidator(as_tuple)]
Floats = Annotated[tuple[float, ...], BeforeValidator(as_tuple)]
Betas = Annotated[tuple[float, float], BeforeValidator(as_tuple)]
