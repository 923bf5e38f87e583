"""``nla-audit scan``: audit logs that exist already, or judge explanations made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audit.cli.options import audit_options, common_options, configuration, folder_for, model_options
from audit.errors import AuditError


@click.command("scan")
@click.argument("logs", nargs=-1, required=True, metavar="LOGS...")
@model_options
@audit_options
@common_options
def command(logs: tuple[str, ...], out: Path | None, as_json: bool, fail_on: float | None, **options: Any) -> int:
    """Audit Inspect logs that you already have: files, or folders of them.

    Without --target it is the model that the logs name. With --target (and --nla) their activations are read; token positions of
    logs made by another provider are re-derived.
    A FILE.jsonl with a "text" in each row is taken as explanations made elsewhere and judged as they are.
    """
    if len(logs) == 1 and logs[0].endswith(".jsonl"):
        from audit.cli.texts import judge_file

        if options["reference"] is not None:
            raise AuditError("Motives are sought in audits, not in a file of explanations.", "Leave --reference out, or scan logs.")
        return judge_file(Path(logs[0]), options["scanners"], out, as_json, options["grader"])
    from audit.cli.audits import audit_and_tell

    if options["target"] is None:
        options["target"] = target_of(logs)
    config = configuration(None, logs=logs, **options)
    return audit_and_tell(config, folder_for(out, config), as_json, fail_on)


def target_of(logs: tuple[str, ...]) -> str:
    """The target that the logs name: ours by its name, any other as a model that can only be talked to.

    Raises ``AuditError`` if there is no readable log, or if they name several models.
    """
    from inspect_ai.log import read_eval_log

    from audit.config import API_PREFIX
    from audit.target.transcripts import UNREADABLE, find_logs

    names = set()
    for path in find_logs(Path(log).expanduser() for log in logs):
        try:
            names.add(read_eval_log(str(path), header_only=True).eval.model)
        except UNREADABLE:
            continue  # the reader of transcripts counts and lists it
    if not names:
        raise AuditError("None of these files is a log that Inspect can read.", "Name .eval files, or a folder that holds some.")
    if len(names) > 1:
        raise AuditError(f"The logs name several models: {', '.join(sorted(names))}.", "Say which one to audit with --target.")
    provider, _, model = names.pop().partition("/")
    return model if provider == "nla-target" else f"{API_PREFIX}{provider}/{model}"
