"""The `hrm` command: a table of commands, each imported only when it is called.

Command-line room. argv -> exit code: 0 done, 1 the run or check failed, 2 wrong use, 130 interrupted. Errors that the
user can put right are one or two lines on stderr; a traceback is always a fault of ours. `hrm --help` reads the table
and imports none of the commands. What a command does is in its own module.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, final

import click

from hrm_core.cli.options import INTERRUPTED, error_text, exit_code, print_error


@final
@dataclass(frozen=True)
class Entry:
    """Where a command is, and its one line of help."""

    module: str
    attribute: str
    help: str


COMMANDS: dict[str, Entry] = {
    "demo": Entry("demo_command", "demo", "Build the data, train a small model, watch it: a few minutes."),
    "settings": Entry("settings_command", "settings", "List the settings of commands and console."),
    "experiments": Entry("recipe_commands", "experiments", "List the experiments, or show what one is."),
    "run": Entry("run_commands", "run", "Start a run of an experiment, with key=value overrides."),
    "resume": Entry("run_commands", "resume", "Go on with a run from its last checkpoint."),
    "sweep": Entry("sweep_command", "sweep", "Run experiments with several seeds against a control; goes on."),
    "queue": Entry("queue_commands", "queue", "Put runs in a queue that a worker starts, one run a device."),
    "stop": Entry("runs_commands", "stop", "Ask a run to write a checkpoint and stop."),
    "pause": Entry("runs_commands", "pause", "Ask a run to wait, keeping its memory."),
    "continue": Entry("runs_commands", "continue_", "Ask a paused run to go on."),
    "rename": Entry("housekeeping_commands", "rename", "Give a run another name."),
    "remove": Entry("housekeeping_commands", "remove", "Delete runs for good. Asks once."),
    "list": Entry("runs_commands", "list_", "List the runs: state, step, score, alarms."),
    "show": Entry("runs_commands", "show", "Show a run: status, validations, alarms, curves."),
    "tail": Entry("runs_commands", "tail", "Follow the log of a run."),
    "verify": Entry("verify_command", "verify", "Say whether every byte of a run is as it was written."),
    "eval": Entry("eval_command", "eval_", "Evaluate a run or snapshot on held-out tests."),
    "predict": Entry("predict_command", "predict", "Predict a puzzle's grids, or logits for tokens, with a snapshot."),
    "report": Entry("report_command", "report", "Write runs as Markdown, curves and grids that need no tool of ours."),
    "log": Entry("log_command", "log", "Write a run's rows as CSV or for TensorBoard, after or live."),
    "submit": Entry("submit_command", "submit", "Make Kaggle's submission.json by votes of snapshots, or check one."),
    "import": Entry("import_command", "import_", "Make a snapshot of a published HRM or TRM checkpoint."),
    "export": Entry("export_command", "export", "Write a snapshot's model for ONNX, AOTInductor or torch.export."),
    "archive": Entry("archive_commands", "archive", "The bests of all runs: list, show, promote, pin, prune, export."),
    "compare": Entry("compare_command", "compare", "Verdicts: experiments or a sweep against their control."),
    "diagnose": Entry("diagnose_command", "diagnose", "Say why a run does not get better, and what to try."),
    "data": Entry("data_commands", "data", "Build, check and look at the data."),
    "bench": Entry("bench_commands", "bench", "Measure speed and memory on this machine."),
    "torture": Entry("torture_command", "torture", "Kill, damage and fuzz runs of its own: what survives."),
    "device": Entry("device_command", "device", "What the GPU and host do, and what holds them."),
    "doctor": Entry("doctor_command", "doctor", "What this machine has, what is missing, how to get it."),
}


@final
class LazyCommands(click.Group):
    """Commands by the table above. Click's own hooks for that are overridden, nothing else."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command; None where there is none of that name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"hrm_core.cli.{entry.module}")
        command = getattr(module, entry.attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, with the nearest name for an unknown one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(unknown_command(args[0]))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help of every command from the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Runs a command and exits; every error that users can cause ends in a line or two."""
        try:
            result = super().main(args, prog_name or "hrm", complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
        except (KeyboardInterrupt, click.Abort):
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader went away (`hrm list | head`). The interpreter flushes once more at exit: let it, to nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except click.exceptions.NoArgsIsHelpError as bare:
            click.echo(bare.format_message())
            sys.exit(0)
        except Exception as error:
            text = error_text(error)
            if text is None:
                raise
            print_error(text)
            sys.exit(exit_code(error))
        sys.exit(result if isinstance(result, int) else 0)


def unknown_command(name: str) -> str:
    """The sentence for a command that does not exist, with the nearest that does."""
    import difflib

    close = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"{name} is no command" + (f"; did you mean {close[0]}" if close else "")


@click.group(
    cls=LazyCommands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`hrm COMMAND --help` tells more about each. `hrm-console` watches runs in the terminal.",
)
@click.version_option(package_name="hrm-console", prog_name="hrm")
def cli() -> None:
    """Run, watch and understand experiments with small recursive reasoning models on ARC puzzles."""


def main() -> NoReturn:
    """Entry point of `hrm`. What it writes, and what its children write, is the user's alone: logs, state, weights."""
    os.umask(0o077)
    cli.main(sys.argv[1:])


if __name__ == "__main__":
    main()
