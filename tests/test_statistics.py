from __future__ import annotations

from itertools import combinations, permutations, product
from math import comb, isclose

import numpy as np
import pytest

from audit.statistics import (
    any_of_n,
    any_of_n_curve,
    any_of_n_intervals,
    any_of_n_rate,
    any_of_n_values,
    auroc,
    benjamini_hochberg,
    calibrate_count,
    calibrate_threshold,
    clopper_pearson,
    cluster_bootstrap,
    cluster_difference,
    cluster_means,
    cochran_armitage,
    compare_with_controls,
    controls_needed,
    exceeds_controls,
    log_odds,
    mcnemar,
    over_represented,
    paired_difference,
    rate_difference,
    threshold_at_fpr,
    trend,
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


def test_clopper_pearson_is_statsmodels() -> None:
    from statsmodels.stats.proportion import proportion_confint

    for successes, n in ((0, 7), (3, 11), (11, 11), (40, 100)):
        assert np.allclose(clopper_pearson(successes, n), proportion_confint(successes, n, method="beta"))
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError):
        clopper_pearson(2, 1)


def test_the_curve_equals_counting_all_draws_at_every_n_and_k() -> None:
    yes, total = [0, 2, 3, 1], [4, 5, 3, 6]
    for k in (1, 2):
        values = any_of_n_values(yes, total, max_n=6, k=k)
        for row, (flagged, sites) in enumerate(zip(yes, total, strict=True)):
            for n in range(1, 7):
                draws = list(combinations(range(sites), min(n, sites)))
                assert isclose(values[row, n - 1], sum(sum(s < flagged for s in draw) >= k for draw in draws) / len(draws), abs_tol=1e-12)
    assert np.isnan(any_of_n_values([0], [0], 2)).all()


def test_the_observed_rule_leaves_out_transcripts_without_sites() -> None:
    found = any_of_n([1, 0, 3, 0], [5, 5, 5, 0])
    assert (found.count, found.of) == (2, 3) and (found.low, found.high) == wilson(2, 3)
    assert any_of_n([1, 0, 3], [5, 5, 5], k=2).count == 1
    empty = any_of_n([0], [0])
    assert (empty.rate, empty.low, empty.high) == (None, 0.0, 1.0)


def test_the_interval_of_independent_flags_is_wilsons_but_for_students_quantile() -> None:
    flags = [1.0] * 12 + [0.0] * 388
    [(low, high)] = cluster_means(flags, list(range(400)))
    assert np.allclose((low, high), wilson(12, 400), atol=2e-3)
    [(low, high)] = cluster_means([0.0] * 25, list(range(25)))
    assert low == 0.0 and wilson(0, 25)[1] < high < 1.2 * wilson(0, 25)[1], "a rate of zero has no interval of zero"
    assert cluster_means([0.3, 0.4], ["one", "one"]).tolist() == [[0.0, 1.0]]
    for bad in (([0.5], []), ([], []), ([1.5, 0.0], [1, 2])):
        with pytest.raises(ValueError):
            cluster_means(*bad)


def test_cluster_intervals_cover_the_truth_where_plain_ones_do_not() -> None:
    generator = np.random.default_rng(3)
    covered, plain = 0, 0
    for _ in range(300):
        of_clusters = generator.beta(0.6, 2.4, size=20)  # mean 0.2
        flags = (generator.random((20, 5)) < of_clusters[:, None]).astype(float)
        [(low, high)] = cluster_means(flags.ravel(), np.repeat(np.arange(20), 5).tolist())
        covered += low <= 0.2 <= high
        low, high = wilson(int(flags.sum()), 100)
        plain += low <= 0.2 <= high
    assert covered / 300 >= 0.92 > 0.88 > plain / 300


