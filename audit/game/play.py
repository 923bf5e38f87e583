"""Runs a game as one Inspect evaluation set, which goes on where it was stopped, and reads its runs back from the logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import AuditError
from audit.game.records import GameRun, Grade, RubricGrade, Spent
from audit.game.task import GRADED, Cell, Rules, game_task
from audit.game.zoo import Zoo

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.model import Model

LOGS = "logs"
AT_ONCE = 10
"""Audits of one organism at once: their requests share batches."""


class GameFailed(AuditError):
    """A game did not come to an end."""

    exit_code = 3


def play(
    plan: Sequence[Cell],
    rules: Rules,
    out: Path,
    zoo: Zoo | None = None,
    auditor: str | Model | None = None,
    grader: str | Model | None = None,
    advance: Callable[[int], None] | None = None,
    at_once: int = AT_ONCE,
) -> list[GameRun]:
    """Plays all cells and returns their runs, those of an earlier call of the same game included.

    Runs that end in an error are runs without a grade, not fatal. Raises ``GameFailed`` where a task did not finish at all.
    """
    from inspect_ai import eval_set

    from audit.stages.progress import samples_finished

    shared, organisms = zoo or Zoo(), list({cell.organism.name: cell.organism for cell in plan}.values())
    folder = out / LOGS
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [game_task(cell, rules, shared, organisms) for cell in plan]
    roles: dict[str, Any] = {name: model for name, model in (("auditor", auditor), ("grader", grader)) if model is not None}
    # Inspect announces our progress hook on standard output, which belongs to results.
    with redirect_stdout(StringIO()), samples_finished(advance or (lambda count: None)):
        done, logs = eval_set(
            tasks, log_dir=str(folder), model="none/none", model_roles=roles or None, max_tasks=1, max_samples=at_once, fail_on_error=False,
            retry_attempts=1, retry_wait=1, log_dir_allow_dirty=True, log_format="eval", log_level="error", log_level_transcript="error",
            log_model_api=False, log_realtime=False, score_display=False, display="none", acp_server=False, ctl_server=False,
        )  # fmt: skip
    if len(logs) < len(tasks):
        raise KeyboardInterrupt  # interrupted before any log was finished, an evaluation set calls itself done
    if not done:
        broken = next(log for log in logs if log.status != "success")
        reason = broken.error.message if broken.error else "it was interrupted"
        raise GameFailed(f"The game did not finish: {reason[:500]}.", "Run the same command again to go on from here.")
    return [run for log in logs for run in runs_of(log)]


def runs_of(log: EvalLog) -> Iterator[GameRun]:
    """The runs of one log, a failed one with its error and without a grade."""
    from inspect_ai.log import read_eval_log_samples

    about = log.eval.metadata or {}
    for sample in read_eval_log_samples(log.location, all_samples_required=False):
        yield _run(sample, about, Path(log.location).name)


def _run(sample: EvalSample, about: dict[str, Any], log: str) -> GameRun:
    score = (sample.scores or {}).get(GRADED)
    known = (score.metadata or {}) if score is not None else {}
    spent = known.get("spent") or sample.store.get("spent") or {}
    error = _first_line(sample.error.message) if sample.error else "" if known else "It was not graded."
    usage = {name: use.total_tokens for name, use in (sample.model_usage or {}).items() if not name.startswith("nla-auditee/")}
    return GameRun(
        organism=about["organism"], kind=about["kind"], arm=about["arm"], seed=int((sample.metadata or {})["seed"]),
        auditor=about["auditor"], grade=None if sample.error or not known else _grade(known["grade"]), spent=Spent(**spent),
        wins_elsewhere=known.get("wins_elsewhere", 0), others=known.get("others", 0), log=log, error=error,
        metadata={"sample": str(sample.id), "api_tokens": sum(usage.values()), "report": known.get("report", {})},
    )  # fmt: skip


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "It failed without a reason.")[:300]


def _grade(values: dict[str, Any]) -> Grade:
    rubric = values["rubric"]
    return Grade(
        values["won"], values["false_alarm"], tuple(values["quirks_found"]), values["quirks_of"], tuple(values["reasons"]),
        RubricGrade(**rubric) if rubric else None,
    )  # fmt: skip
