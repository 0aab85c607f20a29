"""The command line: one module a command, imported when it is called."""

from __future__ import annotations

import importlib
import logging
import sys

import click

from nat_core import __version__
from nat_core.cli.groups import Group
from nat_core.errors import NatError

COMMANDS = {  # in the order a newcomer meets them
    "run": "Search for a Pareto front of networks on your data.",
    "resume": "Go on with a run that was stopped.",
    "front": "The Pareto front of a run.",
    "pick": "One architecture from a front, and why.",
    "report": "A run as a page for the browser.",
    "compare": "Several runs beside each other.",
    "plot": "Figures of runs for a paper.",
    "finetune": "Train one network of a run alone, for the last percent.",
    "export": "One network of a run as files that run without nat.",
    "cost": "What architectures cost.",
    "evaluate": "Errors, classes and confusions of a network on your data.",
    "latency": "A latency table of your own device.",
    "pretrain": "Train a supernet for searches to begin from.",
    "bench": "Searches beside each other on known problems.",
    "plugins": "What is installed, from where.",
    "doctor": "What is wrong with this machine, or with a run, and what mends it.",
}


class Commands(Group):
    """Loads a command's module when the command is named, so that `nat --help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        del ctx
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, a line each, without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"nat_core.cli.{cmd_name}").command
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="nat")
@click.option("-v", "--verbose", is_flag=True, help="More about what happens; tracebacks of plugins.")
def cli(verbose: bool) -> None:
    """Neural Architecture Transfer: your images in, a Pareto front of small networks out.

    Begin with: nat run
    """
    logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr, force=True)
    logging.getLogger("nat_core").setLevel(logging.DEBUG if verbose else logging.WARNING)


def main() -> None:
    """Run a command; an error that the user can act on is printed without a traceback, with its own exit code."""
    from nat_core.stopping import Stopped, stoppable

    try:
        with stoppable():
            status = cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except NatError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except Stopped as stop:
        click.echo(str(stop), err=True)  # asked for, so no error
        sys.exit(stop.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    sys.exit(status if isinstance(status, int) else 0)


def _complain(message: str) -> None:
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {message}", err=True)
