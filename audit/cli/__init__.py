"""The command line: ``nla-audit``. One module a command, loaded when it is called, so that ``--help`` is immediate."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "run": "Run scenarios through a target and audit it (no argument: a quick audit of the lab).",
    "scan": "Audit logs that you already have, or judge explanations made elsewhere.",
    "explain": "Explain a text token by token, or a file of activations; edit an explanation and see what follows.",
    "score": "Say how much of their activations explanations made elsewhere carry.",
    "report": "Write an audit's report again, with a sign-off and people's labels if there are any.",
    "view": "Explore an audit in the browser: every conversation, every token that was read.",
    "compare": "Compare two audits: two checkpoints, or a model and the organism made from it.",
    "label": "Judge explanations yourself, blind; the report then says how far scanners and people agree.",
    "export": "Export an audit: CSV tables, Markdown for a pull request, PDF.",
    "game": "Let auditors look for hidden motives, with and without an NLA, and say how often they find them.",
    "train": "Train an NLA for a target of your own.",
    "lab": "The lab: build its target and NLA.",
    "doctor": "What works on this machine, and what is missing.",
}


class _Lazy(click.Group):
    """Commands by name; the module of one is imported when it is needed."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"audit.cli.{name}").command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nla-audit")
def cli() -> None:
    """Audits a language model with natural language autoencoders: what it did, what it said, and what its activations say."""


def main() -> None:
    """Entry point of ``nla-audit``. Exit codes: 0 clean, 1 findings above --fail-on, 2 the user's mistake, 3 an internal failure."""
    from audit.cli.outcome import run_command

    raise SystemExit(run_command(cli))
