"""An audit as pandas tables: ``audit.load(DIR)``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.store import Store

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Audit:
    """What an audit's folder holds. A table of a stage that has not run yet is ``None``."""

    folder: Path
    manifest: dict[str, Any]
    findings: dict[str, Any] | None
    transcripts: pd.DataFrame | None
    sites: pd.DataFrame | None
    activations: pd.DataFrame | None
    """Bookkeeping; the vectors are in ``activations/``."""
    explanations: pd.DataFrame | None
    verdicts: pd.DataFrame | None
    motives: pd.DataFrame | None
    """Themes that the explanations speak of more than a reference set does."""
    evidence: pd.DataFrame | None
    """The examined verdicts: recurrence, claims, and what the AR says of them."""
    baselines: pd.DataFrame | None
    """Scores of classifiers that need no NLA: readers of the text, and a linear probe."""


def load(folder: str | Path) -> Audit:
    """Reads an audit's folder. Columns are the fields of the records; mappings (``scores``, ``metadata``) are JSON text.

    Raises ``AuditError`` if it is none.
    """
    import pandas as pd

    from audit.stages import names

    store = Store(folder, create=False)

    def table(name: str) -> pd.DataFrame | None:
        return pd.read_parquet(store.path(name)) if store.path(name).is_file() else None

    return Audit(
        folder=store.folder,
        manifest=store.manifest(),
        findings=store.read_json(names.FINDINGS_FILE) if store.path(names.FINDINGS_FILE).is_file() else None,
        transcripts=table(names.TRANSCRIPTS_TABLE),
        sites=table(names.SITES_TABLE),
        activations=table(names.ACTIVATIONS_TABLE),
        explanations=table(names.EXPLANATIONS_TABLE),
        verdicts=table(names.VERDICTS_TABLE),
        motives=table(names.MOTIVES_TABLE),
        evidence=table(names.EVIDENCE_TABLE),
        baselines=table(names.BASELINES_TABLE),
    )
