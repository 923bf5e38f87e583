"""Runs the pipeline for a command and tells how it ended."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from audit.cli.outcome import CLEAN, FOUND
from audit.cli.summary import exceeding, print_findings, print_summary
from audit.cli.terminal import reporter
from audit.config import LAB, AuditConfig


def audit_and_tell(config: AuditConfig, folder: Path, as_json: bool, fail_on: float | None) -> int:
    """Brings the audit in ``folder`` up to date, prints what came out, and returns the exit code."""
    quieten(config)
    from audit.cli.table import stage_table
    from audit.pipeline import run_pipeline
    from audit.stages.preflight import check
    from audit.store import Store

    check(config)
    stages = stage_table(config)
    store = Store(folder)
    with store.lock():
        run_pipeline(stages, store, config, reporter(quiet=as_json))
    if as_json:
        print_findings(store)
    else:
        print_summary(store)
    return FOUND if fail_on is not None and exceeding(store, fail_on) else CLEAN


def quieten(config: AuditConfig) -> None:
    """Settings that libraries read when they are loaded: no talk over the progress display, no downloads where none are wanted."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("INSPECT_DISPLAY", "none")
    # Waiting threads sleep instead of spinning: where sandboxes and the event loop need the same cores, six times as fast.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if config.target == LAB and config.nla_name in (LAB, None):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
