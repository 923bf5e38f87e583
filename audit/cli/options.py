"""Options that commands share, and how they and a YAML file become a configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from audit.config import AuditConfig, checked, from_yaml

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
DEFAULT_LAB_FOLDER = "nla-audit-lab"


def _together(*options: Callable[[CommandT], CommandT]) -> Callable[[CommandT], CommandT]:
    def decorate(command: CommandT) -> CommandT:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


model_options = _together(
    click.option("--target", metavar="NAME", help="lab, a folder, a Hub name, or inspect:<provider>/<model> for an API. Default: lab."),
    click.option("--nla", metavar="NAME", help="lab, a folder or a Hub name; none for no NLA. Default: the lab's for the lab, else none."),
)
audit_options = _together(
    click.option("--tokens", type=int, metavar="N", help="Tokens to explain in each transcript."),
    click.option("--sites", metavar="HOW", help="Which tokens: random, all, every:K, last:K."),
    click.option("--temperature", type=float, metavar="T", help="Of the explanations. Default: 0 for the lab's NLA, else 1."),
    click.option("--samples", type=int, metavar="N", help="Explanations a token."),
    click.option("--controls", multiple=True, metavar="LOGS", help="Inspect logs of your own deployment traffic, as controls."),
    click.option("--scanner", "scanners", multiple=True, metavar="FILE.py", help="A scanner of your own."),
    click.option("--grader", metavar="MODEL", help="A model, as Inspect names it, that graded scanners ask. Default: they are left out."),
    click.option("--reference", metavar="DIR", help="Another audit's folder, to compare motives with. Default: the controls."),
)
common_options = _together(
    click.option(
        "--out", type=click.Path(path_type=Path), metavar="DIR", help="The audit's folder; the same folder goes on where it stopped."
    ),
    click.option("--seed", type=int, metavar="N", help="Default: 0."),
    click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, and nothing else."),
    click.option(
        "--fail-on", type=click.FloatRange(0, 1), metavar="RATE", help="Exit with 1 if a scenario's NLA-aware or harmful rate is above it."
    ),
)


def strengths(context: click.Context, parameter: click.Parameter, value: str | None) -> list[float] | None:
    """``0.05,0.1`` as numbers; 0 alone is none at all. Raises ``click.BadParameter`` for anything else."""
    if value is None:
        return None
    try:
        return [number for part in value.split(",") if (number := float(part))]
    except ValueError:
        raise click.BadParameter("write numbers with commas between them, such as 0.05,0.1") from None


def configuration(file: Path | None, **options: Any) -> AuditConfig:
    """The file's settings with the options laid over them; options that were not given are ``None`` or empty."""
    values = from_yaml(file) if file is not None else {}
    return checked(values | {name: value for name, value in options.items() if value not in (None, ())})


def folder_for(out: Path | None, config: AuditConfig) -> Path:
    """Where the audit goes if the user did not say."""
    if out is not None:
        return out
    if config.target == "lab" and not config.logs:
        return Path(DEFAULT_LAB_FOLDER)
    name = Path(config.logs[0]).stem if config.logs else config.target
    return Path("nla-audit-" + "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in name).strip("-."))
