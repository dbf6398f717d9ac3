"""What `alrun compare` reads, refuses to average, says and writes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_run, finished_run, sweep
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import command

from alrun import comparison
from alrun.collect import collect, costs, curves, higher_is_better, metric_key
from alrun.comparison.texts import WRITERS, csv, latex, tables, to_csv, to_json, to_latex, to_markdown
from alrun.errors import UserError
from alrun.identity import identity

ASKED = comparison.Options(
    metric="accuracy", baseline="random", band="t", test="t", reach=95, full=None, counts="doubling", any_version=False
)


def asked(**changes: object) -> comparison.Options:
    return comparison.Options(**(vars(ASKED) | changes))


def edit(path: Path, **changes: object) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# -- reading ----------------------------------------------------------------------------------------------------------


def test_damaged_running_and_foreign_folders_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    sweep(tmp_path, {"random": 0.0, "badge": 0.1}, 3)
    values = [0.1, 0.3, 0.5]
    broken = {
        "is damaged": lambda home: (home / "config.yaml").write_text("dataset: [\n"),
        "run.json is missing": lambda home: (home / "run.json").unlink(),
        "foreign": lambda home: (home / "run.json").write_text('{"project": "another"}'),
        "run.json is damaged": lambda home: (home / "run.json").write_bytes(b"\xff\x00{"),
        "surrogates not allowed": lambda home: edit(home / "run.json", labels={"\ud800": 5}),
        "schema 9": lambda home: edit(home / "run.json", schema=9),
        "killed: 3 of 3 cycles": lambda home: (home / "summary.json").unlink(),
        "has no committed cycle": lambda home: (home / "metrics.jsonl").write_text(""),
        "do not rise": lambda home: (home / "metrics.jsonl").write_text(
            (home / "metrics.jsonl").read_text().replace('"n_labelled": 40', '"n_labelled": 20')
        ),
        "metrics.jsonl of 2; alrun resume computes": lambda home: (home / "metrics.jsonl").write_text(
            "".join((home / "metrics.jsonl").read_text().splitlines(True)[:2])
        ),
        "failed: ValueError: boom": lambda home: (
            (home / "summary.json").unlink(),
            edit(home / "run.json", error={"type": "ValueError", "message": "boom"}),
        ),
    }
    for seed, harm in enumerate(broken.values(), 100):
        harm(finished_run(tmp_path, "margin", seed, values))
    strange = tmp_path / "strange"
    (strange / "run.json").mkdir(parents=True)
    (strange / "metrics.jsonl").write_text("no json\n")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/readme.txt").write_text("hello")
    found = collect([tmp_path])
    assert len(found.entries) == 6
    reasons = [reason for _, reason in found.left_out]
    assert len(reasons) == len(broken) + 1
    for word in broken:
        assert any(word in reason for reason in reasons), (word, reasons)


def test_a_run_under_way_is_named(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    home = finished_run(tmp_path, "margin", 0, [0.1, 0.3, 0.5])
    (home / "summary.json").unlink()
    with (home / ".lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        (out,) = collect([tmp_path]).left_out
    assert out == (home, "running: 3 of 3 cycles")


FILES = ["config.yaml", "run.json", "metrics.jsonl", "costs.jsonl", "summary.json"]


@given(st.sampled_from(FILES), st.binary(max_size=12), st.floats(0, 1), st.booleans())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_in_a_file_stop_the_reading(tmp_path: Path, name: str, junk: bytes, where: float, cut: bool) -> None:
    root = tmp_path / "runs"
    if not root.exists():
        finished_run(root, "random", 0, [0.1, 0.3, 0.5])
        finished_run(root, "random", 1, [0.1, 0.3, 0.5])
    path = sorted(root.rglob(name))[0]
    sound = path.read_bytes()
    at = int(where * len(sound))
    try:
        path.write_bytes(sound[:at] + junk + (b"" if cut else sound[at + len(junk) :]))
        found = collect([root])
        assert len(found.entries) + len(found.left_out) == 2
        assert len(costs(found)) == len(found.entries)
        table, left_out, _ = curves(found, "test/accuracy")
        assert table["seed"].nunique() + len(left_out) == len(found.entries)
    finally:
        path.write_bytes(sound)


def test_a_stray_file_hides_no_run_below_it(tmp_path: Path) -> None:
    sweep(tmp_path, {"random": 0.0, "badge": 0.1}, 2)
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / "digits/metrics.jsonl").write_text("")
    (tmp_path / "digits/config.yaml").write_text("mine: 1")
    found = collect([tmp_path])
    assert len(found.entries) == 4
    assert [out.folder for out in found.left_out] == [tmp_path, tmp_path / "digits"]


def test_links_to_folders_are_named_and_not_followed(tmp_path: Path) -> None:
    sweep(tmp_path / "runs", {"random": 0.0}, 2)
    (tmp_path / "runs/again").symlink_to(tmp_path / "runs")
    (tmp_path / "more").symlink_to(tmp_path / "runs")
    found = collect([tmp_path])
    assert len(found.entries) == 2
    assert [out.folder for out in found.left_out] == [tmp_path / "more", tmp_path / "runs/again"]
    assert "a link to a folder is not followed" in found.left_out[0].reason
    assert len(collect([tmp_path / "more"]).entries) == 2, "a link that is named is read"


@pytest.mark.parametrize("name", FILES)
def test_a_link_to_itself_or_a_pipe_damages_one_run_only(tmp_path: Path, name: str) -> None:
    sweep(tmp_path, {"random": 0.0}, 3)
    circle, pipe, _ = sorted(home.parent for home in tmp_path.rglob("run.json"))
    (circle / name).unlink()
    (circle / name).symlink_to(name)
    (pipe / name).unlink()
    os.mkfifo(pipe / name)
    found = collect([tmp_path])
    if name == "costs.jsonl":
        assert len(found.entries) == 3 and costs(found)["total_s"].isna().sum() == 2
    else:
        assert len(found.entries) == 1
        assert [out.folder for out in found.left_out] == [circle, pipe]
        assert "leads in a circle" in found.left_out[0].reason and "no plain file" in found.left_out[1].reason


def test_what_differs_in_more_than_the_seed_is_never_averaged(tmp_path: Path) -> None:
    curve = [0.1, 0.3, 0.5]
    finished_run(tmp_path, "random", 0, curve)
    finished_run(tmp_path, "random", 1, curve)
    finished_run(tmp_path, "random", 2, curve, model={"penalty": 9.0})
    finished_run(tmp_path, "random", 3, curve, facts={"labels": {"bought": 40, "initial": 0, "target": 0}})
    finished_run(tmp_path, "random", 4, curve, facts={"fingerprint": "other"})
    finished_run(tmp_path, "badge", 5, curve, options={"sigma": 1})
    finished_run(tmp_path, "badge", 6, curve, options={"sigma": 2})
    found = collect([tmp_path])
    lines: dict[tuple[str, str], list[int]] = {}
    for entry in found.entries:
        lines.setdefault((entry.setting, entry.strategy), []).append(entry.seed)
    assert sorted(map(sorted, lines.values())) == [[0, 1], [2], [3], [4], [5], [6]]
    assert {strategy for _, strategy in lines} == {"random", "badge (sigma=1)", "badge (sigma=2)"}
    told = "\n".join(found.notes)
    assert "digits · none-linear · low comes in 4 configurations, which are compared apart" in told
    assert "model.penalty=9.0" in told and "labels.target=0" in told


def test_what_cannot_change_a_number_keeps_no_runs_apart(tmp_path: Path) -> None:
    finished_run(tmp_path, "random", 0, [0.1, 0.3])
    for seed, extra in enumerate((["oracle: dataset", "save_models: true"], ["tracker: wandb", "device: cuda"]), 1):
        home = finished_run(tmp_path, "random", seed, [0.1, 0.3])
        text = (home / "config.yaml").read_text().replace("device: cpu\n", "")
        (home / "config.yaml").write_text(text + "\n".join(extra) + "\n")
    found = collect([tmp_path])
    assert len(found.entries) == 3 and len(found.settings) == 1 and not found.notes
    home = finished_run(tmp_path, "random", 3, [0.1, 0.3])
    (home / "config.yaml").write_text((home / "config.yaml").read_text() + "oracle: file\n")
    assert any("oracle=file" in setting for setting in collect([tmp_path]).settings)


def test_two_versions_of_the_code_are_not_averaged_unless_asked(tmp_path: Path) -> None:
    for seed in range(5):
        version = {"alrun": "0.1.0" if seed < 3 else "0.2.0"}
        finished_run(tmp_path, "random", seed, [0.1, 0.3, 0.5 if seed < 3 else 0.9], facts=version)
    found = collect([tmp_path])
    assert [entry.seed for entry in found.entries] == [0, 1, 2]
    assert len(found.left_out) == 2 and "made by alrun 0.2.0, its line by alrun 0.1.0" in found.left_out[0].reason
    assert "only alrun 0.1.0 is used, --any-version averages them all" in found.notes[0]
    everything = collect([tmp_path], any_version=True)
    assert len(everything.entries) == 5 and "an average over 2 versions of the code" in everything.notes[0]


def test_commits_are_versions_and_versions_side_by_side_are_said(tmp_path: Path) -> None:
    for seed, commit in enumerate(("aaaaaaaaaa", "aaaaaaaaaa", "bbbbbbbbbb")):
        finished_run(tmp_path, "random", seed, [0.1, 0.5], facts={"git": {"commit": commit, "dirty": False}})
    finished_run(tmp_path, "badge", 0, [0.1, 0.5], facts={"git": {"commit": "cccccccccc", "dirty": True}})
    found = collect([tmp_path])
    assert sorted((entry.strategy, entry.seed) for entry in found.entries) == [
        ("badge", 0),
        ("random", 0),
        ("random", 1),
    ]
    told = "\n".join(found.notes)
    assert "lines of 2 versions of the code are compared (alrun 0.1.0 aaaaaaa, alrun 0.1.0 ccccccc+)" in told
    assert "1 of 3 runs were made with uncommitted changes" in told


def test_versions_are_chosen_so_that_strategies_keep_their_seeds_in_common(tmp_path: Path) -> None:
    for strategy, commits in {"random": "aaaaabbbbbb", "badge": "aaaaabbb"}.items():
        for seed, commit in enumerate(commits):
            finished_run(tmp_path, strategy, seed, [0.1, 0.5], facts={"git": {"commit": 7 * commit, "dirty": False}})
    found = collect([tmp_path])
    assert {entry.code for entry in found.entries} == {"alrun 0.1.0 aaaaaaa"} and len(found.entries) == 10
    for seed in range(5):
        finished_run(tmp_path, "margin", seed, [0.1, 0.5], facts={"git": {"commit": "ccccccc", "dirty": False}})
        finished_run(tmp_path, "margin", 5 + seed, [0.1, 0.5], facts={"git": {"commit": "aaaaaaa", "dirty": False}})
    margin = [entry for entry in collect([tmp_path]).entries if entry.strategy == "margin"]
    assert {entry.code for entry in margin} == {"alrun 0.1.0 ccccccc"}, "its runs of the common version pair with none"


def test_between_equal_versions_a_clean_commit_then_the_newest_is_taken(tmp_path: Path) -> None:
    for strategy in ("random", "badge"):
        for seed in range(4):
            git = {"commit": "1111111" if seed < 2 else "fffffff", "dirty": seed >= 2}
            finished_run(tmp_path, strategy, seed, [0.1, 0.5], facts={"git": git})
    found = collect([tmp_path])
    assert {entry.code for entry in found.entries} == {"alrun 0.1.0 1111111"}
    told = [note for note in found.notes if "were made by 2 versions" in note]
    assert len(told) == 1 and "badge, random were made by" in told[0], "one sentence for all lines that are alike"
    for path in tmp_path.rglob("run.json"):
        about = json.loads(path.read_text())
        year = 2027 if about["git"].pop("dirty") else 2026
        path.write_text(json.dumps(about | {"finished": f"{year}-01-01T00:00:00+00:00"}))
    assert {entry.code for entry in collect([tmp_path]).entries} == {"alrun 0.1.0 fffffff"}


def test_a_line_is_an_average_over_versions_only_if_runs_of_both_are_in_it(tmp_path: Path) -> None:
    for version in ("0.1.0", "0.2.0"):
        for seed in range(3):
            when = {"alrun": version, "finished": f"2026-01-0{version[2]}T00:00:00+00:00"}
            finished_run(tmp_path, "random", seed, [0.1, 0.5], facts=when)
    found = collect([tmp_path], any_version=True)
    assert {entry.code for entry in found.entries} == {"alrun 0.2.0"} and len(found.left_out) == 3
    assert not any("average over" in note for note in found.notes)


def test_what_made_the_runs_and_where_their_curves_are_known_is_said(tmp_path: Path) -> None:
    for seed, torch in enumerate(("2.1", "2.2", None)):
        packages = {"packages": {"torch": torch, "numpy": "2.0"}}
        finished_run(tmp_path, "random", seed, [0.1, 0.3, 0.5], facts=packages)
    found = collect([tmp_path])
    assert found.notes == ["the runs were made with several versions of torch (2.1, 2.2)"]
    about = {"labels": {"bought": 40, "initial": 0, "target": 50}}
    finished_run(tmp_path, "badge", 0, [0.1, 0.3, 0.5], labels=[0, 25, 50], facts=about)
    for path in tmp_path.rglob("run.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"packages": {}}))
    (said,) = collect([tmp_path]).notes
    assert said == (
        "digits · none-linear · low: curves over different label counts are compared "
        "(random at 0, 20, 40; badge at 0, 25, 50)"
    )


@pytest.mark.parametrize(("key", "what"), [("features", "features"), ("weights", "weights of the model")])
def test_other_features_or_weights_under_one_name_are_said(tmp_path: Path, key: str, what: str) -> None:
    kinds = {"features": ("aa", "bb"), "weights": ({"model.safetensors": "aa"}, {"model.safetensors": "bb"})}[key]
    for seed in range(5):
        finished_run(tmp_path, "random", seed, [0.1, 0.5], facts={key: kinds[seed == 1]})
    finished_run(tmp_path, "badge", 0, [0.1, 0.5])  # an older run does not say
    (said,) = collect([tmp_path]).notes
    assert said == (
        f"digits · none-linear · low: runs of 2 different {what} are compared "
        "(random seed 0, random seed 2, random seed 3 and 1 more; random seed 1)"
    )


def test_a_seed_counts_once(tmp_path: Path) -> None:
    finished_run(tmp_path, "random", 0, [0.1, 0.5], folder="old")
    new = finished_run(tmp_path, "random", 0, [0.1, 0.7], folder="new", facts={"finished": "2026-02-02T00:00:00+00:00"})
    found = collect([tmp_path])
    assert [entry.folder for entry in found.entries] == [new]
    assert f"the same run as {new}: a seed counts once" in found.left_out[0].reason


def test_a_diagnostic_is_shown_and_never_ranked(tmp_path: Path) -> None:
    for data in ("one", "two"):
        sweep(tmp_path, {"random": 0.0, "badge": 0.05, "margin": 0.02}, 3, dataset=data)
        for seed in range(3):
            curve, mark = [0.1, 0.9, 0.9, 0.9, 0.9], {"diagnostic": True}
            finished_run(tmp_path, "less", seed, curve, dataset=data, options={"label": "oracle"}, facts=mark)
    found = comparison.compare([tmp_path], ASKED)
    assert found.diagnostic == {"less"} and any("sees labels it could not have" in note for note in found.notes)
    assert found.strategies(found.settings[0])[0] == "less"
    assert found.ranks is not None and found.penalty is not None
    for ranked in (found.ranks.table["strategy"], found.penalty.matrix.columns, found.gains["strategy"]):
        assert "less" not in set(ranked) and "badge" in set(ranked)
    assert "less †" in to_markdown(found)


def test_a_diagnostic_counts_in_no_correction(tmp_path: Path) -> None:
    sweep(tmp_path, {"random": 0.0, "badge": 0.01, "margin": 0.02}, 4)
    before = comparison.compare([tmp_path], ASKED).differences.set_index("strategy")
    for seed in range(4):
        curve = [0.1, 0.5 + seed / 50, 0.6, 0.7, 0.8]
        finished_run(tmp_path, "less", seed, curve, options={"label": "oracle"})
    found = comparison.compare([tmp_path], asked(test="wilcoxon"))
    assert any("0.25 after Holm over 2:" in note for note in found.notes)
    found = comparison.compare([tmp_path], ASKED)
    after = found.differences.set_index("strategy")
    assert after.loc[["badge", "margin"], "p_holm"].equals(before.loc[["badge", "margin"], "p_holm"])
    assert np.isfinite(after.loc["less", "p"]) and np.isnan(after.loc["less", "p_holm"])
    assert "Holm-corrected over the table without †" in to_markdown(found)
    against = comparison.compare([tmp_path], asked(baseline="less")).differences
    assert against["p_holm"].notna().sum() == 3, "a diagnostic may be the baseline"


def test_a_metric_that_is_missing_leaves_the_run_out_or_the_first_cycle(tmp_path: Path) -> None:
    for seed in range(3):
        finished_run(tmp_path, "random", seed, [None, 0.3, 0.5], metric="test/spearman")
    gap = finished_run(tmp_path, "random", 3, [None, 0.3, None], metric="test/spearman")
    found = collect([tmp_path])
    table, left_out, notes = curves(found, metric_key(found, "spearman"))
    assert sorted(set(table["cycle"])) == [1, 2] and set(table["seed"]) == {0, 1, 2}
    assert [out.folder for out in left_out] == [gap] and "cycle 0" in notes[0]
    with pytest.raises(UserError, match="no run has the metric 'acuracy'"):
        metric_key(found, "acuracy")


def test_a_metric_that_is_null_everywhere_is_a_mistake_that_names_the_others(tmp_path: Path) -> None:
    home = finished_run(tmp_path, "random", 0, [None, None, None])
    lines = [json.loads(line) for line in (home / "metrics.jsonl").read_text().splitlines()]
    more = {"test/token_nll": 1.5, "test/recall/0": 0.5, "train/loss": 1.0}
    (home / "metrics.jsonl").write_text("".join(json.dumps(line | more) + "\n" for line in lines))
    result = command("compare", str(tmp_path))
    assert result.exit_code == 2 and "no run has test/accuracy in every cycle" in result.output
    assert "--metric takes what there is: token_nll " in result.output
    assert command("compare", str(tmp_path), "--metric", "token_nll").exit_code == 0


@pytest.mark.parametrize("value", [10**400, 1e308, True, "0.5"])
def test_what_is_no_measurement_is_missing(tmp_path: Path, value: object) -> None:
    finished_run(tmp_path, "random", 0, [0.1, 0.3])
    odd = finished_run(tmp_path, "random", 1, [0.1, 0.3])
    lines = [json.loads(line) for line in (odd / "metrics.jsonl").read_text().splitlines()]
    lines[1]["test/accuracy"] = value
    (odd / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table, left_out, _ = curves(collect([tmp_path]), "test/accuracy")
    assert set(table["seed"]) == {0} and left_out == [(odd, "test/accuracy is missing in cycle 1")]


def test_directions_of_metrics() -> None:
    assert all(map(higher_is_better, ("test/accuracy", "test/macro_f1", "test/qwk", "test/recall/3")))
    assert not any(map(higher_is_better, ("test/nll", "target/nll", "test/ece", "test/rmse", "train/loss")))


# -- comparing --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three data sets, two budgets of one of them, four strategies, five seeds; one of them lacks two runs."""
    root = tmp_path_factory.mktemp("runs")
    gains = {"random": 0.0, "uherding": 0.15, "badge": 0.05, "entropy": -0.05}
    for data in ("digits", "letters", "faces"):
        sweep(root, gains, 5, dataset=data)
    sweep(root, gains, 5, dataset="faces", budget="mid")
    for home in sorted(root.glob("letters/*/badge-low/s[34]-*")):
        (home / "summary.json").unlink()
    return root


