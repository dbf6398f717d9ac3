"""Statistics against scipy and scikit-posthocs, small cases worked by hand, and simulated runs with a known answer."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from alrun import stats
from alrun.errors import UserError
from alrun.stats.intervals import bootstrap_interval, t_interval
from alrun.stats.paired import smallest_p
from alrun.stats.penalty import beats
from alrun.stats.ranks import cliques
from alrun.stats.reach import crossing

T = {"kind": "t", "level": 0.95, "resamples": 1000}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def scores(table: dict[str, list[float]], setting: str = "one") -> pd.DataFrame:
    """One row per strategy and seed; NaN is a missing run."""
    rows = [(setting, name, seed, value) for name, values in table.items() for seed, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["setting", "strategy", "seed", "score"]).dropna()


def curves(table: dict[str, list[list[float]]], setting: str = "one", step: int = 10) -> pd.DataFrame:
    """strategy -> (seeds, cycles)."""
    rows = [
        (setting, name, seed, cycle, step * cycle, value)
        for name, runs in table.items()
        for seed, run in enumerate(runs)
        for cycle, value in enumerate(run)
    ]
    return pd.DataFrame(rows, columns=["setting", "strategy", "seed", "cycle", "labels", "value"])


# -- intervals ------------------------------------------------------------------------------------------------------


def test_the_t_interval_is_scipys() -> None:
    values = rng().normal(size=(7, 3))
    mean, low, high = t_interval(values, 0.95)
    expected = reference.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean == pytest.approx(values.mean(axis=0))
    assert low == pytest.approx(expected.low) and high == pytest.approx(expected.high)


def test_the_bootstrap_is_scipys() -> None:
    values = rng().normal(size=12)
    _, low, high = bootstrap_interval(values, 0.95, 20_000, rng())
    theirs = reference.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_one_seed_has_no_interval() -> None:
    for kind in stats.KINDS:
        mean, low, high = stats.interval([[1.0, 2.0]], kind=kind, level=0.95, resamples=10, rng=rng())
        assert mean.tolist() == [1, 2] and np.isnan(low).all() and np.isnan(high).all()
    with pytest.raises(UserError, match="unknown band 'normal'"):
        stats.interval([1.0], kind="normal", level=0.95, resamples=10, rng=rng())


@pytest.mark.parametrize(("n", "bootstrap"), [(5, 0.835), (10, 0.90), (20, 0.93)])
def test_how_often_intervals_hold_the_mean(n: int, bootstrap: float) -> None:
    """4,000 simulated experiments of n normal seeds: t holds 95 of 100; what the bootstrap's page says of it is so."""
    values = np.random.default_rng(n).normal(size=(n, 4000))
    for kind, expected in (("t", 0.95), ("bootstrap", bootstrap)):
        _, low, high = stats.interval(values, kind=kind, level=0.95, resamples=4000, rng=rng())
        assert ((low <= 0) & (high >= 0)).mean() == pytest.approx(expected, abs=0.02), kind


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8), st.sampled_from(stats.KINDS))
@settings(max_examples=40, deadline=None)
def test_an_interval_holds_its_mean_and_moves_with_the_data(values: list[float], kind: str) -> None:
    mean, low, high = stats.interval(values, kind=kind, level=0.95, resamples=200, rng=rng())
    assert low <= mean + 1e-9 and mean <= high + 1e-9
    shifted = stats.interval(np.array(values) + 3, kind=kind, level=0.95, resamples=200, rng=rng())
    assert shifted.low == pytest.approx(low + 3) and shifted.high == pytest.approx(high + 3)


# -- curves ---------------------------------------------------------------------------------------------------------


def test_aulc_by_hand() -> None:
    table = curves({"a": [[0.0, 0.5, 1.0], [0.2, 0.2, 0.2]]})
    assert stats.aulc(table)["score"].tolist() == pytest.approx([0.5, 0.2])
    uneven = table.assign(labels=table["cycle"].map({0: 0, 1: 10, 2: 100}))
    assert stats.aulc(uneven)["score"].tolist() == pytest.approx([(10 * 0.25 + 90 * 0.75) / 100, 0.2])
    assert stats.final(table)["score"].tolist() == [1.0, 0.2]


def test_bands_leave_out_counts_that_a_seed_lacks() -> None:
    table = curves({"a": [[0.0, 0.5, 1.0], [0.2, 0.3]]})
    band = stats.bands(table, **T, rng=rng())
    assert band["labels"].tolist() == [0, 10] and band["mean"].tolist() == pytest.approx([0.1, 0.4])
    assert band["seeds"].tolist() == [2, 2]


