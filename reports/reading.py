"""Reads values out of JSON and tables without trusting their shape. What is absent or unusable is ``None``, never zero."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Z_SQUARED = 1.959964**2


@dataclass(frozen=True)
class Rate:
    """A share with its interval, or why there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    count: int | None = None
    of: int | None = None
    why: str = "not measured"
    """Said in its place if ``value`` is ``None``."""
    cluster_low: float | None = None
    """The interval that keeps conversations of one skeleton together."""
    cluster_high: float | None = None

    @property
    def known(self) -> bool:
        return self.value is not None


def number(value: Any) -> float | None:
    """A finite number, else ``None``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def integer(value: Any) -> int | None:
    """A whole number, else ``None``."""
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def text(value: Any) -> str:
    """A string as it is; anything else that is there as JSON; nothing as the empty string."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def mapping(value: Any) -> dict[str, Any]:
    """A mapping, or an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """A list, or an empty one. JSON text and arrays out of a table count as lists."""
    found = decoded(value)
    return list(found) if isinstance(found, list | tuple) else []


def mappings(value: Any) -> list[dict[str, Any]]:
    """The mappings in a list."""
    return [item for item in listed(value) if isinstance(item, dict)]


def texts(value: Any) -> list[str]:
    """The non-empty texts in a list."""
    return [item for item in map(text, listed(value)) if item]


def decoded(value: Any) -> Any:
    """A table's cell as plain Python: JSON text parsed, arrays as lists."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return None
    return value.tolist() if hasattr(value, "tolist") else value


def interval(value: Any) -> tuple[float | None, float | None]:
    """``[low, high]``, or two ``None``."""
    ends = [number(end) for end in listed(value)]
    if len(ends) != 2 or ends[0] is None or ends[1] is None or ends[0] > ends[1]:
        return None, None
    return ends[0], ends[1]


def share(value: Any, why: str = "not measured") -> Rate:
    """A mapping with ``rate``, ``ci``, ``count`` and ``of`` (or ``n``), and perhaps ``cluster_ci``."""
    found = mapping(value)
    low, high = interval(found.get("ci"))
    of = integer(found.get("of")) if "of" in found else integer(found.get("n"))
    return Rate(number(found.get("rate")), low, high, integer(found.get("count")), of, why, *interval(found.get("cluster_ci")))


def flat(row: dict[str, Any], name: str, why: str = "not measured") -> Rate:
    """The rate in ``name``, ``name_rate``, ``name_ci`` and ``name_cluster_ci`` of a mapping, with the denominator that belongs to it.

    The denominator is not always the number of transcripts, for some cannot be judged; it follows from count and rate or,
    where the count is zero, from the upper end of Wilson's interval, ``z^2 / (n + z^2)``.
    """
    low, high = interval(row.get(f"{name}_ci"))
    rate, count = number(row.get(f"{name}_rate")), integer(row.get(name))
    of = None
    if rate and count:
        of = round(count / rate)
    elif rate == 0 and count == 0 and high:
        of = round(Z_SQUARED * (1 / high - 1))
    return Rate(rate, low, high, count, of, why, *interval(row.get(f"{name}_cluster_ci")))


def records(table: pd.DataFrame | None, wanted: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """A table's rows as mappings with text keys; only those of the ``wanted`` transcripts if given."""
    if table is None or not len(table):
        return []
    if wanted is not None:
        if "transcript_id" not in table.columns:
            return []
        # A forged findings.json can name what no table can hold.
        names = [name for name in wanted if name.isascii() or name.encode("utf-8", "replace").decode() == name]
        table = table[table["transcript_id"].isin(names)]
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
