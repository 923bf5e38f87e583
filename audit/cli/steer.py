"""What ``explain --steer`` does: an edited explanation becomes a push on the target, and the pushes are shown side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from audit.cli.terminal import clean
from audit.errors import AuditError
from audit.nla.steering import Continuation, Edit

if TYPE_CHECKING:
    from audit.nla.pair import NlaPair
    from audit.nla.vectors import Vectors
    from audit.records import Site
    from audit.target.loading import LoadedTarget


@dataclass(frozen=True)
class Experiment:
    """How to steer."""

    edit: Edit
    temperature: float
    seed: int
    alpha: float = 1.0
    """Norm of the push, in norms of the activation."""
    samples: int = 3
    """Random directions, and above temperature 0 explanations."""
    new_tokens: int = 40
    """Length of the continuations."""


@dataclass(frozen=True)
class Outcome:
    """The edited explanations and what the target said after each push."""

    position: int
    token: str
    norm: float
    """Of the activation."""
    alpha: float
    old: str
    new: str
    explanations: tuple[str, ...]
    """Those that hold ``old``; the direction is the mean over them."""
    edited: tuple[str, ...]
    sampled: int
    """How many explanations were made."""
    unsteered: Continuation
    steered: Continuation
    random: tuple[Continuation, ...]


def steer(target: LoadedTarget, pair: NlaPair, ids: Sequence[int], site: Site, vector: Vectors, plan: Experiment, as_json: bool) -> int:
    """Runs the experiment on one token, whose activation is ``vector`` ``[1, d]``, and prints it."""
    outcome = experiment(target, pair, ids, site, vector, plan)
    if as_json:
        click.echo(json.dumps(asdict(outcome), allow_nan=False))
    else:
        _show(outcome)
    return 0


def experiment(target: LoadedTarget, pair: NlaPair, ids: Sequence[int], site: Site, vector: Vectors, plan: Experiment) -> Outcome:
    """Explains the token, edits, and continues the text undisturbed, pushed along the edit, and pushed at random.

    Raises ``AuditError`` if the activation cannot be used, if no explanation holds the words to replace, or if the AR reads the edit
    as it reads the original.
    """
    from audit.nla.steering import continuations, edit_direction, pushes, random_directions

    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(norm) or norm == 0:
        raise AuditError(f"The activation at position {site.position} is zero or not finite.", "Choose another token with --at.")
    sampled = _explanations(pair, vector, plan)
    usable = [text for text in sampled if plan.edit.old in text]
    if not usable:
        raise AuditError(_absent(plan.edit, site.position, sampled), "Replace words that it does hold.")
    directions = np.concatenate(
        [edit_direction(pair, usable, plan.edit)[None], random_directions(vector.shape[1], plan.samples, plan.seed)]
    )
    additions = pushes(directions, norm, plan.alpha)
    said = continuations(target.model, target.tokenizer, ids, pair.layer, site.position, additions, plan.new_tokens)
    return Outcome(
        site.position, site.token, norm, plan.alpha, plan.edit.old, plan.edit.new, tuple(usable), tuple(map(plan.edit, usable)),
        len(sampled), said[0], said[1], tuple(said[2:]),
    )  # fmt: skip


def _explanations(pair: NlaPair, vector: Vectors, plan: Experiment) -> list[str]:
    """The token's explanations: greedy there is only one."""
    count = plan.samples if plan.temperature > 0 else 1
    repeated = np.repeat(vector, count, axis=0)
    said = pair.explain(repeated, temperature=plan.temperature, seed=plan.seed, keys=list(range(count)))
    return [one.text for one in said]


def _absent(edit: Edit, position: int, texts: Sequence[str]) -> str:
    listed = "\n\n".join(text or "(empty)" for text in texts)
    what = "The explanation" if len(texts) == 1 else f"None of the {len(texts)} explanations"
    return f"{what} of position {position} {'does not hold' if len(texts) == 1 else 'holds'} '{edit.old}'. It reads:\n{listed}\n"


def _show(outcome: Outcome) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    count = len(outcome.explanations)
    averaged = f" (first of {count} that are averaged; {outcome.sampled} were made)" if outcome.sampled > 1 else ""
    console.print(Text(f"Token {outcome.position} '{clean(outcome.token, keep='')}', explained{averaged}:", style="dim"))
    console.print(_marked(outcome.explanations[0], outcome.old, "red"))
    console.print(Text("Edited:", style="dim"))
    console.print(_marked(outcome.edited[0], outcome.new, "green"))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("push")
    table.add_column("KL", justify="right")
    table.add_column("the target goes on")
    for name, said in _named(outcome):
        table.add_row(name, f"{said.kl:.3f}", Text(clean(said.text.rstrip())))
    console.print(table)
    console.print(Text(_verdict(outcome), style="bold"))


def _named(outcome: Outcome) -> list[tuple[str, Continuation]]:
    at_random = [(f"random {number}", said) for number, said in enumerate(outcome.random, 1)]
    return [("none", outcome.unsteered), ("edit", outcome.steered), *at_random]


def _verdict(outcome: Outcome) -> str:
    """What the comparison says, in words that claim no more than it shows."""
    changed = sum(said.text != outcome.unsteered.text for said in outcome.random)
    greater = sum(said.kl >= outcome.steered.kl for said in outcome.random)
    edit = "changes" if outcome.steered.text != outcome.unsteered.text else "does not change"
    force = f"alpha {outcome.alpha:g}, norm {abs(outcome.alpha) * outcome.norm:.1f}"
    return (
        f"The edit {edit} the continuation ({force}). Of {len(outcome.random)} random pushes of that norm {changed} do, "
        f"and {greater} shift the next token at least as far (KL)."
    )


def _marked(text: str, words: str, colour: str) -> Any:
    from rich.text import Text

    shown = Text(clean(text))
    if words:
        shown.highlight_words([clean(words)], style=f"bold {colour}")
    return shown
