"""SIGKILL at random moments, then the same command again: the finished audit equals an undisturbed one.

    python benchmarks/kill_resume.py [--kills 10] [--limit 6] [--tokens 6]

Each of the kills strikes the same audit anew after it has been resumed. Compared are the tables (without the columns of seconds)
and the findings, apart from Inspect's own ids and times.
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

import pandas as pd

VOLATILE = {"seconds", "event_id", "message_id", "source", "calls", "metadata", "shard", "file"}


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
    for path in sorted(first.glob("*.parquet")):
        tables = [stable(pd.read_parquet(folder / path.name)) for folder in (first, second)]
        if not tables[0].equals(tables[1]):
            sys.exit(
                f"{path.name} differs: {tables[0].compare(tables[1]) if tables[0].shape == tables[1].shape else [t.shape for t in tables]}"
            )
    findings = [without_times(json.loads((folder / "findings.json").read_text())) for folder in (first, second)]
    if findings[0] != findings[1]:
        sys.exit(f"findings.json differs: {[key for key in findings[0] if findings[0][key] != findings[1].get(key)]}")


def stable(table: pd.DataFrame) -> pd.DataFrame:
    """The columns that must not change, in a fixed order of rows."""
    kept = table[[name for name in table.columns if name not in VOLATILE]].astype(str)
    return kept.sort_values(list(kept.columns)).reset_index(drop=True)


def without_times(value: Any) -> Any:
    """Findings without times and Inspect's ids."""
    if isinstance(value, dict):
        return {
            key: without_times(item) for key, item in value.items() if key not in ("created", "seconds", "event_id", "message_id", "source")
        }
    return [without_times(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
