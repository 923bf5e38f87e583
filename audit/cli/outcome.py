"""From what a command raised to what the user reads and to the exit code."""

from __future__ import annotations

import io
import os
import sys
import traceback

import click

from audit.cli.terminal import clean
from audit.errors import AuditError

CLEAN, FOUND, MISTAKE, INTERNAL = 0, 1, 2, 3
TRACEBACK = "NLA_AUDIT_TRACEBACK"


def run_command(command: click.Command, arguments: list[str] | None = None) -> int:
    """Runs a command line and returns its exit code; never lets an exception through."""
    try:
        code = command.main(args=arguments, prog_name="nla-audit", standalone_mode=False)
        return code if isinstance(code, int) else CLEAN
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        # It quotes what was typed, which may be a file's name that the shell put there.
        said = io.StringIO()
        error.show(file=said)
        click.echo(clean(said.getvalue()), err=True, nl=False)
        return MISTAKE
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nStopped. The same command goes on from here.", err=True)
        return 130
    except AuditError as error:
        click.echo(f"Error: {clean(error.message)}", err=True)
        if error.remedy:
            click.echo(f"  {clean(error.remedy)}", err=True)
        return error.exit_code
    except BrokenPipeError:
        # The reader (head, less) has gone; Python must not complain about it on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLEAN
    except Exception as error:
        return _internal(error)


def _internal(error: Exception) -> int:
    """A bug of ours: say so, and how to see where."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    reason = clean(f"{type(error).__name__}: {error}".splitlines()[0])
    click.echo(f"Internal error: {reason}", err=True)
    click.echo(f"  What is done so far is kept. Set {TRACEBACK}=1 to see where it happened, and please report it.", err=True)
    return INTERNAL
