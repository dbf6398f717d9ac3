"""Figures from files: what is drawn, what is said, what is refused. The pictures themselves are looked at by people."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_run
from scipy import stats
from typer.testing import CliRunner

from alrun.cli import app
from alrun.errors import UserError
from alrun.metrics import ece
from alrun.plots.draw import draw_below, draw_comparison, draw_run
from alrun.plots.files import RunFiles, spread
from alrun.plots.lines import group, mean_band
from alrun.plots.reliability import reliability
from alrun.plots.style import shorten

FIGURES = ["curve", "calibration", "classes", "tsne", "tsne_classes"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, drawn as PNG."""
    folder = fake_run(tmp_path_factory.mktemp("runs"), initial=10)
    draw_run(folder, ["png"])
    return folder


def test_every_figure_has_its_numbers_beside_it(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    written = draw_run(folder, ["png", "svg", "pdf"])
    expected = [folder / "plots" / f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg", "pdf", "csv")]
    assert written == expected
    assert sorted(path.name for path in (folder / "plots").iterdir()) == sorted(path.name for path in expected)
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in written if path.suffix in starts)


def test_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)

    def digests() -> list[str]:
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in draw_run(folder, ["png", "svg", "pdf"])]

    assert digests() == digests()


def test_matplotlib_is_left_as_it_was(run: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw_run(run, ["svg"])
    assert dict(matplotlib.rcParams) == before


def test_plots_need_no_torch(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    code = (
        "import sys; from pathlib import Path; from alrun.plots.draw import draw_below\n"
        f"draw_below([Path({str(folder)!r})], ['png'])\n"
        "heavy = {'torch', 'sklearn', 'omegaconf', 'hydra', 'matplotlib.pyplot'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_curve_csv_is_the_metrics(run: Path) -> None:
    table = pd.read_csv(run / "plots/curve.csv")
    metrics = RunFiles(run).metrics
    for metric in ("test/accuracy", "test/nll"):
        drawn = table[table["metric"] == metric]
        assert drawn["labels"].tolist() == [10, 30, 50, 70, 90, 110]
        assert drawn["mean"].to_numpy() == pytest.approx(metrics[metric].to_numpy())
    assert (table["seeds"] == 1).all() and table[["low", "high"]].isna().all(axis=None)  # one seed has no band


def test_calibration_csv_is_the_predictions(run: Path) -> None:
    table = pd.read_csv(run / "plots/calibration.csv")
    assert table["cycle"].unique().tolist() == [0, 2, 3, 5]
    found = np.load(run / "predictions/cycle_003.npz")
    right = found["test_prediction"] == np.load(run / "items.npz")["test_label"]
    part = table[table["cycle"] == 3]
    assert part["items"].sum() == len(right)
    inside = (found["test_confidence"] > part["low"].iloc[9]) & (found["test_confidence"] <= part["high"].iloc[9])
    assert part["items"].iloc[9] == inside.sum() and part["accuracy"].iloc[9] == pytest.approx(right[inside].mean())
    assert part["ece"].iloc[0] == pytest.approx(RunFiles(run).metrics["test/ece"][3])


def test_reliability_bins_are_those_of_the_ece() -> None:
    rng = np.random.default_rng(0)
    confidence, right = np.append(rng.random(500), [0.0, 0.2, 0.4, 1.0]), rng.random(504) < 0.6
    bins = reliability(confidence, right)
    gap = (bins.items * abs(bins.accuracy - bins.confidence)).sum() / 504
    assert gap == pytest.approx(ece(confidence, right), abs=1e-12)


def test_classes_csv_is_what_was_bought(run: Path) -> None:
    table, files = pd.read_csv(run / "plots/classes.csv"), RunFiles(run)
    bought = [*files.selections["label"], *files.items["initial_label"]]
    assert table["bought"].tolist() == np.bincount(bought, minlength=10).tolist()
    assert table["pool"].tolist() == np.bincount(files.items["pool_label"], minlength=10).tolist()
    chance = stats.hypergeom(1200, table["pool"], 110)
    assert table["expected"].to_numpy() == pytest.approx(chance.mean())
    assert (table["high"] - table["expected"]).to_numpy() == pytest.approx(2 * chance.std())


def test_tsne_csv_says_when_each_item_was_bought(run: Path) -> None:
    table, files = pd.read_csv(run / "plots/tsne.csv").set_index("index"), RunFiles(run)
    selections = files.selections.set_index("index")["cycle"]
    assert (table["bought"][selections.index] == selections).all()
    assert (table["bought"][files.items["initial"]] == -1).all()
    assert (table["bought"] == -2).sum() == 1200 - 110 and len(table) == 1200


def test_map_items_outside_the_pool_are_not_drawn(tmp_path: Path) -> None:
    folder = fake_run(tmp_path, shown=300)
    found = dict(np.load(folder / "map.npz"))
    stranger = np.load(folder / "items.npz")["target"][:1]
    found |= {"index": np.append(found["index"], stranger), "xy": np.append(found["xy"], [[0, 0]], axis=0)}
    found |= {"label": np.append(found["label"], 0), "placed": np.append(found["placed"], True)}
    np.savez(folder / "map.npz", **found)
    draw_run(folder, ["svg"])
    table = pd.read_csv(folder / "plots/tsne.csv")
    assert stranger[0] not in table["index"].tolist() and len(table) == len(found["index"]) - 1


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [(1, 6, [0]), (6, 6, [0, 1, 2, 3, 4, 5]), (10, 6, [0, 2, 4, 5, 7, 9]), (23, 4, [0, 7, 15, 22])],
)
def test_chosen_cycles_hold_first_and_last(count: int, most: int, expected: list[int]) -> None:
    assert spread(list(range(count)), most) == expected


@pytest.mark.parametrize(
    ("name", "shown"),
    [("card_arrival", "card_arrival"), ("a\nb\t c", "a b c"), ("", "(empty)"), ("x" * 30, "x" * 15 + "…" + "x" * 8)],
)
def test_long_names_are_shortened(name: str, shown: str) -> None:
    assert shorten(name, 24) == shown


@pytest.mark.parametrize("n_classes", [2, 77, 150, 250])
def test_any_number_of_classes(tmp_path: Path, n_classes: int) -> None:
    names = [f"_{c} $a_b$ {'long ' * (c % 9)}" for c in range(n_classes)]  # underscore and dollar mean something else
    folder = fake_run(tmp_path, n_classes=n_classes, pool=600, names=names, batches=(n_classes,))
    assert len(draw_run(folder, ["png"])) == 10
    assert set(pd.read_csv(folder / "plots/classes.csv")["name"]) == set(names)


# -- unfinished and damaged ----------------------------------------------------------------------------------


def cut(folder: Path, cycles: int) -> None:
    """Leave so many committed cycles, and half of the next line."""
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:cycles]) + lines[cycles][:25])


