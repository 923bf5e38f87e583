"""Timing of rival ways to do the same work: in turns within one process, so that what else the machine does strikes all alike."""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def add_options(parser: argparse.ArgumentParser, runs: int = 5) -> None:
    """The options that all timing scripts share."""
    parser.add_argument("--runs", type=int, default=runs, help="rounds; medians are printed")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: one a core")
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall", help="cpu: seconds of this process, for a busy machine")


def interleaved(cases: Mapping[str, Callable[[], object]], runs: int, clock: str) -> dict[str, list[float]]:
    """Seconds of each case in each of ``runs`` rounds, after one round that is not counted."""
    now, seconds = CLOCKS[clock], {name: [] for name in cases}  # type: ignore[var-annotated]
    for run in range(runs + 1):
        for name, case in cases.items():
            began = now()
            case()
            if run:
                seconds[name].append(now() - began)
    return seconds


def show(seconds: Mapping[str, list[float]], ours: str, scale: Mapping[str, float] | None = None) -> None:
    """A table in Markdown: median seconds (times ``scale``, for a case that did a part of the work) and how often slower than ``ours``."""
    scaled = {name: [value * (scale or {}).get(name, 1.0) for value in values] for name, values in seconds.items()}
    print("| | median s | slowest / fastest run | times ours (median of the rounds' ratios) |\n|---|---|---|---|")
    for name, values in scaled.items():
        ratio = statistics.median(value / own for value, own in zip(values, scaled[ours], strict=True))
        print(f"| {name} | {statistics.median(values):.2f} | {max(values) / min(values):.2f} | {ratio:.2f} |", flush=True)


def apart(ours: np.ndarray[Any, Any], rival: np.ndarray[Any, Any]) -> str:
    """How far two results ``[n, d]`` for the same rows lie apart, as a sentence."""
    relative = np.abs(ours - rival).max() / np.linalg.norm(rival, axis=1).mean()
    return f"largest difference of a value, relative to the vectors' mean norm: {relative:.1e}"