# -- paired differences ---------------------------------------------------------------------------------------------


def test_holm_by_hand_and_in_any_order() -> None:
    assert stats.holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    given_none = stats.holm([0.01, np.nan, 0.02])
    assert given_none[[0, 2]].tolist() == pytest.approx([0.02, 0.02]) and np.isnan(given_none[1])
    assert stats.holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
@settings(max_examples=60, deadline=None)
def test_holm_rejects_what_stepping_down_does(p: list[float]) -> None:
    """At every level: go up the sorted p and stop at the first that is above level / (number left)."""
    corrected = stats.holm(p)
    assert (corrected >= np.array(p) - 1e-15).all() and (corrected <= 1).all()
    for level in (0.01, 0.05, 0.3):
        rejected: set[int] = set()
        for left, k in zip(range(len(p), 0, -1), np.argsort(p, kind="stable"), strict=True):
            if p[k] * left > level:
                break
            rejected.add(int(k))
        assert {k for k in range(len(p)) if corrected[k] <= level} == rejected


def test_p_values_are_scipys() -> None:
    draws = rng().normal(0.4, 1, size=(20, 9))
    for values in draws:
        assert stats.p_value(values, "t") == pytest.approx(reference.ttest_1samp(values, 0).pvalue)
        assert stats.p_value(values, "wilcoxon") == pytest.approx(reference.wilcoxon(values).pvalue)
    assert np.isnan(stats.p_value([0.3], "t"))
    assert stats.p_value([0.0, 0.0, 0.0], "t") == stats.p_value([0.0, 0.0], "wilcoxon") == 1.0
    assert stats.p_value([0.1, 0.1, 0.1], "t") == pytest.approx(0, abs=1e-6)


def test_differences_join_on_the_seed_and_name_what_is_missing() -> None:
    table = scores(
        {"random": [0.5, 0.6, 0.7, np.nan], "badge": [0.6, np.nan, 0.7, 0.9], "margin": [0.4, 0.5, 0.6, 0.6]}
    )
    found = stats.paired(table.sample(frac=1, random_state=1), "random", higher=True, test="t", **T, rng=rng())
    rows = found.table.set_index("strategy")
    assert rows.loc["badge", ["pairs", "wins", "ties", "losses"]].tolist() == [2, 1, 1, 0]
    assert rows.loc["badge", "difference"] == pytest.approx(0.05)
    assert rows.loc["badge", "mean"] == pytest.approx(0.65) and rows.loc["badge", "baseline"] == pytest.approx(0.6)
    assert rows.loc["margin", ["pairs", "wins", "ties", "losses"]].tolist() == [3, 0, 0, 3]
    said = "\n".join(found.missing)
    assert (
        "badge has no seed 1, dropped from random too" in said
        and "random has no seed 3, dropped from badge, margin too" in said
    )
    lower = stats.paired(table, "random", higher=False, test="t", **T, rng=rng()).table.set_index("strategy")
    assert lower.loc["margin", ["wins", "losses"]].tolist() == [3, 0]


def test_strategies_that_lack_the_same_seeds_share_a_sentence() -> None:
    short = [0.5, np.nan, np.nan]
    table = scores({"random": [0.5, 0.6, 0.7], "badge": short, "margin": short, "entropy": [0.5, 0.6, np.nan]})
    missing = stats.paired(table, "random", higher=True, test="t", **T, rng=rng()).missing
    assert [text.partition(": ")[2] for text in missing] == [
        "badge, margin have no seed 1, 2, dropped from random too",
        "entropy has no seed 2, dropped from random too",
    ]


def test_no_baseline_and_no_common_seed_are_named() -> None:
    one = scores({"badge": [0.1, 0.2]})
    found = stats.paired(one, "random", higher=True, test="t", **T, rng=rng())
    assert found.table.empty and found.missing == ["one: no finished run of the baseline random"]
    apart = scores({"random": [0.1, np.nan], "badge": [np.nan, 0.2]})
    found = stats.paired(apart, "random", higher=True, test="t", **T, rng=rng())
    assert found.table.empty and len(found.missing) == 2


@pytest.mark.parametrize("test", stats.TESTS)
def test_level_and_power_over_simulated_comparisons(test: str) -> None:
    """Of 1,500 null comparisons of 10 seeds at most 5 % are called different; one SD is found in 80 % of them."""
    null, shifted = np.random.default_rng(3).normal(size=(2, 400 if test == "wilcoxon" else 1500, 10))
    false = np.mean([stats.p_value(values, test) <= 0.05 for values in null])
    found = np.mean([stats.p_value(values + 1, test) <= 0.05 for values in shifted])
    assert 0.02 <= false <= 0.065
    assert found == pytest.approx(0.80, abs=0.06)


