"""The command line: parses, calls, prints. No logic; heavy libraries are loaded by what it calls."""

from __future__ import annotations

import sys

import typer

from mvsearch.cli import bench, commands, describe, export, latency, lessons, scale, validation
from mvsearch.cli.help import SectionedCommand
from mvsearch.cli.output import print_error
from mvsearch.cli.signals import Signals

app = typer.Typer(
    name="mvsearch",
    help="Neural architecture search and scaling explorer for MobileViT-family networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(commands.root)
for command in (
    commands.run, scale.scale, describe.describe, commands.report, export.export, latency.measure, latency.calibrate,
    validation.validate, lessons.lessons, bench.bench, commands.spaces, commands.targets, commands.networks,
):  # fmt: skip
    app.command(cls=SectionedCommand)(command)
app.command("import", cls=SectionedCommand)(export.import_checkpoint)
library = typer.Typer(
    help="Many entries in one folder, found by budget, target and tag.", no_args_is_help=True, rich_markup_mode=None
)
for name, of_library in (
    ("list", export.list_library), ("show", export.show_entry), ("add", export.add_entry), ("verify", export.verify_library),
):  # fmt: skip
    library.command(name, cls=SectionedCommand)(of_library)
app.add_typer(library, name="library")

INTERRUPTED = 130


def main() -> None:
    """Run a command; every foreseen error is one message and an exit code, never a traceback."""
    from mvsearch.errors import MvsearchError

    signals = Signals()
    signals.install()
    try:
        app()
    except MvsearchError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(signals.exit_code)
    except SystemExit as end:
        # Typer makes this of every `KeyboardInterrupt`, whichever signal it was.
        sys.exit(signals.exit_code if end.code == INTERRUPTED else end.code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
