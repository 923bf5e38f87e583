"""``nla-audit explain``: what the activations of a text, or of a file, say; and what follows if an explanation is edited."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.options import model_options
from audit.errors import AuditError

if TYPE_CHECKING:
    from audit.cli.explained import Explained
    from audit.config import AuditConfig
    from audit.nla.pair import NlaPair
    from audit.nla.vectors import Vectors
    from audit.records import Site
    from audit.stages.resources import Resources
    from audit.target.loading import LoadedTarget

TEXT_ONLY = ("chat", "steer", "target")
LIST_ONLY = ("first", "every", "last", "out")
STEER_ONLY = ("at", "alpha", "samples", "new_tokens")


@click.command("explain")
@click.argument("text", required=False)
@model_options
@click.option("--vectors", type=click.Path(path_type=Path), metavar="FILE", help="Explain activations of this file instead of a text's.")
@click.option("--chat", is_flag=True, default=None, help="Put the text into the target's chat template, as a user's message.")
@click.option("--from", "first", type=click.IntRange(min=0), metavar="N", help="First position to explain. Default: 10, in a file 0.")
@click.option("--every", type=click.IntRange(min=1), metavar="K", help="Only every K-th token.")
@click.option("--last", type=click.IntRange(min=1), metavar="K", help="Only the last K tokens.")
@click.option("--temperature", type=float, metavar="T", help="Of the explanations. Default: 0 for the lab's NLA, else 1.")
@click.option("--seed", type=int, metavar="N", help="Default: 0.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Keep the explanations: .jsonl, or .parquet with the vectors.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, and nothing else.")
@click.option("--steer", metavar="OLD=>NEW", help="Edit one token's explanation and push the target there by what the edit changes.")
@click.option("--at", type=click.IntRange(min=0), metavar="N", help="With --steer: the token's position. Default: the last.")
@click.option("--alpha", type=float, metavar="A", help="With --steer: the push's norm, in norms of the activation. Default: 1.")
@click.option(
    "--samples", type=click.IntRange(1, 64), metavar="N",
    help="With --steer: random directions to compare with, and above temperature 0 explanations to average. Default: 3.",
)  # fmt: skip
@click.option("--new-tokens", type=click.IntRange(min=1), metavar="N", help="With --steer: tokens to continue with. Default: 40.")
def command(text: str | None, vectors: Path | None, as_json: bool, **options: Any) -> int:
    """Explain the activations of TEXT token by token (- reads it from standard input), or those of a file.

    The colour behind a token says how much of its activation the words carry: red no more than the mean activation does, green all.
    Explanations are right in theme more often than in detail.

    --steer checks an explanation's claim: it stands beside what the target says undisturbed, and after pushes in random directions.
    """
    if (text is None) == (vectors is None):
        raise AuditError("Give either a text or --vectors FILE.", "Such as: nla-audit explain 'some text of a dozen words or more'.")
    _check_options(options, vectors is not None)
    return _of_file(vectors, as_json, options) if vectors is not None else _of_text(_read(text or ""), as_json, options)


def _check_options(options: dict[str, Any], from_file: bool) -> None:
    """Refuses options that would be ignored, and an --out that cannot be written."""
    from audit.cli.explained import check_out

    _refuse(options, TEXT_ONLY if from_file else (), "goes with a text, not with --vectors")
    _refuse(options, STEER_ONLY if options["steer"] is None else (), "belongs to --steer")
    _refuse(options, LIST_ONLY if options["steer"] is not None else (), "does not go with --steer, which is about one token")
    if options["every"] and options["last"]:
        raise AuditError("--every and --last do not go together.", "Use one of them.")
    if options["alpha"] is not None and not math.isfinite(options["alpha"]):
        raise AuditError("--alpha is no number.", "Such as: --alpha 1.5.")
    if options["out"] is not None:
        check_out(options["out"])


def _refuse(options: dict[str, Any], names: Sequence[str], why: str) -> None:
    for name in names:
        if options[name] is not None:
            flag = "--" + {"first": "from"}.get(name, name).replace("_", "-")
            raise AuditError(f"{flag} {why}.", "Leave it out.")


def _read(text: str) -> str:
    """The text itself, or standard input for ``-``. Raises ``AuditError`` if it is empty or no UTF-8."""
    try:
        text = sys.stdin.buffer.read().decode("utf-8").removesuffix("\n") if text == "-" else text
        text.encode("utf-8")
    except UnicodeError:
        raise AuditError("The text is not in UTF-8.", "Convert it first.") from None
    if not text.strip():
        raise AuditError("The text is empty.", "Give a text of a dozen words or more.")
    return text


def _configured(options: dict[str, Any]) -> AuditConfig:
    from audit.cli.audits import quieten
    from audit.cli.options import configuration

    config = configuration(None, **{name: options[name] for name in ("target", "nla", "temperature", "seed")})
    if config.is_api:
        raise AuditError("A model behind an API has no activations to explain.", "Name a target with open weights.")
    if config.nla_name is None:
        raise AuditError("Without an NLA nothing can be explained.", "Name the NLA of this target with --nla.")
    quieten(config)
    return config


def _of_file(file: Path, as_json: bool, options: dict[str, Any]) -> int:
    from audit.nla import load_pair
    from audit.nla.vectors import read_vectors
    from audit.records import Site

    config = _configured(options)
    assert config.nla_name is not None
    vectors = read_vectors(file)
    chosen = _chosen(len(vectors), options["first"] or 0, options)
    sites = [Site(file.name, 0, row, "", "response", "all") for row in chosen]
    pair = load_pair(config.nla_name, vectors.shape[1])
    _announce(f"{len(chosen)} of {len(vectors)} activations of {file.name}, read at block {pair.layer}, NLA {config.nla_name}", as_json)
    return _tell(pair, vectors[chosen], sites, config, as_json, options["out"])


def _of_text(text: str, as_json: bool, options: dict[str, Any]) -> int:
    from audit.cli.steer import Experiment, steer
    from audit.nla.steering import Edit

    edit = Edit.parse(options["steer"]) if options["steer"] is not None else None
    config = _configured(options)
    layer = _layer(config)
    if edit is None:
        # Importing what reads a model takes seconds; one sees at once what is going on.
        _announce(f"Target {config.target}, read at block {layer}, NLA {config.nla_name}", as_json)
    plan = _plan(text, config, options)
    if edit is not None:
        reading = _read_activations(plan)
        settings = {name: options[name] for name in ("alpha", "samples", "new_tokens") if options[name] is not None}
        experiment = Experiment(edit, config.explanation_temperature, config.seed, **settings)
        return steer(reading.target, reading.pair, plan.ids, reading.sites[0], reading.vectors, experiment, as_json)
    _announce(f"{len(plan.chosen)} of {len(plan.ids)} tokens", as_json)
    reading = _read_activations(plan)
    return _tell(reading.pair, reading.vectors, reading.sites, config, as_json, options["out"])


@dataclass(frozen=True)
class _Plan:
    """What is to be explained: tokens of a text, and which of them."""

    resources: Resources
    ids: tuple[int, ...]
    chosen: list[int]


@dataclass(frozen=True)
class _Reading:
    """The residual stream after block K at the chosen tokens, ``[n, d]``, and who read it."""

    target: LoadedTarget
    pair: NlaPair
    sites: list[Site]
    vectors: Vectors


def _layer(config: AuditConfig) -> int:
    """The block that the NLA reads. Raises ``RefusedInput`` if it does not fit the target's shape."""
    from audit.stages.preflight import check_nla
    from audit.target.loading import checkpoint_folder

    assert config.nla_name is not None
    return int(check_nla(config.nla_name, config.target, checkpoint_folder(config.target))["layer"])