def test_intervals_of_differences_keep_clusters_together_and_cancel_what_both_sides_share() -> None:
    generator = np.random.default_rng(5)
    missed = {"clustered": 0, "independent": 0}
    for trial in range(200):
        # 25 origins on each side, other ones; eight samples of an origin nearly always agree. The true difference is 0.
        sides = [[((side, origin), bool(generator.random() < (0.05 if origin_is < 0.5 else 0.95))) for origin, origin_is in
                  enumerate(generator.random(25)) for _ in range(8)] for side in (0, 1)]  # fmt: skip
        ends = cluster_difference(*sides, seed=trial)
        counts = [(sum(value for _, value in side), len(side)) for side in sides]
        plain = rate_difference(*counts[0], *counts[1]).interval
        assert ends is not None
        missed["clustered"] += not ends[0] <= 0 <= ends[1]
        missed["independent"] += not plain[0] <= 0 <= plain[1]
    assert missed["clustered"] <= 24 and missed["independent"] > 60
    same = [(origin, bool(origin % 2)) for origin in range(20)]
    moved = [*same[:-2], (18, True), (19, True)]
    together = cluster_difference(same, moved, seed=0)
    apart = cluster_difference(same, [(origin + 100, value) for origin, value in moved], seed=0)
    assert together is not None and apart is not None and together[1] - together[0] < 0.5 * (apart[1] - apart[0])
    unchanged = cluster_difference(same, same, seed=0)
    assert unchanged is not None and unchanged[0] < -0.2 and unchanged[1] > 0.2, "no width is no certainty"


def test_the_interval_of_a_difference_does_not_collapse_at_never_and_always() -> None:
    never, always = [(origin, False) for origin in range(12)], [(origin, True) for origin in range(12)]
    ends, unmoved = cluster_difference(never, always, seed=0), cluster_difference(never, never, seed=0)
    assert ends is not None and 0.5 < ends[0] < 1 and ends[1] == 1
    assert unmoved is not None and unmoved[0] == -unmoved[1] < -0.2
    assert cluster_difference([("one", True), ("one", False)], always, seed=0) is None


def test_curve_points_carry_their_intervals_and_say_how_many_transcripts_are_short() -> None:
    yes, total = [3, 0, 1, 0, 2, 0], [50, 50, 50, 20, 50, 0]
    points = any_of_n_intervals(yes, total, ["a", "a", "b", "c", "d", "e"])
    assert [p.n for p in points] == list(range(1, 51))
    assert np.allclose([p.rate for p in points], any_of_n_curve(yes, total))
    assert all(p.low <= p.rate <= p.high for p in points) and (points[19].short, points[20].short) == (0, 1)
    twins = any_of_n_intervals(yes * 2, total * 2, list("abcdef") * 2)[-1]
    assert twins.high - twins.low > 1.2 * np.ptp(wilson(6, 10)), "copies carry no information"
    with pytest.raises(ValueError, match="no transcript"):
        any_of_n_intervals([0], [0], ["a"])


def test_how_many_controls_a_promise_needs() -> None:
    for rate in (0.01, 0.05, 0.2):
        n = controls_needed(rate)
        assert clopper_pearson(0, n, 0.9)[1] <= rate < clopper_pearson(0, n - 1, 0.9)[1], "one-sided 95% is two-sided 90%"


@pytest.mark.parametrize("guarantee", [False, True])
def test_the_uncertainty_of_a_threshold_is_right_on_new_controls(guarantee: bool) -> None:
    """On uniform scores the true rate above a threshold is one minus the threshold."""
    generator = np.random.default_rng(11)
    covered, kept, rounds = 0, 0, 200
    for _ in range(rounds):
        scores = generator.random(120)
        found = calibrate_threshold(scores, 0.1, seed=0, guarantee=guarantee, samples=20)
        truth = 1.0 - found.threshold
        covered += found.low <= truth <= found.high
        kept += truth <= found.upper
        assert found.promised == guarantee and found.rate <= 0.1
        assert guarantee or found.threshold == threshold_at_fpr(scores, 0.1)
    assert covered / rounds >= 0.9 and kept / rounds >= 0.9


