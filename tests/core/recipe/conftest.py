"""What the recipe tests share: a technique that is taken for one that is not built yet."""

from __future__ import annotations

import pytest

from hrm_core.recipe.keys import leaves


@pytest.fixture
def without_rule_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """`techniques.rule_head` as it was declared before it was built, with `later="EXP-08"`."""
    monkeypatch.setattr(leaves()["techniques.rule_head"].field, "json_schema_extra", {"later": "EXP-08"})
