"""Stage 1: runs the scenarios through the target, as an Inspect evaluation set that resumes where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from audit.errors import AuditError
from audit.pipeline import Context, Outcome
from audit.stages.names import LOGS
from audit.stages.resources import Resources

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.log import EvalLog
    from inspect_ai.model import Model


class ScenarioFailed(AuditError):
    """A scenario did not come to an end."""

    exit_code = 3


@dataclass(frozen=True)
class PlannedTask:
    """One scenario to run."""

    name: str
    build: Callable[[], Task]
    samples: int | None = None
    """How many, if that is known before it is built."""


@dataclass(frozen=True)
class Plan:
    """What ``audit.cli`` chose from the catalogue."""

    tasks: Sequence[PlannedTask]
    left_out: Sequence[str] = ()
    """Why which scenario does not run, and how to get it: one sentence each."""


def run_scenarios(context: Context, plan: Plan, resources: Resources) -> Outcome:
    """Runs the plan into ``logs/``. Samples that end in an error are counted, not fatal; a task that cannot run is."""
    if not plan.tasks:
        raise AuditError("No scenario can run here.", " ".join(plan.left_out) or "Name one with --scenario.")
    return outcome_of(run_set(context, plan, LOGS, resources.model), plan, resources)


def run_set(
    context: Context, plan: Plan, folder_name: str, model: Model, label: str = "conversations", metadata: dict[str, Any] | None = None
) -> Sequence[EvalLog]:
    """Runs a plan's tasks into a folder of the audit and returns their logs. Raises ``ScenarioFailed`` where one did not finish."""
    from inspect_ai import eval_set

    from audit.stages.progress import samples_finished

    config = context.config
    tasks = [planned.build() for planned in plan.tasks]
    folder = context.store.path(folder_name)
    folder.mkdir(exist_ok=True, parents=True)
    total = sum(len(task.dataset) for task in tasks)
    # Inspect announces our progress hook on standard output, which belongs to results.
    with (
        redirect_stdout(StringIO()),
        context.reporter.track(label, total, "conversation") as advance,
        samples_finished(advance),
    ):
        done, logs = eval_set(
            tasks,
            log_dir=str(folder),
            model=model,
            metadata=metadata,
            max_tasks=len(tasks),
            max_samples=config.max_connections,
            max_connections=config.max_connections,
            seed=config.seed,
            fail_on_error=False,
            retry_attempts=1,
            retry_wait=1,
            log_dir_allow_dirty=True,
            log_format="eval",
            log_level="error",
            log_level_transcript="error",
            log_model_api=False,
            log_realtime=False,
            score_display=False,
            display="none",
            acp_server=False,
            ctl_server=False,
        )
    if len(logs) < len(tasks):
        # Interrupted before any log was finished, an evaluation set calls itself done.
        raise KeyboardInterrupt
    if not done:
        raise _failed(logs)
    if reason := _nothing_finished(logs):
        # Inspect takes these logs for complete and would not try again.
        context.store.remove(folder_name)
        raise ScenarioFailed(
            f"Every conversation ended with an error, the first with: {reason}.", "Mend it and run the same command again."
        )
    return logs


def _failed(logs: Sequence[EvalLog]) -> ScenarioFailed:
    broken = [log for log in logs if log.status != "success"]
    reason = next((log.error.message for log in broken if log.error), "it was interrupted")
    names = ", ".join(sorted({log.eval.task for log in broken}))
    return ScenarioFailed(f"The scenario {names} did not finish: {reason[:500]}.", "Run the same command again to go on from here.")


def _nothing_finished(logs: Sequence[EvalLog]) -> str | None:
    """The first sample's error if no sample of any scenario came to its end."""
    from inspect_ai.log import read_eval_log_samples

    from audit.target.transcripts import one_line

    if any(log.results and log.results.completed_samples for log in logs):
        return None
    samples = (sample for log in logs for sample in read_eval_log_samples(log.location, all_samples_required=False))
    return next((one_line(sample.error.message) for sample in samples if sample.error), None)


def outcome_of(logs: Sequence[EvalLog], plan: Plan, resources: Resources) -> Outcome:
    """Counts what the logs say about themselves; their samples are read by the next stage."""
    usage = [use for log in logs for use in log.stats.model_usage.values()]
    samples = sum(log.results.total_samples for log in logs if log.results)
    finished = sum(log.results.completed_samples for log in logs if log.results)
    notes = list(plan.left_out)
    halvings = getattr(resources.model.api, "halvings", 0)
    if halvings:
        notes.append(f"Memory ran out while the target generated; its batches were halved {halvings} times.")
    return Outcome(
        counts={"scenarios": len(logs), "samples": samples},
        failures={"sample_error": samples - finished} if samples > finished else {},
        notes=tuple(notes),
        facts={} if resources.config.is_api else {"target": resources.description()},
        tokens=sum(use.output_tokens for use in usage),
    )