def test_too_few_controls_promise_nothing() -> None:
    few = calibrate_threshold(np.linspace(0, 1, 20), 0.05, seed=0, guarantee=True)
    assert not few.promised and few.needed == controls_needed(0.05) > few.controls and few.rate == 0.0 and few.upper > 0.05
    enough = calibrate_threshold(np.linspace(0, 1, few.needed), 0.05, seed=0, guarantee=True)
    assert enough.promised and enough.upper <= 0.05
    clustered = calibrate_threshold(np.linspace(0, 1, 60), 0.05, seed=0, guarantee=True, clusters=[i // 3 for i in range(60)])
    assert not clustered.promised and clustered.clusters == 20
    for bad in ([], [float("nan")]):
        with pytest.raises(ValueError):
            calibrate_threshold(bad, 0.05, seed=0)


def test_a_calibrated_threshold_is_reproducible() -> None:
    scores = np.random.default_rng(0).random(200)
    found = calibrate_threshold(scores, 0.1, seed=5, samples=200)
    assert found == calibrate_threshold(scores, 0.1, seed=5, samples=200)
    assert found.threshold_interval is not None and found.threshold_interval[0] < found.threshold < found.threshold_interval[1]
    other = calibrate_threshold(scores, 0.1, seed=6, samples=200)
    assert other.threshold_interval != found.threshold_interval and other.threshold == found.threshold


def test_k_of_n_is_the_smallest_k_within_the_rate() -> None:
    yes, total = [0] * 90 + [1] * 7 + [3] * 3, [10] * 100
    found = calibrate_count(yes, total, n=10, fpr=0.05)
    assert (found.k, found.rate) == (2, 0.03) and np.allclose((found.low, found.high), clopper_pearson(3, 100))
    assert not found.promised and found.upper > 0.05
    strict = calibrate_count(yes, total, n=10, fpr=0.05, guarantee=True)
    assert strict.k == 4 and strict.rate == 0.0 and strict.promised
    sampled = calibrate_count([1, 2, 0, 4], [12, 12, 12, 12], n=5, fpr=0.3)
    assert sampled.k is not None and isclose(sampled.rate, any_of_n_rate([1, 2, 0, 4], [12] * 4, 5, sampled.k))
    assert any_of_n_rate([1, 2, 0, 4], [12] * 4, 5, sampled.k - 1) > 0.3
    assert calibrate_count([4, 4], [4, 4], n=4, fpr=0.1).k is None
    assert calibrate_count(yes[:20], total[:20], n=10, fpr=0.05, guarantee=True).k is None, "twenty controls cannot promise 5%"
    with pytest.raises(ValueError, match="no control"):
        calibrate_count([0], [0], 3, 0.1)


def test_paired_differences_flip_every_sign() -> None:
    first, second = [0.5, 0.2, 0.4, 0.9, 0.1], [0.1, 0.3, 0.0, 0.2, 0.1]
    gaps = np.subtract(first, second)
    sums = [abs(np.dot(signs, gaps)) for signs in product((1, -1), repeat=5)]
    found = paired_difference(first, second, seed=0)
    assert isclose(found.p, np.mean(np.asarray(sums) >= abs(gaps.sum()) - 1e-12)) and isclose(found.difference, gaps.mean())
    assert found.interval is not None and found.interval[0] < found.difference < found.interval[1]
    together = paired_difference(first, second, seed=0, clusters=["a"] * 5)
    assert (together.p, together.interval) == (1.0, None), "one cluster shows nothing"


def test_many_pairs_are_flipped_at_random_and_agree_with_scipy() -> None:
    from scipy.stats import permutation_test

    generator = np.random.default_rng(2)
    first, second = generator.normal(0.35, 1, 40), generator.normal(0, 1, 40)
    exact = permutation_test((first, second), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=5000, rng=generator)
    found = paired_difference(first, second, seed=1)
    assert abs(found.p - exact.pvalue) < 0.03 and found == paired_difference(first, second, seed=1)


def test_cochran_armitage_has_the_moments_of_all_permutations() -> None:
    strengths, flagged, totals = [-0.1, 0.0, 0.1], [0, 1, 3], [3, 3, 3]
    x = np.repeat(strengths, totals)
    y = np.concatenate([[1.0] * a + [0.0] * (b - a) for a, b in zip(flagged, totals, strict=True)])
    draws = [x[list(chosen)].sum() for chosen in combinations(range(9), int(y.sum()))]
    found = cochran_armitage(strengths, flagged, totals)
    assert found.statistic is not None and isclose(abs(found.statistic), abs(x @ y - np.mean(draws)) / np.std(draws))
    assert found.statistic > 0 and cochran_armitage(strengths, flagged[::-1], totals).statistic == pytest.approx(-found.statistic)
    assert cochran_armitage([0.0, 1.0], [0, 0], [5, 5]).p == 1.0
    with pytest.raises(ValueError):
        cochran_armitage([0.0], [2], [1])


def test_the_trend_agrees_with_scipy_and_with_all_permutations() -> None:
    from scipy.stats import spearmanr

    x, y = [-0.1, -0.05, 0.0, 0.05, 0.1, 0.2], [0.1, 0.0, 0.3, 0.2, 0.6, 0.5]
    found = trend(x, y, seed=0)
    exact = [abs(spearmanr(order, y).statistic) for order in permutations(x)]
    assert found.statistic == pytest.approx(spearmanr(x, y).statistic)
    assert abs(found.p - np.mean(np.asarray(exact) >= abs(spearmanr(x, y).statistic) - 1e-9)) < 0.015
    assert trend([1, 1, 1], [0, 1, 0], seed=0).statistic is None


def test_blocks_take_away_what_differs_between_transcripts() -> None:
    generator = np.random.default_rng(4)
    level = np.repeat(generator.normal(0, 5, 12), 3)
    x, blocks = np.tile([-0.1, 0.0, 0.1], 12), np.repeat(np.arange(12), 3).tolist()
    y = level + 8 * x + generator.normal(0, 0.3, 36)
    within, plain = trend(x, y, seed=0, blocks=blocks), trend(x, y, seed=0)
    assert within.p < 0.01 < 0.2 < plain.p and within.statistic is not None and within.statistic > 0.8


def test_a_scenario_is_compared_with_its_controls_by_fishers_test() -> None:
    flagged, of, controls, control_of = 6, 10, 2, 12
    ways = sum(comb(of, i) * comb(control_of, 8 - i) for i in range(flagged, 9))
    assert isclose(exceeds_controls(flagged, of, controls, control_of), ways / comb(of + control_of, 8))
    assert exceeds_controls(0, 0, 1, 5) == 1.0
    compared = compare_with_controls({"a": (6, 10), "b": (1, 10), "c": (9, 10)}, 2, 12)
    assert [c.name for c in compared] == ["a", "b", "c"] and [c.p_adjusted for c in compared] == benjamini_hochberg([c.p for c in compared])
    assert all(c.p_adjusted >= c.p for c in compared) and compared[0].interval == wilson(6, 10)


def test_log_odds_follow_their_formula() -> None:
    first, second, strength = [8, 1, 4, 2], [2, 6, 4, 1], 10.0
    pooled = [a + b for a, b in zip(first, second, strict=True)]
    difference, z = log_odds(first, second, strength)
    for w in range(4):
        prior = strength * pooled[w] / sum(pooled)
        odds = [(side[w] + prior) / (sum(side) + strength - side[w] - prior) for side in (first, second)]
        assert isclose(difference[w], np.log(odds[0] / odds[1]))
        assert isclose(z[w], difference[w] / np.sqrt(1 / (first[w] + prior) + 1 / (second[w] + prior)))
    back, _ = log_odds(second, first, strength)
    assert np.allclose(back, -difference)
    for bad in (([1], [1]), ([1, 0], [1, 0]), ([-1, 2], [2, 2])):
        with pytest.raises(ValueError):
            log_odds(*bad)


def test_over_representation_deals_out_whole_transcripts() -> None:
    from scipy.sparse import csr_matrix

    # Term 0 stands in every chosen transcript, term 1 very often in a single one: plain z cannot tell these apart.
    counts = np.full((16, 4), 60)
    counts[:, :2] = 0
    counts[:8, 0], counts[3, 1], counts[12, 1] = 40, 320, 1
    chosen = [True] * 8 + [False] * 8
    found = over_represented(counts, chosen, seed=0)
    assert found.z[0] > 5 and found.z[1] > 5 and found.log_odds[0] > 0 > found.log_odds[2]
    assert found.p[0] < 0.01 and found.p[1] > 0.2 and found.p[2] > 0.9
    sparse = over_represented(csr_matrix(counts), chosen, seed=0)
    assert np.allclose(sparse.z, found.z) and np.allclose(sparse.p, found.p)
    with pytest.raises(ValueError):
        over_represented(counts, [True] * 16, seed=0)


def test_over_representation_of_a_few_transcripts_equals_all_deals() -> None:
    counts = np.array([[4, 1, 2], [3, 2, 2], [1, 3, 2], [0, 4, 2], [1, 4, 3]])
    chosen = [True, True, False, False, False]
    every = []
    for rows in combinations(range(5), 2):
        first = counts[list(rows)].sum(axis=0)
        every.append(log_odds(first, counts.sum(axis=0) - first)[1])
    z = (np.asarray(every) - np.mean(every, axis=0)) / np.std(every, axis=0)
    found = over_represented(counts, chosen, seed=1, permutations=4000)
    assert np.allclose(found.z, every[0]) and np.allclose(found.p, (z.max(axis=1)[:, None] >= z[0] - 1e-9).mean(axis=0), atol=0.05)
