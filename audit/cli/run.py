"""``nla-audit run``: scenarios, explanations, findings and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audit.cli.options import audit_options, common_options, configuration, folder_for, model_options, strengths


@click.command("run")
@click.argument("config_file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[CONFIG.yaml]")
@model_options
@click.option(
    "--scenario", "scenarios", multiple=True, metavar="NAME", help="Run this one (repeatable). Default: all that suit the target."
)
@click.option("--limit", type=int, metavar="N", help="Samples a scenario. Default: 20.")
@click.option("--full", is_flag=True, help="100 samples a scenario, 50 tokens a transcript; on the lab also --twins and --steer.")
@audit_options
@click.option("--sandbox", type=click.Choice(["bwrap", "docker"]), help="Where commands of the model run. Default: bubblewrap if it works.")
@click.option("--twins/--no-twins", default=None, help="Run realism twins of the samples, too.")
@click.option(
    "--steer", callback=strengths, metavar="S,...", help="Run samples again, steered to awareness and against it: 0.05,0.1 say. 0: none."
)
@common_options
@click.option("--dry-run", is_flag=True, help="Print what would be done and how long it may take, and stop.")
def command(
    config_file: Path | None, out: Path | None, as_json: bool, fail_on: float | None, full: bool, dry_run: bool, **options: Any
) -> int:
    """Run scenarios through a target, explain its activations, and write findings and a report.

    Without an argument: a quick audit of the bundled lab model. The same command goes on where it was stopped.
    """
    from audit.cli.audits import audit_and_tell
    from audit.config import FULL_SAMPLES, FULL_STRENGTHS, FULL_TOKENS, LAB

    if full:
        options["limit"] = options["limit"] or FULL_SAMPLES
        options["tokens"] = options["tokens"] or FULL_TOKENS
    config = configuration(config_file, **options)
    if full and config.target == LAB:
        manipulated = {"twins": True, "steer": FULL_STRENGTHS}
        config = config.model_copy(update={name: value for name, value in manipulated.items() if name not in config.model_fields_set})
    if dry_run:
        from audit.cli.estimate import print_estimate

        print_estimate(config, as_json)
        return 0
    return audit_and_tell(config, folder_for(out, config), as_json, fail_on)
