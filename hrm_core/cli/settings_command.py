"""`hrm settings`: the user's settings, where they are kept, and what in the file is not obeyed.

Command-line room. Reads `hrm_core.runs.user_settings` only; they are changed on the console's settings screen or in the
file itself.
"""

from __future__ import annotations

import click

from hrm_core.cli.options import clean, json_option, print_json, print_line, print_table


@click.command()
@click.option("--runs", hidden=True, expose_value=False, help="Taken and not used: settings are no folder's own.")
@json_option
def settings(as_json: bool) -> None:
    """List the settings: value, default, and what each is."""
    from hrm_core.runs.user_settings import SETTINGS, read_settings, settings_path

    path, found = settings_path(), read_settings()
    for problem in found.problems:
        click.echo(f"not obeyed: {clean(problem)}", err=True)
    if as_json:
        rows = {
            setting.key: {"value": found.values[setting.key], "default": setting.default, "what": setting.sentence}
            for setting in SETTINGS
        }
        print_json({"file": str(path), "settings": rows, "problems": list(found.problems)})
        return
    shown = {True: "yes", False: "no"}
    cells = [
        [
            setting.key,
            *(
                shown[value] if isinstance(value, bool) else " ".join(value) if isinstance(value, tuple) else str(value)
                for value in (found.values[setting.key], setting.default)
            ),
            setting.sentence,
        ]
        for setting in SETTINGS
    ]
    print_table(("setting", "value", "default", "what it is"), cells)
    print_line(f"\nThey are kept in {path}; the console changes them (g, then s).")
