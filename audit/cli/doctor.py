"""``nla-audit doctor``: what works on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

MARKS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


@click.command("doctor")
@click.option("--target", metavar="NAME", help="With --nla: the target that the NLA should belong to. Default: lab.")
@click.option("--nla", metavar="NAME", help="Check whether this NLA belongs to the target.")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def command(target: str | None, nla: str | None, as_json: bool) -> int:
    """Check Python, PyTorch, memory, sandbox, installation, lab and NLA. Exits with 2 if something that is needed does not work."""
    from audit.cli.terminal import clean
    from audit.doctor import diagnose

    checks = diagnose(target, nla)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks]))
    else:
        for check in checks:
            click.echo(f"{MARKS[check.state]} {check.name}: {clean(check.found)}")
            if check.remedy:
                click.echo(f"        {clean(check.remedy)}")
    return 2 if any(check.state == "problem" for check in checks) else 0