def test_holm_keeps_the_family_at_its_level() -> None:
    """20 null strategies: without Holm one is called different in most tables, with it in about one of 20."""
    p = 2 * reference.t.sf(abs(np.random.default_rng(4).standard_t(9, size=(2000, 20))), 9)
    assert (p.min(axis=1) <= 0.05).mean() > 0.5
    assert np.mean([stats.holm(row).min() <= 0.05 for row in p]) == pytest.approx(0.05, abs=0.015)


def test_pairing_finds_what_two_means_hide() -> None:
    shared = rng().normal(0, 0.1, 10)
    table = scores({"random": (0.6 + shared).tolist(), "badge": (0.62 + shared + rng().normal(0, 0.005, 10)).tolist()})
    found = stats.paired(table, "random", higher=True, test="t", **T, rng=rng()).table.iloc[0]
    apart = reference.ttest_ind(*(table[table["strategy"] == name]["score"] for name in ("random", "badge"))).pvalue
    assert found["p"] < 1e-4 and apart > 0.5 and found["low"] > 0


@pytest.mark.parametrize(("n", "p"), [(4, 0.125), (5, 0.0625), (6, 0.03125), (10, 2 / 1024)])
def test_the_smallest_p_of_wilcoxon(n: int, p: float) -> None:
    assert smallest_p(n, "wilcoxon") == reference.wilcoxon(np.arange(1, n + 1)).pvalue == p


def test_warnings_say_what_cannot_be_shown() -> None:
    assert stats.warning(5, 1, "t", 0.95) is None and stats.warning(6, 1, "wilcoxon", 0.95) is None
    five = stats.warning(5, 1, "wilcoxon", 0.95)
    assert five and "0.0625" in five and "6 seeds can" in five
    many = stats.warning(6, 4, "wilcoxon", 0.95)
    assert many and "0.125 after Holm over 4" in many and "8 seeds can" in many
    assert smallest_p(8, "wilcoxon") * 4 <= 0.05 < smallest_p(7, "wilcoxon") * 4
    assert "4.3 standard errors" in str(stats.warning(3, 1, "t", 0.95))
    assert "no interval and no test" in str(stats.warning(1, 1, "t", 0.95))


# -- penalty matrix -------------------------------------------------------------------------------------------------


def test_the_penalty_matrix_by_hand() -> None:
    """Five seeds, differences 1, 2, 3, 4, 5: t = √5 · 3 / 1.58 = 4.24 > 2.776; at the second count they are noise."""
    noise = [0.3, -0.2, 0.1, -0.4, 0.2]
    better = [[0.5, 1 + k, 2 + noise[k], 5.0, 9 + k] for k in range(5)]
    worse = [[0.5, 0.0, 2.0, 1.0, 0.0] for _ in range(5)]
    table = curves({"a": better, "b": worse})
    doubling = stats.penalty_matrix(table, higher=True, counts="doubling", level=0.95)
    # counts after purchases 1, 2 and 4: a wins at 1 and 4; cycle 3 is not looked at, cycle 0 never
    assert doubling.matrix.loc["a", "b"] == pytest.approx(2 / 3) and doubling.matrix.loc["b", "a"] == 0
    assert doubling.mean.to_dict() == pytest.approx({"a": 0, "b": 2 / 3})
    every = stats.penalty_matrix(table, higher=True, counts="all", level=0.95)
    assert every.matrix.loc["a", "b"] == pytest.approx(3 / 4)
    turned = stats.penalty_matrix(table, higher=False, counts="all", level=0.95)
    assert turned.matrix.loc["b", "a"] == pytest.approx(3 / 4)
    both = pd.concat([table, table.assign(setting="two")])
    assert stats.penalty_matrix(both, higher=True, counts="all", level=0.95).matrix.loc["a", "b"] == pytest.approx(
        3 / 2
    )


def test_beats_is_the_t_test_of_the_paper() -> None:
    values = rng().normal(size=(4, 5, 6)) + np.arange(4)[:, None, None] * 0.6  # (strategies, seeds, counts)
    found = beats(values, 0.95)
    for i in range(4):
        for j in range(4):
            for k in range(6):
                d = values[i, :, k] - values[j, :, k]
                with np.errstate(invalid="ignore"):
                    t = np.sqrt(5) * d.mean() / np.sqrt(np.square(d - d.mean()).sum() / 4) if i != j else 0
                assert found[i, j, k] == (t > 2.776)
    assert not beats(values[:, :1], 0.95).any(), "one seed beats nobody"