@pytest.fixture(scope="module")
def found(runs: Path) -> comparison.Comparison:
    return comparison.compare([runs], ASKED)


def test_the_tables_say_what_was_simulated(found: comparison.Comparison) -> None:
    assert found.settings == [
        "digits · none-linear · low", "faces · none-linear · low", "faces · none-linear · mid",
        "letters · none-linear · low",
    ]  # fmt: skip
    rows = found.differences.set_index(["setting", "strategy"])
    digits = rows.loc[("digits · none-linear · low", "uherding")]
    assert digits["difference"] == pytest.approx(0.15 * 3.5 / 4, abs=0.01) and digits["wins"] == 5
    assert digits["low"] < digits["difference"] < digits["high"] and digits["p_holm"] < 0.001
    assert rows.loc[("letters · none-linear · low", "badge"), "pairs"] == 3
    assert "letters · none-linear · low: badge has no seed 3, 4, dropped from random too" in found.notes
    assert len(found.left_out) == 2
    assert found.ranks is not None and found.penalty is not None
    assert found.ranks.table["strategy"].tolist() == ["uherding", "random", "entropy"]
    assert any("badge" in note and "too few seeds" in note for note in found.notes)
    assert any("4 ranked settings are of 3 data sets" in note for note in found.notes)
    assert found.penalty.matrix.loc["uherding", "entropy"] == 4
    gain = found.gains.set_index(["data", "regime", "strategy"])
    assert gain.loc[("faces · none-linear", "mid", "uherding"), "gain"] == pytest.approx(0.15, abs=0.02)
    assert gain.loc[("faces · none-linear", "low", "uherding"), "place"] == 1
    assert set(found.costs["select_ms"].round(6)) == {1000 * 5 * 0.2 / 80}