def _plan(text: str, config: AuditConfig, options: dict[str, Any]) -> _Plan:
    """Everything that can be refused is refused here, where no weights are loaded yet."""
    from audit.cli.steer import Experiment
    from audit.stages.preflight import text_config
    from audit.stages.resources import Resources
    from audit.target.loading import checkpoint_folder
    from audit.target.sites import SKIP_FIRST

    resources = Resources(config)
    ids = _token_ids(resources.tokenizer, text, bool(options["chat"]))
    first = SKIP_FIRST if options["first"] is None else options["first"]
    steering = options["steer"] is not None
    chosen = [_position(len(ids), options["at"], SKIP_FIRST)] if steering else _chosen(len(ids), first, options)
    room = (options["new_tokens"] or Experiment.new_tokens) if steering else 0
    longest = text_config(checkpoint_folder(config.target)).get("max_position_embeddings", sys.maxsize) - room
    if len(ids) > longest:
        raise AuditError(f"The text has {len(ids)} tokens, but there is room for {longest} at most.", "Shorten it.")
    return _Plan(resources, ids, chosen)


def _read_activations(plan: _Plan) -> _Reading:
    from audit.records import ModelCall, Site
    from audit.target.capture import capture

    resources, ids, chosen = plan.resources, plan.ids, plan.chosen
    vectors = capture(resources.target.model, [ModelCall(0, "", None, ids, (), (), "")], [chosen], resources.pair.layer)[0]
    sites = [Site("text", 0, position, resources.tokenizer.decode([ids[position]]), "response", "all") for position in chosen]
    return _Reading(resources.target, resources.pair, sites, vectors)


