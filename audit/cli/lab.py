"""``nla-audit lab``: the small world with known ground truth."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("lab")
def command() -> None:
    """The lab: a target and its NLA, made from nothing, in a world whose truth is known."""


@command.command("build")
@click.option("--out", type=click.Path(path_type=Path), default=Path("nla-lab"), show_default=True, metavar="DIR")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N")
def build(out: Path, seed: int) -> int:
    """Train the lab's target and NLA from a seed. Takes some hours on two cores, and goes on where it was stopped."""
    from audit.cli.terminal import reporter
    from audit.lab.build import BuildConfig
    from audit.lab.build import build as build_lab

    build_lab(out, BuildConfig(seed=seed), reporter(False))
    return 0
