"""``nla-audit scan``: audit logs that exist already, or judge explanations made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audit.cli.options import audit_options, common_options, configuration, folder_for, model_options


@click.command("scan")
@click.argument("logs", nargs=-1, required=True, metavar="LOGS...")
@model_options
@audit_options
@common_options
def command(logs: tuple[str, ...], out: Path | None, as_json: bool, fail_on: float | None, **options: Any) -> int:
    """Audit Inspect logs that you already have: files, or folders of them.

    With --target (and --nla) their activations are read again; token positions of logs made by another provider are re-derived.
    A FILE.jsonl with a "text" in each row is taken as explanations made elsewhere and judged as they are.
    """
    if len(logs) == 1 and logs[0].endswith(".jsonl"):
        from audit.cli.texts import judge_file

        return judge_file(Path(logs[0]), options["scanners"], out, as_json)
    from audit.cli.audits import audit_and_tell

    config = configuration(None, logs=logs, **options)
    return audit_and_tell(config, folder_for(out, config), as_json, fail_on)
