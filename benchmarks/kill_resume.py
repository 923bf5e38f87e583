"""SIGKILL at random moments, then the same command again: the finished audit equals an undisturbed one.

    python benchmarks/kill_resume.py [--kills 10] [--limit 6] [--tokens 6]

Each of the kills strikes the same audit anew after it has been resumed. Compared are the tables and the findings, apart from Inspect's
own ids and times.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

VOLATILE = {"created", "seconds", "event_id", "message_id", "id", "sample_uuid", "source"}
"""Names of fields that hold Inspect's own ids (``source`` is the name of a log, which begins with a time), or times."""
AS_TEXT = {"messages", "metadata"}
"""Columns in which tables keep JSON text."""


def main() -> None:
    """Kills, resumes, compares; exits with 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--limit", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="nla-audit-kill-"))
    command = [sys.executable, "-m", "audit.cli", "run", "--limit", str(options.limit), "--tokens", str(options.tokens), "--out"]
    began = time.monotonic()
    subprocess.run([*command, str(root / "undisturbed")], check=True, stdout=subprocess.DEVNULL)
    whole = time.monotonic() - began
    print(f"undisturbed: {whole:.0f} s")
    rng = random.Random(options.seed)
    killed = 0
    while killed < options.kills:
        moment = rng.uniform(2, whole)
        process = subprocess.Popen([*command, str(root / "killed")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=moment)
            print(f"finished before the kill at {moment:.1f} s; starting over in a new folder")
            compare(root / "undisturbed", root / "killed")
            (root / "killed").rename(root / f"finished-{killed}-{moment:.3f}")
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
            print(f"kill {killed} at {moment:.1f} s")
    subprocess.run([*command, str(root / "killed")], check=True, stdout=subprocess.DEVNULL)
    compare(root / "undisturbed", root / "killed")
    print("equal")


def compare(first: Path, second: Path) -> None:
    """Exits with 1 and a sentence if two audits differ in more than ids and times."""
    if found := differences(first, second):
        sys.exit("\n".join(found))


def differences(first: Path, second: Path) -> list[str]:
    """In what two audits' tables and findings differ, apart from Inspect's ids and times: one sentence each."""
    found = []
    for path in sorted(first.glob("*.parquet")):
        rows, others = (without_ids(pq.read_table(folder / path.name).to_pylist()) for folder in (first, second))
        if len(rows) != len(others):
            found.append(f"{path.name} has {len(rows)} rows and {len(others)}.")
        elif unequal := [(row, other) for row, other in zip(rows, others, strict=True) if row != other]:
            row, other = unequal[0]
            columns = [name for name in row if row[name] != other.get(name)]
            found.append(f"{path.name} differs in {len(unequal)} of {len(rows)} rows; the first in {', '.join(columns)}.")
    findings, others = (without_ids(json.loads((folder / "findings.json").read_text(encoding="utf-8"))) for folder in (first, second))
    if findings != others:
        found.append(f"findings.json differs in {', '.join(key for key in findings if findings[key] != others.get(key))}.")
    return found


def without_ids(value: Any) -> Any:
    """Rows or findings without Inspect's ids and without times."""
    if isinstance(value, dict):
        plain = {key: json.loads(item) if key in AS_TEXT and isinstance(item, str) else item for key, item in value.items()}
        return {key: without_ids(item) for key, item in plain.items() if key not in VOLATILE}
    return [without_ids(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
