"""What the quick audit of the lab costs: seconds and peak memory of `nla-audit run` in a fresh process and an empty folder.

python benchmarks/quick_run.py [--runs 3]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Runs the audit several times and prints the median of its wall time and the largest peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    seconds = []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="nla-audit-quick-") as folder:
            began = time.monotonic()
            subprocess.run(
                [sys.executable, "-m", "audit.cli", "run", "--out", str(Path(folder) / "audit")], check=True, stdout=subprocess.DEVNULL
            )
            seconds.append(time.monotonic() - began)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    print(f"quick run: median {statistics.median(seconds):.0f} s of {[round(value) for value in seconds]}, largest process {peak:.2f} GiB")


if __name__ == "__main__":
    main()
