"""``nla-audit train``: an NLA for a target of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("train")
@click.argument("config_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="CONFIG.yaml")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="The run's folder. Default: 'out' of the file.")
@click.option("--seed", type=int, metavar="N", help="Default: 'seed' of the file.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, and nothing else.")
def command(config_file: Path, out: Path | None, seed: int | None, as_json: bool) -> int:
    """Train an NLA (AV and AR) for a target: activations of documents, warm start, joint RL.

    \b
    The least that CONFIG.yaml holds:
      target: ./my-checkpoint           # or a Hub name; lab
      documents: ./documents.jsonl      # rows with "text" or "messages"; .parquet, .txt, a folder; lab
      summaries: openai/gpt-4o-mini     # any model of Inspect; says what the documents hold

    \b
    What it may hold besides, with defaults:
      layer: null                       # K; null: at two thirds of the depth
      positions: {per_document: 4, first: 50, max_tokens: 512}
      shares: {av: 0.4, ar: 0.4, rl: 0.15, held_out: 0.05}
      warm_start: {verbalizer_steps: 2000, reconstructor_steps: 1000, batch: 16, optimizer: adamw}
      rl: {steps: 2000, batch: 16, group: 8, max_tokens: 150, kl_weight: 0.02, reward: mse,
           verbalizer_learning_rate: 1e-5, reconstructor_learning_rate: 5e-5, micro_batch: 64}
      lora: {rank: 32, alpha: 64}       # left out: all parameters are trained
      dtype: float32                    # of weights that are not trained
      gradient_checkpointing: false
      seed: 0
      out: nla-trained

    The same command goes on where it was stopped. Several processes or accelerators, mixed precision, FSDP: start it with
    `accelerate launch -m audit.cli train CONFIG.yaml`.
    """
    from audit.cli.terminal import reporter
    from audit.training.config import read_config
    from audit.training.run import train_nla

    config = read_config(config_file, out=out, seed=seed)
    _quiet()
    stages = train_nla(config, reporter(as_json))
    if _is_main():
        _print(stages, config.out, config.target, as_json)
    return 0


def _quiet() -> None:
    """Leaves the progress bars to us: models are loaded and saved many times in a run."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


def _is_main() -> bool:
    """Whether this is the only process, or the first that the launcher started."""
    import os

    return os.environ.get("RANK", "0") == "0"


def _print(stages: dict[str, Any], out: Path, target: str, as_json: bool) -> None:
    import json

    from audit.cli.terminal import clean

    if as_json:
        click.echo(json.dumps({"out": str(out), "stages": stages}))
        return
    av, ar, rl = stages["av"], stages["ar"], stages["rl"]
    before, after = rl["before"], rl["after"]
    click.echo(f"Warm start: AV {av['held_out_loss']:.3f} nats a token (activations of other texts: {av['held_out_loss_shuffled']:.3f})")
    click.echo(f"            AR FVE {ar['fve_summaries']:.2f} on summaries (of other texts: {ar['fve_summaries_shuffled']:.2f})")
    click.echo(
        f"Round trip: FVE {before['fve']:.2f} before RL, {after['fve']:.2f} after {rl['steps']} steps "
        f"(shuffled {after['fve_shuffled']:.2f}, points reordered {after['fve_reordered']:.2f}; held-out documents, variance baseline)"
    )
    click.echo(f"            unparsed {after['held_out_unparsed']:.0%}, {after['held_out_length']:.0f} tokens a text")
    click.echo(f"Curves: {out / 'curves.png'}")
    click.echo(f"Audit with it: nla-audit run --target {clean(target)} --nla {out}")