def test_unfinished_run_is_drawn_as_far_as_it_came(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    cut(folder, 2)
    text = (folder / "selections.csv").read_text()
    (folder / "selections.csv").write_text(text[:-3])
    draw_run(folder, ["png"])
    assert pd.read_csv(folder / "plots/curve.csv")["labels"].max() == 20
    assert pd.read_csv(folder / "plots/classes.csv")["bought"].sum() == 40  # bought by the two committed cycles


def test_one_cycle_and_missing_files(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    cut(folder, 1)
    (folder / "map.npz").unlink()
    (folder / "selections.csv").unlink()
    for path in (folder / "predictions").iterdir():
        path.unlink()
    assert [path.name for path in draw_run(folder, ["png"])] == ["curve.png", "curve.csv", "classes.png", "classes.csv"]


def test_metrics_that_are_null(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    nothing = {"test/nll": None, "test/ece": None}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line | nothing) + "\n" for line in lines))
    draw_run(folder, ["png"])
    assert set(pd.read_csv(folder / "plots/curve.csv")["metric"]) == {"test/accuracy"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", b"dataset: [unclosed"),
        ("config.yaml", b"dataset: {name: digits}\n"),
        ("config.yaml", b"\xff\xfe\x00"),
        ("run.json", b"{"),
        ("run.json", b"{}"),
        ("metrics.jsonl", b'{"cycle": 0}\n'),
        ("metrics.jsonl", b'{"cycle": 1, "n_labelled": 0}\n'),
        ("metrics.jsonl", b"no json\n"),
        ("metrics.jsonl", b""),
        ("selections.csv", b"cycle,rank,index,label,score\n0,0,x,1,\n0,1,2,1,\n"),
        ("items.npz", b"PK\x03\x04 no zip"),
        ("items.npz", b""),
        ("map.npz", b"PK\x03\x04 no zip"),
        ("predictions/cycle_002.npz", b"no zip"),
    ],
)
def test_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    folder = fake_run(tmp_path)
    (folder / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        draw_run(folder, ["svg"])
    assert name in caught.value.message and "\n" not in caught.value.message and caught.value.hints


def test_one_damaged_file_does_not_keep_the_other_figures(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    (folder / "predictions/cycle_000.npz").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"cycle_000\.npz"):
        draw_run(folder, ["svg"])
    assert {path.stem for path in (folder / "plots").iterdir()} == set(FIGURES) - {"calibration"}


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    np.savez(folder / "map.npz", index=np.array([{}], dtype=object), xy=[[0, 0]], label=[0], placed=[True])
    with pytest.raises(UserError, match=r"map\.npz is damaged"):
        draw_run(folder, ["svg"])


@pytest.mark.parametrize("name", ["plots", "items.npz", "predictions/cycle_000.npz"])
def test_links_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    folder = fake_run(tmp_path / "a")
    outside = fake_run(tmp_path / "b")
    (outside / "plots").mkdir()
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(outside / name)
    with pytest.raises(UserError, match="leads out of its run folder"):
        draw_run(folder, ["svg"])
    assert not list((outside / "plots").iterdir())


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.yaml cannot be read"):
        draw_run(tmp_path, ["png"])
    with pytest.raises(UserError, match="no run below"):
        draw_below([tmp_path], ["png"])
    with pytest.raises(UserError, match="no such path"):
        draw_below([tmp_path / "absent"], ["png"])


@pytest.mark.parametrize("formats", [[], ["jpeg"], ["png", "PNG"]])
def test_unknown_formats_are_refused(run: Path, tmp_path: Path, formats: list[str]) -> None:
    for draw in (lambda: draw_run(run, formats), lambda: draw_comparison([run], tmp_path, formats)):
        with pytest.raises(UserError, match="format"):
            draw()


# -- several runs --------------------------------------------------------------------------------------------


def test_seeds_are_one_line_with_a_t_band(tmp_path: Path) -> None:
    folders = [fake_run(tmp_path, seed=seed) for seed in range(5)]
    (line,) = group([RunFiles(folder) for folder in folders])
    assert line.legend == "badge (5\N{NO-BREAK SPACE}seeds)"
    band = mean_band(line.runs, "test/accuracy").set_index("labels")
    values = np.array([run.metrics["test/accuracy"].iloc[2] for run in line.runs])
    low, high = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert band.loc[40, ["n", "mean", "low", "high"]].to_numpy() == pytest.approx([5, values.mean(), low, high])


def test_comparison_draws_one_figure_for_each_setting(tmp_path: Path) -> None:
    runs = [fake_run(tmp_path, strategy=name, seed=seed) for name in ("random", "badge", "margin") for seed in (0, 1)]
    runs += [fake_run(tmp_path, strategy="badge", dataset="wine")]
    written = draw_comparison(runs, tmp_path / "out", ["svg"])
    assert [path.name for path in written] == [
        "comparison_digits_none-linear_low.svg", "comparison_digits_none-linear_low.csv",
        "comparison_wine_none-linear_low.svg", "comparison_wine_none-linear_low.csv",
    ]  # fmt: skip
    table = pd.read_csv(written[1])
    assert table["strategy"].unique().tolist() == ["random", "badge", "margin"] and (table["seeds"] == 2).all()
    assert len(table) == 2 * 3 * 6 and table.notna().all(axis=None)


def test_an_ordinal_task_is_drawn_by_its_errors(tmp_path: Path) -> None:
    runs = [fake_run(tmp_path, strategy=name, graded=True) for name in ("random", "badge")]
    written = draw_comparison(runs, tmp_path / "out", ["svg"])
    assert pd.read_csv(written[1])["metric"].unique().tolist() == ["target/nll", "test/mae", "test/qwk"]
    text = written[0].read_text()
    assert "target NLL" in text and "quadratic weighted kappa" in text
    alone = draw_run(runs[0], ["svg"])
    assert "test MAE" in next(path for path in alone if path.name == "curve.svg").read_text()


def test_completions_without_classes_are_drawn_by_their_tokens(tmp_path: Path) -> None:
    runs = [fake_run(tmp_path, strategy=name, pool=60, test=20) for name in ("random", "badge")]
    told = {"test/accuracy": None, "test/nll": None, "test/token_nll": 1.5, "test/token_accuracy": 0.5}
    for folder in runs:
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line | told) + "\n" for line in lines))
    written = draw_comparison(runs, tmp_path / "out", ["svg"])
    assert pd.read_csv(written[1])["metric"].unique().tolist() == ["test/token_accuracy", "test/token_nll"]
    assert "token NLL (nats, lower is better)" in written[0].read_text()


