"""The stage table: the one place that sees scenarios, audit and reports together."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from audit.config import LAB, AuditConfig
from audit.errors import AuditError, MissingExtra
from audit.pipeline import Context, Outcome, Stage
from audit.stages import names
from audit.stages.identity import file_hashes, model_identity, nla_identity
from audit.stages.resources import Resources
from audit.stages.scenarios import Plan, PlannedTask
from audit.store import Store, content_hash

if TYPE_CHECKING:
    from reports.view import AuditTables


def plan_scenarios(config: AuditConfig) -> Plan:
    """The scenarios that can run here, and why others cannot. Raises ``AuditError`` for a name that the catalogue lacks."""
    from scenarios.catalogue import CATALOGUE, scenario

    source = "lab" if config.target == LAB else "written"
    adapted = _adapted() if config.scenarios else {}
    chosen = [name for name in config.scenarios if name not in adapted]
    entries = [scenario(name) for name in chosen] if config.scenarios else [entry for entry in CATALOGUE if not entry.lab_only]
    sandbox, reason = choose_sandbox(config)
    tasks, left_out = [], []
    for entry in entries:
        if entry.lab_only and source != "lab":
            left_out.append(f"The scenario {entry.name} is left out: it has prompts for the lab target only.")
        elif entry.needs_sandbox and sandbox == "none":
            left_out.append(f"The scenario {entry.name} is left out, for it runs a model's commands: {reason}")
        else:
            if entry.uses_sandbox and sandbox == "none":
                left_out.append(f"The part of the scenario {entry.name} that runs commands is left out: {reason}")
            tasks.append(PlannedTask(entry.name, partial(_task, entry, source, config, sandbox)))
    for name in config.scenarios:
        if name in adapted:
            adapted_plan(adapted[name], tasks, left_out)
    return Plan(tasks, left_out)


def _task(entry: Any, source: str, config: AuditConfig, sandbox: str) -> Any:
    from scenarios.catalogue import task_function

    return task_function(entry)(source=source, limit=config.limit, seed=config.seed, sandbox=sandbox)


def _adapted() -> dict[str, Any]:
    """Scenarios of the package inspect-evals, if it is there."""
    from scenarios.adapters import inspect_evals_tasks

    try:
        return {task.name: task for task in inspect_evals_tasks()}
    except MissingExtra:
        return {}


def adapted_plan(task: Any, tasks: list[PlannedTask], left_out: list[str]) -> None:
    """Adds a scenario of another package to the plan, or says what it lacks."""
    if task.missing:
        left_out.append(f"The scenario {task.name} is left out; it needs {' and '.join(task.missing)}.")
        return

    def build() -> Any:
        from inspect_ai.util import registry_create

        return registry_create("task", task.task, **task.args)

    tasks.append(PlannedTask(task.name, build))


def choose_sandbox(config: AuditConfig) -> tuple[str, str]:
    """``bwrap``, ``docker`` or ``none``, and for none the reason. A sandbox that was asked for and does not work is an error."""
    if config.sandbox == "docker":
        import shutil

        if shutil.which("docker") is None:
            raise AuditError("Docker is not installed.", "Install it, or leave --sandbox out to use bubblewrap.")
        return "docker", ""
    from audit.bubblewrap import sandbox_status

    works, reason = sandbox_status()
    if works:
        return "bwrap", ""
    if config.sandbox == "bwrap":
        raise AuditError("Bubblewrap does not work here.", reason)
    return "none", reason


RUN_SETTINGS = ("target", "scenarios", "limit", "seed", "sandbox")


def stage_table(config: AuditConfig) -> list[Stage]:
    """All stages of an audit, in order; without scenarios where logs are given."""
    resources = Resources(config)
    running = () if config.logs else (_scenarios(config, resources), *((_variants(config, resources),) if config.manipulates else ()))
    return [*running, *_reading(config, resources), *_judging(config, resources)]


def _scenarios(config: AuditConfig, resources: Resources) -> Stage:
    from audit.stages.scenarios import run_scenarios

    plan = plan_scenarios(config)
    return Stage(
        name=names.SCENARIOS,
        description=f"Running scenarios: {', '.join(task.name for task in plan.tasks) or 'none'}",
        run=lambda context: run_scenarios(context, plan, resources),
        outputs=(names.LOGS,),
        settings=RUN_SETTINGS,
        # What can run decides what is in the logs: a sandbox that was installed since brings its scenarios back.
        external=lambda config: [model_identity(config.target), [task.name for task in plan.tasks], list(plan.left_out)],
        resumes=True,
    )


def _variants(config: AuditConfig, resources: Resources) -> Stage:
    from audit.cli.variants import plan_variants
    from audit.stages.variants import run_variants

    plan = plan_scenarios(config)
    twins, again = plan_variants(config, plan, choose_sandbox(config)[0])
    what = [*(["as realism twins"] if config.twins else []), *(["steered"] if config.steer else [])]
    return Stage(
        name=names.VARIANTS,
        description=f"Running scenarios again: {', '.join(what)}",
        run=lambda context: run_variants(context, twins, again, resources),
        outputs=(names.VARIANTS_FOLDER, names.STEERING_FOLDER),
        settings=(*RUN_SETTINGS, "twins", "steer", "steer_layers", "steer_controls", "steer_samples"),
        external=lambda config: [model_identity(config.target), [task.name for task in plan.tasks]],
        resumes=True,
    )


def _coherence(resources: Resources) -> Stage:
    from audit.stages import coherence

    return Stage(
        names.COHERENCE, "Checking steered replies", lambda context: coherence.check(context, resources), (names.COHERENCE_TABLE,),
        inputs=(names.TRANSCRIPTS,), settings=("target",),
    )  # fmt: skip


def _reading(config: AuditConfig, resources: Resources) -> list[Stage]:
    from audit.stages import activations, enriched, explanations, sites, transcripts

    return [
        Stage(
            names.TRANSCRIPTS, "Reading transcripts", lambda context: transcripts.read(context, resources), (names.TRANSCRIPTS_TABLE,),
            inputs=_run_stages(config), settings=("target", "logs", "controls"),
            external=lambda config: [file_hashes(config.logs), file_hashes(config.controls)],
        ),
        *((_coherence(resources),) if _is_steered(config) else ()),
        Stage(
            names.SITES, "Choosing tokens", lambda context: sites.choose(context, resources), (names.SITES_TABLE,),
            inputs=(names.TRANSCRIPTS,), settings=("target", "nla", "sites", "tokens", "seed"),
        ),
        Stage(
            names.ACTIVATIONS, "Reading activations", lambda context: activations.capture(context, resources),
            (names.ACTIVATIONS_FOLDER, names.ACTIVATIONS_TABLE), inputs=(names.TRANSCRIPTS, names.SITES), settings=("target", "nla"),
            external=lambda config: [model_identity(config.target) if config.nla_name else None, nla_identity(config.nla_name)],
        ),
        Stage(
            names.EXPLANATIONS, "Explaining activations", lambda context: explanations.explain(context, resources),
            (names.EXPLANATIONS_TABLE,),
            inputs=(names.ACTIVATIONS,), external=lambda config: nla_identity(config.nla_name),
            settings=("nla", "samples", "temperature", "seed", "control_share", "control_minimum", "shard"),
        ),
        Stage(
            names.ENRICHED, "Writing explanations into the logs", enriched.enrich, (names.ENRICHED_FOLDER,),
            inputs=(names.TRANSCRIPTS, names.SITES, names.EXPLANATIONS), settings=("logs", "controls"),
        ),
    ]  # fmt: skip


def _run_stages(config: AuditConfig) -> tuple[str, ...]:
    """The stages that make logs."""
    if config.logs:
        return ()
    return (names.SCENARIOS, names.VARIANTS) if config.manipulates else (names.SCENARIOS,)


def _is_steered(config: AuditConfig) -> bool:
    return config.manipulates and bool(config.steer)


def _judging(config: AuditConfig, resources: Resources) -> list[Stage]:
    from audit.stages import baselines, evidence, findings, motives, verdicts

    upstream = (
        *_run_stages(config),
        names.TRANSCRIPTS,
        *((names.COHERENCE,) if _is_steered(config) else ()),
        names.SITES,
        names.ACTIVATIONS,
        names.EXPLANATIONS,
        names.VERDICTS,
        names.MOTIVES,
        names.BASELINES,
        names.EVIDENCE,
    )
    return [
        Stage(
            names.VERDICTS, "Judging explanations and turns", verdicts.scan, (names.VERDICTS_TABLE,),
            inputs=(names.TRANSCRIPTS, names.EXPLANATIONS), settings=("scanners", "grader"),
            external=lambda config: file_hashes(config.scanners), version=2,
        ),
        Stage(
            names.MOTIVES, "Looking for motives", motives.find, (names.MOTIVES_TABLE,), inputs=(names.TRANSCRIPTS, names.EXPLANATIONS),
            settings=("reference", "seed"), external=lambda config: file_hashes(motives.reference_tables(config.reference)),
        ),
        Stage(
            names.BASELINES, "Reading without an NLA", baselines.measure, (names.BASELINES_TABLE,),
            inputs=(names.TRANSCRIPTS, names.ACTIVATIONS, names.EXPLANATIONS, names.VERDICTS),
            settings=("false_positive_rate", "awareness_scanner", "seed"),
        ),
        Stage(
            names.EVIDENCE, "Examining the strongest evidence", lambda context: evidence.examine(context, resources),
            (names.EVIDENCE_TABLE,), inputs=(names.TRANSCRIPTS, names.ACTIVATIONS, names.EXPLANATIONS, names.VERDICTS),
            settings=(
                "target", "nla", "temperature", "seed", "shard", "awareness_scanner", "evidence_transcripts", "evidence_sites",
                "evidence_neighbours", "scanners", "grader",
            ),
            external=lambda config: [model_identity(config.target) if config.nla_name else None, nla_identity(config.nla_name)],
        ),
        Stage(
            names.FINDINGS, "Counting", lambda context: findings.find(context, resources), (names.FINDINGS_FILE,), inputs=upstream,
            settings=("target", "nla", "false_positive_rate", "awareness_scanner", "seed"),
        ),
        Stage(names.REPORT, "Writing the report", write_report, (names.REPORT_FILE,), inputs=(*upstream, names.FINDINGS)),
    ]  # fmt: skip


def write_report(context: Context) -> Outcome:
    """The last stage: ``report.html``."""
    render(context.store)
    return Outcome()


def render(store: Store) -> None:
    """Renders ``report.html`` from the folder's tables."""
    from audit.review.agreement import AGREEMENT_FILE
    from reports.render import render_audit

    tables = report_tables(store)
    if tables.agreement is None:
        store.remove(AGREEMENT_FILE)
    else:
        store.write_json(AGREEMENT_FILE, tables.agreement)
    store.write_text(names.REPORT_FILE, render_audit(tables))


def report_tables(store: Store) -> AuditTables:
    """The folder's tables as the report reads them."""
    from audit.game.kept import kept_game
    from audit.review.agreement import agreement_of
    from audit.review.signoff import sign_offs
    from audit.tables import load
    from reports.view import AuditTables

    found = load(store.folder)
    return AuditTables(
        manifest=found.manifest,
        findings=found.findings or {},
        transcripts=found.transcripts,
        sites=found.sites,
        explanations=found.explanations,
        verdicts=found.verdicts,
        evidence=found.evidence,
        findings_sha256=content_hash(store.path(names.FINDINGS_FILE)) or "",
        sign_offs=sign_offs(store),
        agreement=agreement_of(store) if found.findings else None,
        game=kept_game(store),
    )
