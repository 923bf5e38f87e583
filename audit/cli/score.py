"""``nla-audit score``: how much of their activations explanations made by any tool carry, by an AR's reading of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.terminal import clean
from audit.errors import AuditError, RefusedInput

if TYPE_CHECKING:
    from audit.nla.pair import NlaPair
    from audit.nla.vectors import Vectors

KEYS = ("text", "explanation")
ROWS = "Give one JSON object a line, such as {\"text\": \"...\"}, or a parquet file with a column 'text' or 'explanation'."
BATCH = 512


@click.command("score")
@click.option("--vectors", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Activations: safetensors or parquet.")
@click.option("--explanations", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Their texts: .jsonl or parquet.")
@click.option("--nla", default="lab", show_default=True, metavar="NAME", help="lab, a folder or a Hub name.")
@click.option("--controls", is_flag=True, help="Also score what should say nothing, and rewrites that keep the meaning.")
@click.option("--paraphrase", metavar="MODEL", help="With --controls: a model of Inspect's that puts the explanations in other words.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of cosine and mse_nrm in the order of the input, and nothing else.")
def command(vectors: Path, explanations: Path, nla: str, controls: bool, paraphrase: str | None, as_json: bool) -> int:
    """Score explanations against the activations that they explain, row by row.

    The AR turns each text into a vector; the cosine says how much of the activation's direction the words carry. Rows without a
    text, or with an activation that is not finite, get null.
    """
    from audit.cli.audits import quieten
    from audit.cli.options import configuration
    from audit.nla.vectors import read_vectors
    from audit.stages.preflight import check_api

    if (controls and as_json) or (paraphrase and not controls):
        raise AuditError("--json prints no controls, and --paraphrase is one of the --controls.", "Leave one out, or add --controls.")
    if paraphrase:
        import audit.registry  # noqa: F401  (makes targets of ours available to Inspect by name)

        check_api(paraphrase, "Name one as Inspect does: provider/model.")
    activations, texts = read_vectors(vectors), read_texts(explanations)
    if len(activations) != len(texts):
        problem = f"There are {len(activations)} activations in '{vectors}' but {len(texts)} explanations in '{explanations}'."
        raise RefusedInput(problem, "Give one explanation for each activation, in the same order.")
    if nla == "none":
        raise AuditError("Without an NLA nothing can be scored.", "Name one with --nla.")
    quieten(configuration(None, nla=nla))
    from audit.cli.controls import show_controls
    from audit.nla import load_pair

    pair = load_pair(nla, activations.shape[1])
    cosines = _cosines(pair, activations, texts, as_json)
    _warn(activations, texts, cosines)
    if as_json:
        click.echo(json.dumps([{"cosine": value, "mse_nrm": None if value is None else 2.0 * (1.0 - value)} for value in cosines]))
    else:
        _show(activations, cosines, nla)
    if controls:
        show_controls(pair, activations, texts, cosines, paraphrase)
    return 0


def read_texts(file: Path) -> list[str | None]:
    """The explanations of a file in its order, ``None`` for a row without one.

    Raises ``AuditError`` for a file that cannot be read, ``RefusedInput`` if it is no table of explanations.
    """
    try:
        with file.open("rb") as stream:
            is_parquet = stream.read(4) == b"PAR1"
        rows = _parquet_texts(file) if is_parquet else _json_texts(file)
    except OSError as error:
        raise AuditError(f"'{file}' cannot be read: {error.strerror}.", ROWS) from None
    except UnicodeDecodeError:
        raise RefusedInput(f"'{file}' is neither parquet nor text in UTF-8.", ROWS) from None
    return [value if isinstance(value, str) and value.strip() else None for value in rows]


def _json_texts(file: Path) -> list[Any]:
    rows = []
    with file.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                rows.append(_json_row(line, number, file))
    if not rows:
        raise AuditError(f"'{file}' holds no explanations.", ROWS)
    key = next((key for key in KEYS if any(key in row for row in rows)), None)
    if key is None:
        raise RefusedInput(f"No row of '{file}' has a 'text' or an 'explanation'.", ROWS)
    return [row.get(key) for row in rows]


def _json_row(line: str, number: int, file: Path) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise RefusedInput(f"Line {number} of '{file}' is no JSON object.", ROWS)
    return row


def _parquet_texts(file: Path) -> list[Any]:
    from audit.nla.vectors import read_column

    column = read_column(file, KEYS, ROWS)
    return list(column.to_pylist())


def _cosines(pair: NlaPair, vectors: Vectors, texts: Sequence[str | None], quiet: bool) -> list[float | None]:
    from audit.cli.explained import round_trip
    from audit.cli.terminal import reporter
    from audit.pipeline import Silent

    found: list[float | None] = []
    with (reporter(quiet) or Silent()).track("Reading explanations", len(texts), "explanation") as advance:
        for start in range(0, len(texts), BATCH):
            found += round_trip(pair, vectors[start : start + BATCH], texts[start : start + BATCH])
            advance(len(texts[start : start + BATCH]))
    return found


def _warn(vectors: Vectors, texts: Sequence[str | None], cosines: Sequence[float | None]) -> None:
    """Says on standard error which rows have no score, and why."""
    import numpy as np

    from audit.cli.explained import has_direction

    finite = np.isfinite(vectors).all(axis=1)
    directed = has_direction(vectors)
    reasons = {
        "have no text": sum(text is None for text in texts),
        "have an activation that is not finite": int((~finite).sum()),
        "have an activation of norm zero": int((finite & ~directed).sum()),
        "were read by the AR as a vector without a direction": sum(
            value is None and text is not None and bool(good) for value, text, good in zip(cosines, texts, directed, strict=True)
        ),
    }
    counted = [f"{count} {reason}" for reason, count in reasons.items() if count]
    if counted:
        unscored = sum(value is None for value in cosines)
        click.echo(f"Warning: {unscored} of {len(texts)} rows have no score: {', '.join(counted)}.", err=True)


def _show(vectors: Vectors, cosines: Sequence[float | None], nla: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in summary(vectors, cosines).items():
        table.add_row(name, "-" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}")
    console.print(f"Read by the AR of {clean(nla, keep='')}", style="dim", markup=False)
    console.print(table)


def summary(vectors: Vectors, cosines: Sequence[float | None]) -> dict[str, float | int | None]:
    """Figures over the scored rows; an FVE is ``None`` where these are all alike, for then there is no variance to explain."""
    import numpy as np

    from audit.nla.fidelity import Baseline, baseline_error

    scored = [row for row, value in enumerate(cosines) if value is not None]
    figures: dict[str, float | int | None] = {"rows": len(cosines), "scored": len(scored)}
    mean = float(np.mean([cosines[row] for row in scored])) if scored else None
    error = None if mean is None else 2.0 * (1.0 - mean)
    figures |= {"cosine (mean)": mean, "mse_nrm (mean)": error}
    baselines: tuple[Baseline, ...] = ("variance", "mean-direction")
    for baseline in baselines:
        worst = baseline_error(vectors[scored], baseline) if scored else 0.0
        figures[f"FVE ({baseline} baseline)"] = None if error is None or worst < 1e-9 else 1.0 - error / worst
    return figures
