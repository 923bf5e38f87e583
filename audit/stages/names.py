"""Names of stages and of the files that they write, in one place."""

from __future__ import annotations

SCENARIOS, TRANSCRIPTS, SITES, ACTIVATIONS = "scenarios", "transcripts", "sites", "activations"
EXPLANATIONS, ENRICHED, VERDICTS, FINDINGS, REPORT = "explanations", "enriched", "verdicts", "findings", "report"

LOGS = "logs"
TRANSCRIPTS_TABLE = "transcripts.parquet"
SITES_TABLE = "sites.parquet"
ACTIVATIONS_TABLE = "activations.parquet"
ACTIVATIONS_FOLDER = "activations"
EXPLANATIONS_TABLE = "explanations.parquet"
ENRICHED_FOLDER = "enriched"
VERDICTS_TABLE = "verdicts.parquet"
FINDINGS_FILE = "findings.json"
REPORT_FILE = "report.html"