def test_the_numbers_are_those_of_the_files(tmp_path: Path) -> None:
    fake = [fake_run(tmp_path, strategy=name, seed=seed) for name in ("random", "badge") for seed in range(2)]
    for home in fake:
        (home / "summary.json").write_text("{}")
    found = comparison.compare([tmp_path], ASKED)
    lines = [[json.loads(line) for line in (home / "metrics.jsonl").read_text().splitlines()] for home in fake[:2]]
    by_hand = np.mean([np.trapezoid([row["test/accuracy"] for row in run], dx=1 / 5) for run in lines])
    aulc = found.aulc.set_index("strategy")["mean"]
    assert aulc["random"] == pytest.approx(by_hand)


def test_lower_is_better_turns_the_signs(tmp_path: Path) -> None:
    sweep(tmp_path, {"random": 0.0, "badge": -0.1}, 5, metric="test/nll")
    found = comparison.compare([tmp_path], asked(metric="nll"))
    assert not found.higher and found.strategies(found.settings[0]) == ["badge", "random"]
    row = found.differences.iloc[0]
    assert row["difference"] < 0 and row["wins"] == 5
    assert found.gains.iloc[0]["gain"] > 0 and found.reach.empty
    assert found.penalty is not None and found.penalty.matrix.loc["badge", "random"] == 1