def test_any_recorded_metric_can_be_compared(tmp_path: Path) -> None:
    runs = [fake_run(tmp_path, strategy=name, graded=True) for name in ("random", "badge")]
    written = draw_comparison(runs, tmp_path / "out", ["svg"], ["target/nll", "test/ece"])
    assert pd.read_csv(written[1])["metric"].unique().tolist() == ["target/nll", "test/ece"]
    with pytest.raises(UserError, match="no run has the metric 'test/kappa'") as caught:
        draw_comparison(runs, tmp_path / "out", ["svg"], ["test/kappa"])
    assert "target/nll" in caught.value.hints[0]
    result = CliRunner().invoke(app, ["plot", str(tmp_path / "digits"), "--format", "svg", "--metrics", "target/nll"])
    assert result.exit_code == 0, result.output
    (table,) = (tmp_path / "digits/comparison").glob("*.csv")
    assert set(pd.read_csv(table)["metric"]) == {"target/nll"}


def test_options_that_differ_are_never_averaged_and_are_named(tmp_path: Path) -> None:
    runs = [
        fake_run(tmp_path, strategy="uherding", options={"sigma": s, "k": 3}, seed=k)
        for s in (1.0, 0.5)
        for k in (0, 1)
    ]
    runs += [fake_run(tmp_path, strategy="random")]
    labels = [line.label for line in group([RunFiles(folder) for folder in runs])]
    assert labels == ["random", "uherding (sigma=0.5)", "uherding (sigma=1.0)"]