def test_null_strategies_rarely_beat_each_other() -> None:
    found = beats(np.random.default_rng(5).normal(size=(12, 5, 200)), 0.95)
    assert found.mean() * 12 / 11 == pytest.approx(0.025, abs=0.006)


# -- ranks ----------------------------------------------------------------------------------------------------------


def many_settings(gains: dict[str, float], n: int, noise: float) -> pd.DataFrame:
    draws = np.random.default_rng(6)
    parts = []
    for setting in range(n):
        base = draws.uniform(0.3, 0.9)
        row = {name: [base + gain + draws.normal(0, noise)] for name, gain in gains.items()}
        parts.append(scores(row, f"set {setting:02d}"))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.slow
def test_ranks_and_tests_are_scikit_posthocs() -> None:
    """Its import alone takes seconds."""
    posthocs = pytest.importorskip("scikit_posthocs")
    table = many_settings({"a": 0.1, "b": 0.08, "c": 0.0, "d": 0.02}, 12, 0.03)
    found = stats.average_ranks(table, higher=True, level=0.95)
    wide = table.pivot(index="setting", columns="strategy", values="score")
    assert found.table.set_index("strategy")["rank"].to_dict() == wide.rank(axis=1, ascending=False).mean().to_dict()
    assert found.friedman == pytest.approx(reference.friedmanchisquare(*wide.to_numpy().T).pvalue)
    theirs = posthocs.posthoc_wilcoxon(
        table, val_col="score", group_col="strategy", p_adjust="holm", zero_method="wilcox"
    )
    for one, other, p in zip(found.pairs["one"], found.pairs["other"], found.pairs["p_holm"], strict=True):
        assert p == pytest.approx(theirs.loc[one, other])


def test_ranks_by_hand() -> None:
    table = pd.concat(
        [scores({"a": [3.0], "b": [2.0], "c": [2.0]}, "x"), scores({"a": [1.0], "b": [2.0], "c": [0.5]}, "y")]
    )
    found = stats.average_ranks(table, higher=True, level=0.95).table.set_index("strategy")["rank"]
    assert found.to_dict() == {"a": 1.5, "b": 1.75, "c": 2.75}
    turned = stats.average_ranks(table, higher=False, level=0.95).table.set_index("strategy")["rank"]
    assert turned.to_dict() == {"a": 2.5, "b": 2.25, "c": 1.25}


def test_cliques_are_maximal_stretches_of_pairs_that_are_alike() -> None:
    def alike(*pairs: str) -> set[frozenset[str]]:
        return {frozenset(pair) for pair in pairs}

    assert cliques(list("abcd"), alike("ab", "bc", "ac", "cd")) == [["a", "b", "c"], ["c", "d"]]
    assert cliques(list("abc"), alike("ac")) == [], "a bar from a to c would cover b, which differs from both"
    assert cliques(list("abc"), alike("ab", "ac", "bc")) == [["a", "b", "c"]]
    assert cliques(list("abc"), set()) == []


def test_clear_differences_are_found_and_absent_ones_are_not() -> None:
    clear = stats.average_ranks(many_settings({"a": 0.3, "b": 0.15, "c": 0.0}, 12, 0.01), higher=True, level=0.95)
    assert clear.table["strategy"].tolist() == ["a", "b", "c"] and clear.cliques == [] and not clear.said
    null = stats.average_ranks(many_settings({"a": 0, "b": 0, "c": 0}, 12, 0.05), higher=True, level=0.95)
    assert null.cliques == [null.table["strategy"].tolist()] and "sees no difference" in null.said[0]
    few = stats.average_ranks(many_settings({"a": 0.3, "b": 0.15, "c": 0.0}, 4, 0.01), higher=True, level=0.95)
    assert few.cliques == [["a", "b", "c"]] and "no pair can differ whatever the data; 7 settings could" in few.said[-1]
    seven = stats.average_ranks(many_settings({"a": 0.3, "b": 0.15, "c": 0.0}, 7, 0.01), higher=True, level=0.95)
    assert seven.cliques == []
    same = stats.average_ranks(many_settings({"a": 0, "b": 0, "c": 0}, 3, 0.0), higher=True, level=0.95)
    assert same.friedman == 1.0


def test_a_strategy_that_is_missing_somewhere_does_not_take_the_others_along() -> None:
    full = {name: [0.5] * 5 for name in ("a", "b", "c")}
    table = pd.concat(
        [
            scores(full | {"short": [0.5] * 2}, "x"), scores(full | {"short": [0.5] * 5, "rare": [0.5] * 5}, "y"),
            scores({"a": [0.5] * 5}, "z"),
        ]
    )  # fmt: skip
    kept, said = stats.complete(table)
    assert set(kept["strategy"]) == {"a", "b", "c"} and set(kept["setting"]) == {"x", "y"} and len(kept) == 30
    told = "\n".join(said)
    assert "rare" in told and "short" in told and "z" in told
    uneven = scores({"a": [0.5] * 5, "b": [0.5, 0.5, 0.5, 0.5, np.nan]})
    kept, said = stats.complete(uneven)
    assert len(kept) == 8 and said == ["one: seeds 4 are not in every strategy: left out"]