def test_what_all_labels_give(tmp_path: Path) -> None:
    sweep(tmp_path, {"random": 0.0, "badge": 0.1}, 3)
    (setting,) = comparison.compare([tmp_path], ASKED).references
    words = comparison.compare([tmp_path], ASKED).references[setting]
    assert "best final mean, badge's: no run bought its whole pool" in words
    assert comparison.compare([tmp_path], asked(full=0.8, reach=50)).references[setting].startswith("50 % of 0.800")
    full = finished_run(tmp_path, "random", 0, [0.1, 0.9], budget="full", labels=[0, 500])
    np.savez(full / "items.npz", pool=np.arange(500))
    found = comparison.compare([tmp_path], ASKED)
    assert found.references[setting] == "95 % of 0.900 (runs on all 500 labels)"
    assert set(found.reach.set_index("setting")["threshold"]) == {0.855}
    sweep(tmp_path, {"random": 0.0}, 1, dataset="letters")
    with pytest.raises(UserError, match="one value for 2 data sets"):
        comparison.compare([tmp_path], asked(full=0.8))


def test_what_cannot_be_shown_is_said(tmp_path: Path) -> None:
    sweep(tmp_path, {"random": 0.0, "badge": 0.1, "margin": 0.1}, 5)
    notes = "\n".join(comparison.compare([tmp_path], asked(test="wilcoxon", band="bootstrap")).notes)
    assert "smallest p a wilcoxon test can give is 0.0625" in notes and "bootstrap of 5 seeds" in notes
    assert "one setting: no ranks over settings" in notes
    alone = tmp_path / "alone"
    for seed in range(2):
        finished_run(alone, "badge", seed, [0.1 + seed / 10, 0.3, 0.5], folder=f"s{seed}")
    found = comparison.compare([alone], ASKED)
    told = "\n".join(found.notes)
    assert "no finished run of the baseline random" in told and "takes one of badge" in told
    assert found.ranks is None and found.penalty is None and found.differences.empty
    with pytest.raises(UserError, match="no finished run of the baseline badgee") as caught:
        comparison.compare([alone], asked(baseline="badgee"))
    assert "did you mean badge?" in caught.value.hints
    assert "the seeds of badge gave one and the same curve" in told
    to_latex(found), to_markdown(found), to_json(found)


