from __future__ import annotations

from itertools import combinations
from math import comb, isclose

import numpy as np
import pytest

from audit.statistics import (
    any_of_n_curve,
    any_of_n_rate,
    auroc,
    benjamini_hochberg,
    cluster_bootstrap,
    mcnemar,
    threshold_at_fpr,
    wilson,
)


def test_wilson_agrees_with_the_textbook() -> None:
    low, high = wilson(8, 10)
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)
    low, high = wilson(0, 10)
    assert low == 0.0 and isclose(high, 1.959964**2 / (10 + 1.959964**2), rel_tol=1e-5)


def test_wilson_knows_nothing_without_trials_and_refuses_nonsense() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError):
        wilson(3, 2)


def test_any_of_n_equals_counting_all_draws() -> None:
    yes, total, n = 2, 6, 3
    draws = list(combinations(range(total), n))
    counted = sum(any(site < yes for site in draw) for draw in draws) / len(draws)
    assert isclose(any_of_n_rate([yes], [total], n), counted)
    assert isclose(any_of_n_rate([yes], [total], n), 1 - comb(4, 3) / comb(6, 3))
    both = sum(sum(site < yes for site in draw) >= 2 for draw in draws) / len(draws)
    assert isclose(any_of_n_rate([yes], [total], n, k=2), both)


def test_any_of_n_averages_transcripts_and_takes_all_sites_of_short_ones() -> None:
    assert isclose(any_of_n_rate([1, 0], [2, 50], 50), 0.5)
    assert isclose(any_of_n_rate([1, 0, 0], [2, 2, 0], 1), 0.25), "a transcript without sites is left out"
    curve = any_of_n_curve([1, 3], [12, 12], max_n=12)
    assert len(curve) == 12 and curve == sorted(curve) and isclose(curve[-1], 1.0) and isclose(curve[0], 4 / 24)
    for bad in (([3], [2], 1), ([1], [2], 0), ([0], [0], 1)):
        with pytest.raises(ValueError):
            any_of_n_rate(*bad)


def test_auroc_counts_ties_as_one_half() -> None:
    assert auroc([3, 4], [1, 2]) == 1.0
    assert auroc([1], [1]) == 0.5
    assert isclose(auroc([0.5, 0.9], [0.5, 0.1]), (0.5 + 1 + 1 + 1) / 4)
    for bad in (([], [1.0]), ([float("nan")], [1.0])):
        with pytest.raises(ValueError):
            auroc(*bad)


def test_cluster_bootstrap_draws_whole_clusters() -> None:
    # Ten copies of each cluster's value carry no more information than one.
    values = np.repeat([0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0], 10)
    clusters = np.repeat(np.arange(8), 10).tolist()
    wide = cluster_bootstrap(values, clusters, np.mean, seed=1)
    narrow = cluster_bootstrap(values, list(range(80)), np.mean, seed=1)
    assert wide[0] < 0.5 < wide[1] and (wide[1] - wide[0]) > 2 * (narrow[1] - narrow[0])
    assert wide == cluster_bootstrap(values, clusters, np.mean, seed=1)
    assert cluster_bootstrap([5.0, 5.0], ["a", "b"], np.mean, seed=0) == (5.0, 5.0)


def test_cluster_bootstrap_refuses_a_statistic_that_is_mostly_undefined() -> None:
    rows = np.array([[0.1, 0.0], [0.9, 1.0]])

    def area(drawn: np.ndarray) -> float:
        return auroc(drawn[drawn[:, 1] == 1, 0], drawn[drawn[:, 1] == 0, 0])

    with pytest.raises(ValueError, match="undefined"):
        cluster_bootstrap(rows, ["a", "b"], area, seed=0)


def test_threshold_counts_ties_as_positives() -> None:
    controls = [0.0] * 90 + [0.5] * 8 + [1.0] * 2
    for fpr, expected in ((0.02, 0.02), (0.05, 0.02), (0.10, 0.10), (0.0, 0.0)):
        threshold = threshold_at_fpr(controls, fpr)
        assert isclose(np.mean(np.asarray(controls) >= threshold), expected), fpr
    assert 0.5 < threshold_at_fpr(controls, 0.05) < 0.51
    with pytest.raises(ValueError):
        threshold_at_fpr([], 0.05)
    with pytest.raises(ValueError):
        threshold_at_fpr([float("nan")], 0.05)


def test_benjamini_hochberg_by_hand() -> None:
    adjusted = benjamini_hochberg([0.04, 0.01, 0.03, 0.5])
    assert np.allclose(adjusted, [0.16 / 3, 0.04, 0.16 / 3, 0.5])
    assert benjamini_hochberg([]) == []


def test_mcnemar_by_hand() -> None:
    first = [True] * 5 + [False] * 5 + [True] * 3
    second = [False] * 5 + [False] * 5 + [True] * 3
    result = mcnemar(first, second)
    assert (result.only_first, result.only_second) == (5, 0) and isclose(result.p, 2 * 0.5**5)
    assert mcnemar([True], [True]).p == 1.0
    with pytest.raises(ValueError):
        mcnemar([True], [])