def _token_ids(tokenizer: Any, text: str, chat: bool) -> tuple[int, ...]:
    """The text's tokens; special tokens that are written out in it count as such."""
    from jinja2 import TemplateError

    if not chat:
        return tuple(tokenizer(text)["input_ids"])
    messages = [{"role": "user", "content": text}]
    try:
        return tuple(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False))
    except TemplateError as error:
        raise AuditError(f"The target's chat template rejects this message: {error}.", "Leave --chat out.") from None


def _chosen(count: int, first: int, options: dict[str, Any]) -> list[int]:
    """The positions to explain. Raises ``AuditError`` if there are none."""
    chosen = list(range(first, count))
    if not chosen:
        remedy = "The first ten tokens of a text decode badly and are skipped; give a longer text, or begin earlier with --from."
        raise AuditError(f"There is nothing to explain: positions end at {count - 1}, and explaining begins at {first}.", remedy)
    return chosen[:: options["every"] or 1][-(options["last"] or 0) :]


def _position(count: int, at: int | None, skipped: int) -> int:
    """The token to steer at. Raises ``AuditError`` if it is not in the text, or if it was not named and the text is too short."""
    if at is None and count <= skipped:
        raise AuditError(
            f"The text has only {count} tokens, and the first {skipped} decode badly.", "Give a longer text, or name a token with --at."
        )
    if at is not None and at >= count:
        raise AuditError(f"The text has no token {at}: its positions are 0 to {count - 1}.", "Choose another --at.")
    return count - 1 if at is None else at


def _announce(title: str, as_json: bool) -> None:
    """Prints what is being explained; JSON lines stand alone."""
    if as_json:
        return
    from rich.console import Console
    from rich.text import Text

    from audit.cli.terminal import clean

    Console(highlight=False).print(Text(clean(title, keep=""), style="dim"))


def _tell(pair: NlaPair, vectors: Vectors, sites: Sequence[Site], config: AuditConfig, as_json: bool, out: Path | None) -> int:
    """Explains, prints as it goes, and keeps the rows if asked."""
    import json
    from dataclasses import asdict

    from audit.cli import explained

    stream = explained.explain_each(pair, vectors, sites, config.explanation_temperature, config.seed)
    rows: list[Explained] = []
    if as_json:
        for row in stream:
            click.echo(json.dumps(asdict(row), allow_nan=False))
            rows.append(row)
    else:
        from rich.console import Console
        from rich.text import Text

        console, baseline = Console(highlight=False), explained.variance(vectors)
        rows = explained.show(stream, console, baseline)
        console.print(Text(explained.closing_line(rows, baseline), style="bold"))
    if out is not None:
        explained.keep(out, rows, vectors)
    return 0
