"""The plan's family names against families.toml: complete, checked, and with the members that their rules say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hrm_core.cli.main import cli
from hrm_core.data.dataset import load_dataset
from hrm_core.data.families import FAMILIES
from hrm_core.data.plan_families import parse_families, plan_families, plan_family_counts, plan_members
from hrm_core.recipe.data import DataConfig

# Every name for a kind of puzzle in the plan's text.
NAMES = [
    "recolor-type", "color-swap", "recolor+shape", "multi-operation", "composite-rule", "counting",
    "symmetry-by-object", "motion-by-object", "object-relationship", "relational", "color-permuted", "easy", "hard",
    "tricky edge cases", "long-cycle", "unlearned",
]  # fmt: skip


def test_every_name_is_mapped_or_said_not_to_be_computable() -> None:
    families = {family.name: family for family in plan_families()}
    assert list(families) == NAMES
    for family in families.values():
        assert family.where
        assert bool(family.not_computable) != bool(family.rules or family.of)
        assert family.not_computable or family.note


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"name": "a", "where": "x"}, "one of rules"),
        ({"name": "a", "where": "x", "rules": [{"has": ["color_map"]}], "of": []}, "one of rules"),
        ({"name": "a", "rules": [{"has": ["color_map"]}]}, "needs `where`"),
        ({"name": "a", "where": "x", "rules": [{"has": ["colour_map"]}]}, "colour_map is no label"),
        ({"name": "a", "where": "x", "rules": [{"shifted": 1}]}, "shifted is no label"),
        ({"name": "a", "where": "x", "rules": [{"recolored": "two"}]}, "recolored is no label"),
        ({"name": "a", "where": "x", "rules": [{}]}, "an empty rule"),
        ({"name": "a", "where": "x", "of": ["b"]}, "b is no family before it"),
        ({"name": "a", "where": "x", "rule": []}, "rule means nothing"),
    ],
)
def test_mistakes_in_the_file_are_named(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_families({"family": [table]})
    good = {"name": "a", "where": "x", "not_computable": "y"}
    with pytest.raises(ValueError, match="there twice"):
        parse_families({"family": [good, good]})


def test_members_are_those_of_the_rules(arc1_file: Path) -> None:
    tasks = load_dataset(arc1_file, DataConfig()).tasks
    members = plan_members(tasks)
    bits = tasks.families.numpy()

    def has(name: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.array(bits >> FAMILIES.index(name) & 1, dtype=np.bool_)

    recolored, translation = tasks.descriptors["recolored"].numpy(), tasks.descriptors["translation"].numpy()
    assert np.array_equal(members["recolor-type"], has("recolor") | has("color_map"))
    shape_too = has("same_size") & ~has("recolor") & ~has("color_map") & (recolored >= 1)
    assert np.array_equal(members["recolor+shape"], shape_too)
    assert np.array_equal(members["motion-by-object"], has("move") | (translation >= 1))
    united = members["counting"] | members["symmetry-by-object"] | members["motion-by-object"]
    assert np.array_equal(members["relational"], united) and np.array_equal(members["object-relationship"], united)
    counts = plan_family_counts(tasks)
    assert list(counts) == NAMES
    for name, held in members.items():
        assert counts[name]["training"] + counts[name]["evaluation"] == held.sum() > 0
    assert counts["easy"]["training"] is None and "solves it" in counts["easy"]["not_computable"]


def test_data_info_shows_them(arc1_file: Path) -> None:
    shown = CliRunner().invoke(cli, ["data", "info", "--data", str(arc1_file)])
    assert shown.exit_code == 0
    assert "motion-by-object" in shown.stdout and "not computable: which puzzles take many segments" in shown.stdout
    told = json.loads(CliRunner().invoke(cli, ["data", "info", "--data", str(arc1_file), "--json"]).stdout)
    assert list(told["plan_families"]) == NAMES
    assert told["plan_families"]["color-swap"]["training"] > 0