def test_one_seed_is_no_penalty_and_settings_that_are_not_ranked_are_not_judged(tmp_path: Path) -> None:
    sweep(tmp_path / "one", {"random": 0.0, "badge": 0.1}, 1)
    sweep(tmp_path / "one", {"random": 0.0, "badge": 0.1}, 1, budget="mid")
    found = comparison.compare([tmp_path / "one"], ASKED)
    assert found.penalty is None and found.ranks is not None
    assert any("nothing to test, no penalty matrix" in note for note in found.notes)
    assert any("2 ranked settings are of 1 data set: " in note for note in found.notes)
    sweep(tmp_path / "two", {"random": 0.0}, 2)
    sweep(tmp_path / "two", {"random": 0.0}, 2, budget="mid")
    assert not any("ranked settings" in note for note in comparison.compare([tmp_path / "two"], ASKED).notes)
    sweep(tmp_path / "three", {"random": 0.0, "badge": 0.0}, 3, noise=0.0)
    page = to_markdown(comparison.compare([tmp_path / "three"], ASKED))
    assert "pairwise penalties over 1 setting\n" in page and "-0 %" not in page and "+0 %" in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"band": "z"}, "--band z"),
        ({"test": "f"}, "--test f"),
        ({"counts": "x"}, "--counts x"),
        ({"reach": 0}, "--reach"),
        ({"full": float("nan")}, "--full nan is no share"),
        ({"full": 2.0}, "--full 2 is no share"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        comparison.compare([tmp_path], asked(**changes))


def test_nothing_to_compare_is_a_mistake_that_names_the_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished run below"):
        comparison.compare([tmp_path], ASKED)
    with pytest.raises(UserError, match="no such path"):
        comparison.compare([tmp_path / "nowhere"], ASKED)
    home = finished_run(tmp_path, "random", 0, [0.1, 0.2])
    (home / "config.yaml").write_text("[")
    with pytest.raises(UserError) as caught:
        comparison.compare([tmp_path], ASKED)
    assert str(home) in caught.value.hints[0]


# -- writing ----------------------------------------------------------------------------------------------------------


def test_every_format_and_every_figure(found: comparison.Comparison, tmp_path: Path) -> None:
    written = comparison.write(found, tmp_path, ["svg"])
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert {path.relative_to(tmp_path).as_posix() for path in written} == names
    curves = [f"curves_{name}_none-linear_low" for name in ("digits", "faces", "letters")]
    for name in ["gains", "penalty", "ranks", "curves_faces_none-linear_mid", *curves]:
        assert {f"figures/{name}.{kind}" for kind in ("svg", "csv")} <= names
    assert {"compare.json", "compare.tex", "compare.md", "aulc.csv", "pairs.csv", "left_out.csv"} <= names
    band = pd.read_csv(tmp_path / "figures/curves_letters_none-linear_low.csv")
    curve = pd.read_csv(tmp_path / "curves.csv")
    theirs = curve[curve["setting"].str.startswith("letters")].reset_index(drop=True)
    assert band["mean"].tolist() == theirs["mean"].tolist()
    picture = (tmp_path / "figures/curves_letters_none-linear_low.svg").read_text()
    assert (
        "<!-- badge (3\N{NO-BREAK SPACE}seeds) -->" in picture
        and "<!-- random (5\N{NO-BREAK SPACE}seeds) -->" in picture
    )
    assert "<!-- labels bought (+ 50 of the target split) -->" in picture and "<!-- test accuracy -->" in picture
    matrix = pd.read_csv(tmp_path / "penalty.csv", index_col=0)
    assert matrix.index.tolist() == matrix.columns.tolist()


def test_json_is_whole_and_strict(runs: Path) -> None:
    said = command("compare", str(runs), "--format", "json", "--band", "bootstrap")
    assert said.exit_code == 0
    content = json.loads(said.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert content["band"] == "bootstrap" and content["higher_is_better"] and content["friedman_p"] < 0.05
    assert {row["strategy"] for row in content["aulc"]} == {"random", "uherding", "badge", "entropy"}
    assert next(row for row in content["aulc"] if row["strategy"] == "random")["p"] is None
    assert len(content["left_out"]) == 2 and any("badge" in note for note in content["notes"])
    assert "left out" in said.stderr, "what is not a table goes beside it"
    again = to_json(comparison.compare([runs], asked(band="bootstrap", reach=95.0)))
    assert again == said.stdout, "resampling is seeded"


def test_csv_markdown_and_latex(found: comparison.Comparison) -> None:
    table = to_csv(found).splitlines()
    assert table[0].startswith("setting,strategy,seeds,mean,low,high,sd,mean_final") and len(table) == 17
    page = to_markdown(found)
    assert "\n| uherding | 5 |" in page and "¹ |" in page
    for block in page.split("\n\n"):
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1, "every row of a table has its columns"
    text = to_latex(found)
    assert text.count(r"\begin{tabular}") == text.count(r"\bottomrule") == text.count(r"\end{table}") == 15
    assert r"\textbf{+" in text and r"\underline{+" in text and "±" not in text
    assert all(line.count(" & ") >= 2 for line in text.splitlines() if line.endswith(r"\\"))


def test_latex_prints_names_as_they_stand() -> None:
    assert latex("a_b & 50 % #1 {x} ~^\\") == (
        r"a\_b \& 50 \% \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )


def test_names_that_mean_something_in_markdown_or_latex_stay_text(tmp_path: Path) -> None:
    sweep(tmp_path, {"random": 0.0, "[1] a*b": -0.1, "*c`\nd&lt;_e_": 0.1, "less_instruct": 0.05}, 3)
    found = comparison.compare([tmp_path], ASKED)
    page, text = to_markdown(found), to_latex(found)
    for name in (r"\[1\] a\*b", r"\*c\` d\&lt;\_e\_", "less_instruct"):
        assert f"\n| {name} |" in page
    said = command("compare", str(tmp_path)).stdout
    assert "*c` d&lt;_e_'s: no run bought its whole pool" in page.replace("\\", "") and "\nd&lt;_e_'s" not in said
    assert "\n{}[1] a*b & " in text and "\n{}*c` d" in text
    assert not re.search(r"\\\\\s*[\[*]", text) and not re.search(r"[ &]-\d", text)
    assert r"\ensuremath{-}0." in text and "none-linear" in text


def test_a_folder_that_is_no_text_is_named_in_every_format(tmp_path: Path) -> None:
    sweep(tmp_path / "runs", {"random": 0.0, "badge": 0.1}, 2)
    foreign = tmp_path / "runs" / os.fsdecode(b"caf\xe9")
    foreign.mkdir()
    (foreign / "run.json").write_text("{}")
    found = comparison.compare([tmp_path / "runs"], ASKED)
    for write in WRITERS.values():
        assert write is to_csv or b"caf?" in write(found).encode()
    assert "caf?,foreign" in csv(tables(found)["left_out"]).encode().decode()
    assert "caf?: foreign" in command("compare", str(tmp_path / "runs"), "--format", "csv").stderr
    page = tmp_path / "page.html"
    assert command("report", str(tmp_path / "runs"), "--out", str(page)).exit_code == 0
    assert "caf?" in page.read_text()


def test_the_command_shows_and_writes_and_names_stay_text(tmp_path: Path) -> None:
    sweep(tmp_path, {"random": 0.0, "badge": 0.1}, 2)
    for path in tmp_path.rglob("badge-low/*/config.yaml"):
        path.write_text(path.read_text().replace("name: badge", "name: 'b|[red]<b>$x$_'"))
    (next(tmp_path.rglob("random-low/*/summary.json"))).unlink()
    said = command("compare", str(tmp_path), "--out", str(tmp_path / "out"))
    assert (said.exit_code, said.stderr) == (0, "")
    assert "digits · none-linear · low · accuracy" in said.stdout and "left out: " in said.stdout
    assert "b|[red]<b>$x$_" in said.stdout
    assert r"b\|\[red\]\<b>$x$\_" in (tmp_path / "out/compare.md").read_text()
    pictures = {path.name for path in (tmp_path / "out/figures").glob("*.png")}
    assert pictures == {"curves_digits_none-linear_low.png", "gains.png"}, "one seed in common: no penalties"


def test_wrong_commands_end_with_2(tmp_path: Path) -> None:
    finished_run(tmp_path, "random", 0, [0.1, 0.2])
    for words in (["--format", "excel"], ["--metric", "acc"], ["--band", "normal"], ["--out", __file__]):
        result = command("compare", str(tmp_path), *words)
        assert result.exit_code == 2 and result.stderr.count("╭") == 1, words
    assert command("compare", str(tmp_path / "nowhere")).exit_code == 2


def test_no_path_is_outputs(here: Path) -> None:
    sweep(Path("outputs"), {"random": 0.0, "badge": 0.1}, 2)
    assert command("compare", "--format", "csv").stdout == command("compare", "outputs", "--format", "csv").stdout


def test_comparing_needs_no_torch(tmp_path: Path) -> None:
    sweep(tmp_path, {"random": 0.0, "badge": 0.1}, 2, points=2)
    words = ["compare", str(tmp_path), "--out", str(tmp_path / "out")]
    code = (
        "import sys; from alrun.cli import app; from typer.testing import CliRunner\n"
        f"assert CliRunner().invoke(app, {words!r}).exit_code == 0\n"
        "heavy = {'torch', 'sklearn', 'transformers', 'omegaconf', 'hydra', 'matplotlib.pyplot'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_python_of_the_page_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).resolve().parent.parent / "docs/compare.md").read_text()
    sweep(Path("outputs"), {"random": 0.0, "badge": 0.1}, 3)
    block = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert block
    exec(block.group(1), {})
    assert "badge" in capsys.readouterr().out


def test_an_option_that_came_later_keeps_no_older_run_apart() -> None:
    options = {"dataset": {"name": "d"}, "encoder": {"name": "e"}, "model": {"name": "m"}}
    older = options | {"strategy": {"name": "s"}, "budget": {"name": "low"}}
    newer = older | {"oracle": "dataset", "dataset": {"name": "d", "task": "classification", "unlabelled": False}}
    other = older | {"dataset": {"name": "d", "task": "ordinal"}}
    assert identity(older, {})["setting"] == identity(newer, {})["setting"]
    assert identity(older, {})["setting"] != identity(other, {})["setting"]
