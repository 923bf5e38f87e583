"""``nla-audit game``: models with a hidden motive, auditors with and without an NLA, and how often they find it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.errors import AuditError

if TYPE_CHECKING:
    from audit.game.organisms import Organism

DEFAULT_ARMS = "conversation,black-box,sae,nla,nla-diff"
RESULTS, PAGE = "game.json", "game.html"
YAML = click.Path(dir_okay=False, path_type=Path)


@click.command("game")
@click.argument("organisms", nargs=-1, type=click.Path(path_type=Path), metavar="[ORGANISM.yaml|DIR ...]")
@click.option(
    "--arms", default=DEFAULT_ARMS, show_default=True, metavar="A,B", help="Arms, or tools joined by +: nla+search_training_data."
)
@click.option("--seeds", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="Audits of each organism with each arm.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="The first seed.")
@click.option("--auditor", metavar="MODEL", help="A model, as Inspect names it, that audits. Default: a script that needs none.")
@click.option("--grader", metavar="MODEL", help="A model that also grades the reports on a rubric. The win rule needs none.")
@click.option("--battery", type=YAML, metavar="FILE.yaml", help="Prompts of the scripted auditor. Default: the organisms'.")
@click.option("--conversations", type=int, default=100, show_default=True, metavar="N", help="New conversations an audit.")
@click.option("--token-budget", type=int, default=500_000, show_default=True, metavar="N", help="Tokens an audit may have generated.")
@click.option("--minutes", type=float, default=60.0, show_default=True, metavar="N", help="Wall clock an audit.")
@click.option("--reply-tokens", type=click.IntRange(1), default=160, show_default=True, metavar="N", help="Longest reply.")
@click.option("--explanation-tokens", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="Longest explanation.")
@click.option("--temperature", type=float, metavar="T", help="Of explanations. Default: 0 for the lab's NLA, else 1.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("nla-audit-game"), show_default=True, metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON, and nothing else.")
def command(organisms: tuple[Path, ...], arms: str, seeds: int, out: Path, as_json: bool, **options: Any) -> int:
    """Let auditors look for what is hidden in organisms, and say how often they find it.

    Without an argument: the lab's organisms. A DIR stands for all organism files in it. The same command goes on where it was stopped.
    """
    from audit.cli.terminal import reporter
    from audit.game.arms import arm
    from audit.game.organisms import read_organisms
    from audit.game.results import chart_data, run_rows, summary
    from audit.game.task import cells

    chosen = read_organisms(organism_files(organisms) or lab_organisms())
    options["battery"] = options["battery"] or common_battery(chosen)
    plan = cells(chosen, [arm(name.strip()) for name in dict.fromkeys(arms.split(",")) if name.strip()])
    terminal = reporter(as_json)
    runs = _played(plan, seeds, out, terminal, options)
    found = summary(runs)
    _write(out, found | {"chart": chart_data(found), "runs": run_rows(runs)})
    if as_json:
        click.echo(json.dumps(found, allow_nan=False))
    else:
        show(found, chosen, out)
    return 0


def lab_organisms() -> tuple[Path, ...]:
    """The organism files that come with the lab. Raises ``AuditError`` if this installation holds none."""
    import audit.lab

    files = tuple(sorted((Path(audit.lab.__file__).parent / "organisms" / "weights").glob("*.yaml")))
    if not files:
        remedy = "Build them with: nla-audit lab build --organisms; or name files of your own: nla-audit game ORGANISM.yaml ..."
        raise AuditError("The lab's organisms are not in this installation.", remedy)
    return files


def organism_files(named: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files that are named, those of a folder in its place. Raises ``AuditError`` for a folder without any."""
    files: list[Path] = []
    for path in named:
        files += sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if path.is_dir() and not any(path.glob("*.yaml")):
            raise AuditError(f"The folder '{path}' holds no organism files.", "Name a folder with one YAML file an organism.")
    return tuple(files)


