"""``nla-audit lab``: the small world with known ground truth."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("lab")
def command() -> None:
    """The lab: a target and its NLA, made from nothing, in a world whose truth is known."""


@command.command("build")
@click.option("--organisms", is_flag=True, help="The models with hidden motives for auditing games, over the lab's target, and their NLAs.")
@click.option(
    "--only", multiple=True, metavar="NAME", help="With --organisms, only this part: base, nla, moon, own_nla/moon, ... (repeatable)"
)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Default: nla-lab, with --organisms nla-lab-organisms.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N")
def build(organisms: bool, only: tuple[str, ...], out: Path | None, seed: int) -> int:
    """Train the lab's target and NLA from a seed, or with --organisms the models with hidden motives.

    Takes some hours on two cores, and goes on where it was stopped.
    """
    from audit.cli.terminal import reporter

    terminal = reporter(False)
    if organisms:
        from transformers.utils.logging import disable_progress_bar

        from audit.lab.organisms.build import build_organisms
        from audit.lab.organisms.recipe import OrganismsConfig

        disable_progress_bar()  # ours are enough: models are loaded and saved many times
        busy = build_organisms(out or Path("nla-lab-organisms"), OrganismsConfig(seed=seed), terminal, only)
        if busy:
            click.echo(f"Another process is at: {', '.join(busy)}.")
        return 0
    if only:
        raise click.UsageError("--only goes with --organisms.")
    from audit.lab.build import BuildConfig
    from audit.lab.build import build as build_lab

    build_lab(out or Path("nla-lab"), BuildConfig(seed=seed), terminal)
    return 0