def test_other_data_under_the_same_name_are_named(tmp_path: Path) -> None:
    runs = [fake_run(tmp_path, strategy="random", dataset_options={"pool": 500}), fake_run(tmp_path, strategy="badge")]
    changed = fake_run(tmp_path, strategy="badge", seed=1)
    facts = json.loads((changed / "run.json").read_text())
    (changed / "run.json").write_text(json.dumps(facts | {"fingerprint": "feedbeef00"}))
    labels = [line.label for line in group([RunFiles(folder) for folder in [*runs, changed]])]
    assert labels == [
        "random (data=digits-0, dataset.pool=500)",
        "badge (data=digits-0, dataset.pool=None)",
        "badge (data=feedbeef, dataset.pool=None)",
    ]


def test_where_a_run_ran_does_not_split_a_line(tmp_path: Path) -> None:
    runs = [fake_run(tmp_path / name, seed=seed) for seed, name in enumerate("ab")]  # two runs_dirs
    assert len(group([RunFiles(folder) for folder in runs])) == 1


def test_the_same_run_twice_is_refused(tmp_path: Path) -> None:
    runs = [fake_run(tmp_path / name, seed=3) for name in "ab"]
    with pytest.raises(UserError, match=r"are the same run \(seed 3\)"):
        draw_comparison(runs, tmp_path / "out", ["svg"])


def test_unfinished_seeds_are_left_out_and_counted(tmp_path: Path) -> None:
    runs = [fake_run(tmp_path, seed=seed) for seed in range(3)]
    cut(runs[1], 3)
    cut(runs[2], 0)
    (line,) = group([RunFiles(folder) for folder in runs[:2]])
    assert [len(line.runs), len(line.unfinished)] == [1, 1]
    written = draw_comparison(runs, tmp_path / "out", ["svg"])
    table = pd.read_csv(written[1])
    assert (table["seeds"] == 1).all() and table["labels"].max() == 100


def test_colours_stay_with_their_strategy(tmp_path: Path) -> None:
    from alrun.plots.draw import _ranks

    def lines(dataset: str, *names: str) -> list:
        return group([RunFiles(fake_run(tmp_path, dataset=dataset, strategy=name, pool=60, test=9)) for name in names])

    names = [f"strategy {k:02d}" for k in range(12)]
    first, second = _ranks([lines("a", *names, "random"), lines("b", "random", names[7])])
    assert len(set(first.values())) == 13
    assert second == {"random": first["random"], names[7]: first[names[7]]}


def test_below_draws_every_run_and_the_comparison(tmp_path: Path) -> None:
    runs = [fake_run(tmp_path, strategy=name) for name in ("random", "badge", "margin")]
    (runs[1] / "items.npz").write_bytes(b"damaged")
    cut(runs[2], 0)
    with pytest.raises(UserError, match=r"items\.npz is damaged"):
        draw_below([tmp_path], ["svg"])
    assert (runs[0] / "plots/tsne_classes.svg").exists() and (runs[1] / "plots/curve.svg").exists()
    assert not (runs[2] / "plots").exists()
    assert (tmp_path / "comparison/comparison_digits_none-linear_low.svg").exists()


def test_nothing_to_compare_is_said(tmp_path: Path) -> None:
    folder = fake_run(tmp_path)
    cut(folder, 0)
    with pytest.raises(UserError, match="no run with a committed cycle"):
        draw_comparison([folder], tmp_path / "out", ["svg"])
    with pytest.raises(UserError, match="has a committed cycle"):
        draw_below([folder], ["svg"])
