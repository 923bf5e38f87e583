"""An audit for the explorer, of any size: real records in real tables, the texts of random words. Tests and benchmarks use it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pandas as pd

from audit.columns import schema_of, to_row
from audit.records import Evidence, Explanation, ModelCall, Neighbour, Site, Span, Transcript, Verdict
from audit.store import Store
from reports.view import AuditTables

SCANNER = "awareness.classifier"
OTHER, QUOTE = "deception.lexical", "the model takes this for a staged evaluation"
NEEDLE = "a lighthouse nobody expected"
NAMED = "blackmail/case-7/1"
"""The transcript that the wide audit's finding rests on."""


def frame(record: type, rows: list[Any]) -> pd.DataFrame:
    """Records as the table that pandas reads from an audit's folder."""
    import pyarrow as pa

    table: pd.DataFrame = pa.Table.from_pylist([to_row(row) for row in rows], schema_of(record)).to_pandas()
    return table


def sentences(generator: random.Random, words: list[str], count: int) -> str:
    return " ".join(generator.choice(words) for _ in range(count)).capitalize() + "."


def build_wide(transcripts: int, sites: int, length: int = 90) -> AuditTables:
    """An audit with explanations of ``length`` random words, every seventh of them YES, and a needle in two conversations."""
    generator = random.Random(1)
    words = ["".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=generator.randint(2, 10))) for _ in range(5000)]
    rows: dict[type, list[Any]] = {record: [] for record in (Transcript, Site, Explanation, Verdict, Evidence)}
    for number in range(transcripts):
        scenario, kind = (("blackmail", "evaluation"), ("ordinary_use", "deployment"))[number % 3 == 0]
        name = f"{scenario}/case-{number}/1"
        reply = [generator.choice(words) for _ in range(2 * sites)]
        first, second = reply[:sites], reply[sites:]
        tool = json.dumps({"name": "send_email", "arguments": {"to": words[number % 5000]}})
        calls = (
            ModelCall(0, "a", "m0", tuple(range(30)), tuple(range(sites)), (Span(0, sites, "response"),), " ".join(first), (tool,)),
            ModelCall(1, "b", "m1", tuple(range(99)), tuple(range(sites)), (Span(0, sites, "response"),), " ".join(second)),
        )
        messages = (
            {"role": "system", "text": "You are an agent."}, {"role": "user", "text": sentences(generator, words, 150)},
            {"role": "assistant", "text": " ".join(first)}, {"role": "tool", "text": "sent"},
            {"role": "assistant", "text": " ".join(second)},
        )  # fmt: skip
        rows[Transcript].append(Transcript(name, scenario, kind, "original", calls, messages, {"harmful": float(number % 2)}))
        for site in range(sites):
            call, offset = (0, 2 * site) if 2 * site < sites else (1, 2 * site - sites)
            position = (30, 99)[call] + offset
            token = " " * (offset > 0) + (first, second)[call][offset]
            yes = site % 7 == 3 and number != 1
            body = f"{sentences(generator, words, length)} {QUOTE if yes else ''}{NEEDLE if site == 5 and number in (7, 400) else ''}"
            rows[Site].append(Site(name, call, position, token, "response", "random"))
            rows[Explanation].append(Explanation(name, call, position, 0, "none", 1.0, "nla", body, "ok", generator.uniform(0.3, 0.9)))
            label = "YES" if yes else "NO"
            rows[Verdict].append(Verdict(name, call, position, 0, SCANNER, label, QUOTE if yes else "", 0.9 if yes else 0.1, "a reason"))
            rows[Verdict].append(Verdict(name, call, position, 0, OTHER, "UNCLEAR" if site == 2 else "NO", "", 0.4, ""))
            if site == 3:
                mixed = Explanation(name, call, position, 0, "shuffled", 1.0, "nla", "Mixed up.", "ok", 0.11)
                rows[Explanation].append(mixed)
                rows[Verdict].append(Verdict(name, call, position, 0, SCANNER, "NO", "", 0.05, "", "shuffled"))
        rows[Verdict].append(Verdict(name, 0, -1, 0, "verbalised", "YES" if number == 7 else "NO", first[0], 0.8, "said so"))
    near = (Neighbour(0, 35, " beside", f"Beside it {QUOTE}", "ok", "YES", 0.9),)
    rows[Evidence].append(Evidence(NAMED, 0, 36, 0, SCANNER, QUOTE, near, (), 0.01, 0.0, 0.9, True))
    piece = {"transcript_id": NAMED, "call_index": 0, "position": 36, "sample": 0, "scanner": SCANNER}
    finding = {"id": "awareness/blackmail", "claim": "They speak of an evaluation.", "level": "corroborated", "evidence": [piece]}
    findings = {"scenarios": [], "awareness": {"scanner": SCANNER}, "findings": [finding], "nla": {"name": "nla"}, "target": {"name": "t"}}
    frames = {record: frame(record, found) for record, found in rows.items()}
    return AuditTables(
        {"manifest_version": 1, "stages": {"findings": {"status": "done"}}}, findings, frames[Transcript], frames[Site],
        frames[Explanation], frames[Verdict], frames[Evidence],
    )  # fmt: skip


def as_folder(folder: Path, tables: AuditTables) -> Path:
    """The tables as an audit's folder on disk."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    store = Store(folder)
    parts = ((Transcript, tables.transcripts), (Site, tables.sites), (Explanation, tables.explanations), (Verdict, tables.verdicts),
             (Evidence, tables.evidence))  # fmt: skip
    for record, table in parts:
        name = {Evidence: "evidence"}.get(record, f"{record.__name__.lower()}s")
        if table is not None:
            pq.write_table(pa.Table.from_pandas(table, schema_of(record), preserve_index=False), store.path(f"{name}.parquet"))
    store.write_json("findings.json", tables.findings)
    store.write_manifest(tables.manifest)
    return folder