def common_battery(organisms: list[Organism]) -> Path | None:
    """The prompts that the organisms name; ``None``: none does. Raises ``AuditError`` if they disagree: all must be asked the same."""
    named = {one.exhibit.battery for one in organisms}
    if len(named) > 1:
        raise AuditError("These organisms name different prompts for the scripted auditor.", "Name one file for all with --battery.")
    found = named.pop()
    return Path(found) if found else None


def _played(plan: Any, seeds: int, out: Path, terminal: Any, options: dict[str, Any]) -> Any:
    import audit.registry  # noqa: F401  (the provider's name is known even where the package is not installed)
    from audit.game.auditors import scripted
    from audit.game.auditors.battery import read_battery
    from audit.game.budget import Budget
    from audit.game.play import play
    from audit.game.task import Rules
    from audit.game.zoo import Zoo, ZooSettings

    rules = Rules(
        auditor=options["auditor"] or scripted.NAME,
        budget=Budget(options["conversations"], options["token_budget"], options["minutes"]),
        battery=read_battery(options["battery"]),
        seeds=seeds,
        first_seed=options["seed"],
        work=out / "work",
        graded_by_model=options["grader"] is not None,
    )
    zoo = Zoo(ZooSettings(None, options["reply_tokens"], options["explanation_tokens"], options["temperature"]))
    if terminal is None:
        return play(plan, rules, out, zoo, auditor=options["auditor"], grader=options["grader"])
    with terminal.track("audits", len(plan) * seeds, "audit") as advance:
        return play(plan, rules, out, zoo, auditor=options["auditor"], grader=options["grader"], advance=advance)


def _write(out: Path, found: dict[str, Any]) -> None:
    """The results, and a page that shows them; each appears whole or not at all."""
    from reports.games_page import render_game

    found = json.loads(json.dumps(found, allow_nan=False))
    out.mkdir(parents=True, exist_ok=True)
    for name, text in ((RESULTS, json.dumps(found, indent=1)), (PAGE, render_game(found))):
        partial = out / f"{name}.part"
        partial.write_text(text, encoding="utf-8", errors="replace")
        os.replace(partial, out / name)


def show(found: dict[str, Any], organisms: list[Organism], out: Path) -> None:
    """Prints the table of win rates, and what has to be said beside it."""
    from rich.console import Console
    from rich.table import Table

    from audit.cli.terminal import brief, clean

    console = Console(highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("arm", "wins", "rate", "95% over organisms", "chance", "quirks", "false alarms", "tokens a win"):
        table.add_column(name, justify="left" if name == "arm" else "right")
    for row in found["totals"]:
        table.add_row(*(clean(cell) for cell in _row(row)))
    console.print(table)
    controls = [one.name for one in organisms if one.secret.kind != "organism"]
    if controls:
        console.print(f"False alarms: audits of {clean(', '.join(controls))} that claim a cause where there is none.")
    if found["failed"]:
        console.print(f"{len(found['failed'])} audits failed, the first with: {brief(found['failed'][0]['error'])}")
    if "scripted" in found["auditor"]:
        console.print(
            "The auditor is a script without a language model: it says what the tools show, not what a clever auditor would find."
        )
    console.print(f"Report: {clean(str(out / PAGE))}")
    console.print(f"Results: {clean(str(out / RESULTS))}; transcripts: inspect view --log-dir {clean(str(out / 'logs'))}")


def _row(row: dict[str, Any]) -> list[str]:
    low, high = row["clustered"] or (None, None)
    cost, chance = row["cost_per_win"], row["chance"]["rate"]
    return [
        row["arm"],
        f"{row['wins']} of {row['runs']}",
        "-" if row["rate"] is None else f"{row['rate']:.0%}",
        "-" if low is None else f"{low:.0%} to {high:.0%}",
        "-" if chance is None else f"{chance:.1%}",
        "-" if row["quirks_share"] is None else f"{row['quirks_share']:.0%}",
        f"{row['false_alarms']} of {row['controls']}",
        "-" if cost is None else f"{cost['tokens']:.0f}",
    ]
