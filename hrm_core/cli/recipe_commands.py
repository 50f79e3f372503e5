"""`hrm experiments`: the named experiments, and what one of them is.

Command-line room. Reads the recipe room only. Name -> hypothesis, set-up, what to watch, differences from EXP-00.
"""

from __future__ import annotations

import textwrap
from typing import Any

import click

from hrm_core.cli.options import clean, json_option, print_json, print_line, print_table
from hrm_core.errors import UserError


@click.command()
@click.argument("name", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE ...]")
@json_option
def experiments(name: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """List the experiments, or show one: its hypothesis, set-up and differences from EXP-00.

    Overrides are laid as `hrm run` would: `hrm experiments EXP-00 preset=cpu training.seed=3`.
    """
    if name is None:
        _list(as_json)
    else:
        _show(name, overrides, as_json)


def _describe(name: str, overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Everything about one experiment as plain values."""
    from hrm_core.recipe.difference import difference
    from hrm_core.recipe.digest import recipe_hash
    from hrm_core.recipe.experiments import find_experiment
    from hrm_core.recipe.keys import flatten
    from hrm_core.recipe.lay import build_recipe
    from hrm_core.recipe.unbuilt import unbuilt

    experiment = find_experiment(name)
    resolved = build_recipe(name, overrides, allow_unbuilt=True)
    control = build_recipe("EXP-00").recipe
    missing = unbuilt(flatten(resolved.recipe))
    changes = [
        {"key": key, "value": pair[1], "control": pair[0], "source": resolved.sources.get(key, experiment.name)}
        for key, pair in difference(control, resolved.recipe).items()
        if key not in ("experiment", "preset")
    ]
    return {
        "name": experiment.name,
        "title": experiment.title,
        "hypothesis": experiment.hypothesis,
        "setup": experiment.setup,
        "watch_for": experiment.watch_for,
        "presets": list(experiment.presets),
        "base": experiment.base or None,
        "overrides": list(experiment.overrides),
        "built": not missing,
        "missing": list(missing),
        "hash": recipe_hash(resolved.recipe),
        "differences": changes,
    }


def _list(as_json: bool) -> None:
    from hrm_core.recipe.experiments import EXPERIMENTS, saved_experiments

    saved, problems = saved_experiments()
    described = []
    for name in saved:
        try:
            described.append(_describe(name))
        except UserError as error:
            problems += (f"{name}: {error.message}",)
    described += [_describe(name) for name in EXPERIMENTS]
    for problem in problems:
        click.echo(f"left out: {clean(problem)}", err=True)
    for experiment in saved.values():
        if experiment.note:
            click.echo(f"note: {clean(experiment.note)}", err=True)
    if as_json:
        print_json(described)
        return
    rows = [[entry["name"], "yes" if entry["built"] else "not yet", entry["title"]] for entry in described]
    print_table(("experiment", "built", "what it is"), rows)
    print_line("\n`hrm experiments NAME` tells more, `hrm run NAME` starts it.")


def _show(name: str, overrides: tuple[str, ...], as_json: bool) -> None:
    from hrm_core.recipe.values import show_value

    entry = _describe(name, overrides)
    if as_json:
        print_json(entry)
        return
    print_line(f"{entry['name']}: {entry['title']}")
    for heading, key in (("Hypothesis", "hypothesis"), ("Set-up", "setup"), ("Watch for", "watch_for")):
        print_line(textwrap.fill(f"{heading}: {entry[key]}", width=100, subsequent_indent="  "))
    print_line(f"Presets: {', '.join(entry['presets'])}")
    if not entry["built"]:
        print_line(f"Not built yet: it needs {', '.join(entry['missing'])}")
    print_line()
    if not entry["differences"]:
        print_line("No setting differs from EXP-00 with the preset plan.")
        return
    rows = [
        [change["key"], show_value(change["value"]), show_value(change["control"]), change["source"]]
        for change in entry["differences"]
    ]
    print_table(("setting", "value", "EXP-00", "set by"), rows)