# -- labels to reach, gains, costs ------------------------------------------------------------------------------------


def test_the_crossing_by_hand() -> None:
    x = pd.Series([0, 10, 20, 30])
    assert crossing(x, pd.Series([0.1, 0.5, 0.7, 0.6]), 0.6, higher=True) == pytest.approx(15)
    assert crossing(x, pd.Series([0.1, 0.5, 0.7, 0.6]), 0.05, higher=True) == 0
    assert crossing(x, pd.Series([0.1, 0.5, 0.7, 0.6]), 0.9, higher=True) == np.inf
    assert crossing(x, pd.Series([2.0, 1.0, 0.5, 0.4]), 0.75, higher=False) == pytest.approx(15)


def test_labels_to_reach_count_the_runs_that_never_do() -> None:
    rising, flat = [0.0, 0.4, 0.8], [0.0, 0.1, 0.1]
    table = curves({"random": [rising] * 3, "a": [[0.0, 0.8, 0.8]] * 2 + [flat], "b": [flat, flat, rising]})
    found = stats.labels_to_reach(table, {"one": 0.4}, "random", higher=True).set_index("strategy")
    assert found["labels"].to_dict() == {"random": 10, "a": 5, "b": np.inf}
    assert found["reached"].to_dict() == {"random": 3, "a": 2, "b": 1}
    assert found.loc["a", "saved"] == pytest.approx(0.5) and np.isnan(found.loc["b", "saved"])
    assert stats.labels_to_reach(table, {}, "random", higher=True).empty


def test_regimes_by_name_and_by_labels_per_class() -> None:
    assert [stats.regime("mid", 20, 10), stats.regime("low", 900, 10)] == ["mid", "low"]
    assert [stats.regime("regimes", n, 10) for n in (20, 100, 101, 1000, 1001)] == ["low", "low", "mid", "mid", "high"]
    assert stats.regime("one_per_class", 5, 0) == "one_per_class"


def test_gains_by_hand() -> None:
    table = curves(
        {"random": [[0.1, 0.2, 0.4]] * 2, "a": [[0.1, 0.3, 0.5], [0.1, 0.5, 0.7]], "b": [[0.1, 0.2, 0.3]] * 2}
    )
    points = table.assign(data="d", regime=["mid" if labels > 10 else "low" for labels in table["labels"]])
    found = stats.gains(points, "random", higher=True, **T, rng=rng()).set_index(["regime", "strategy"])
    assert found.loc[("low", "a"), "gain"] == pytest.approx(0.2) and found.loc[("mid", "b"), "gain"] == pytest.approx(
        -0.1
    )
    assert found["place"].to_dict() == {("low", "a"): 1, ("low", "b"): 2, ("mid", "a"): 1, ("mid", "b"): 2}
    turned = stats.gains(points, "random", higher=False, **T, rng=rng()).set_index(["regime", "strategy"])
    assert turned.loc[("mid", "b"), "gain"] == pytest.approx(0.1) and turned.loc[("mid", "b"), "place"] == 1


def test_only_the_best_three_have_a_place() -> None:
    table = curves({name: [[0.0, value]] * 2 for name, value in zip("rabcd", (0.1, 0.2, 0.5, 0.4, 0.4), strict=True)})
    found = stats.gains(table.assign(data="d", regime="low"), "r", higher=True, **T, rng=rng()).set_index("strategy")
    assert found["place"].to_dict() == {"a": 0, "b": 1, "c": 2, "d": 2}


def test_costs_by_hand() -> None:
    rows = [
        ("one", "a", 0, 100, 1.0, 2.0, 50.0),
        ("one", "a", 1, 50, 1.0, 4.0, 70.0),
        ("one", "a", 2, 0, 1.0, 4.0, 9.0),
    ]
    table = pd.DataFrame(rows, columns=["setting", "strategy", "seed", "bought", "select_s", "total_s", "peak_mb"])
    found = stats.costs(table).iloc[0]
    assert (found["seeds"], found["select_ms"], found["total_ms"]) == (2, 15.0, 50.0)
    assert found["share"] == pytest.approx((0.5 + 0.25) / 2) and found["peak_mb"] == 70
