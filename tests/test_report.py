"""What `alrun report` reads, says and writes; what the page does in a browser is in test_report_page.py."""

import base64
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zlib
from dataclasses import asdict
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from fake_runs import finished_run, sweep
from report_runs import CLASSES, finish, text_runs, texts
from tiny import command

from alrun import report
from alrun.collect import Entry
from alrun.config import DatasetConfig, Goal
from alrun.data import load
from alrun.errors import UserError
from alrun.report import items, write_report
from alrun.report.markup import embedded, tag

HERE = Path(report.__file__).parent


class Page(HTMLParser):
    """Elements with their attributes, and the text of each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.words = ""
        self.open = ""
        self.feed(text)
        self.data = json.loads(self.inside[1])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open = tag
        if tag in ("script", "style"):
            self.inside.append("")

    def handle_endtag(self, tag: str) -> None:
        self.open = ""

    def handle_data(self, data: str) -> None:
        if self.open in ("script", "style"):
            self.inside[-1] += data
        else:
            self.words += data + " "


def inflate(packed: str) -> bytes:
    return zlib.decompress(base64.b64decode(packed))


def made(paths: list[Path], out: Path, **changes: Any) -> tuple[Page, report.Written]:
    asked: dict[str, Any] = {"baseline": "random", "metric": "accuracy", "include_items": True, "any_version": False}
    written = write_report(paths, out, **(asked | changes))
    return Page(out.read_text(encoding="utf-8")), written


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_runs(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(runs: Path) -> Page:
    return made([runs], runs.parent / "report.html")[0]


# -- one file, nothing fetched, nothing from the data runs ------------------------------------------------------------


def test_the_page_fetches_nothing(page: Page) -> None:
    for name, attributes in page.elements:
        for key in ("src", "href", "action", "data", "poster", "srcset"):
            value = attributes.get(key) or ""
            assert value.startswith(("#", "data:")) or not value, (name, key, value)
        assert not any(key.startswith("on") for key in attributes)
    style = page.inside[0]
    assert "url(" not in style and "@import" not in style
    (policy,) = [a["content"] or "" for n, a in page.elements if n == "meta" and a.get("http-equiv")]
    assert "default-src 'none'" in policy and "connect-src" not in policy and "http" not in policy


def test_only_the_two_scripts_that_the_policy_names_can_run(page: Page) -> None:
    scripts = [attributes for name, attributes in page.elements if name == "script"]
    assert [one.get("type") for one in scripts] == ["application/json", "application/json", None]
    own, library = page.inside[3], inflate(json.loads(page.inside[2]))
    (policy,) = [a["content"] or "" for n, a in page.elements if n == "meta" and a.get("http-equiv")]
    for script in (own.encode(), library):
        assert f"'sha256-{base64.b64encode(sha256(script).digest()).decode()}'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]


def test_own_scripts_only_make_text_of_data() -> None:
    code = "\n".join((HERE / name).read_text() for name in report.SCRIPTS)
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "fetch("):
        assert word not in code, word


def test_texts_cannot_leave_their_place(page: Page, runs: Path) -> None:
    text = (runs.parent / "report.html").read_text(encoding="utf-8")
    assert text.isascii() or "\u2028" not in text
    assert "<script>window" not in text and "<img" not in text and "<b>bold" not in text
    assert text.lower().count("<script") == 3
    assert embedded({"a": "</script>&\u2028\ud800", "b": float("nan")}) == (
        '{"a":"\\u003c/script\\u003e\\u0026\\u2028\\ud800","b":null}'
    )
    assert tag("p", "<x>&", title='"') == '<p title="&quot;">&lt;x&gt;&amp;</p>'


def test_the_page_is_small(page: Page, runs: Path) -> None:
    assert (runs.parent / "report.html").stat().st_size < 3e6


# -- what it shows ----------------------------------------------------------------------------------------------------


def test_items_are_those_of_the_rows_cut_short(page: Page) -> None:
    (pack,) = page.data["items"]
    shown = json.loads(inflate(pack["packed"]))
    assert shown["kind"] == "text" and shown["classes"] == CLASSES
    whole = texts(110)
    for row, text in shown["entries"].items():
        assert len(text) <= items.LETTERS
        assert whole[int(row)].startswith(text.rstrip("…")) if text.endswith("…") else text == whole[int(row)].strip()
    assert len(shown["entries"]) >= 80  # the pools of both seeds


def test_tracks_say_what_was_bought_when_and_what_models_said(page: Page, runs: Path) -> None:
    assert {(one["label"], one["seed"]) for one in page.data["tracks"]} == {
        (label, seed) for label in ("random", "badge") for seed in (0, 1)
    }
    for one in page.data["tracks"]:
        (home,) = runs.glob(f"*/*/{one['label']}-low/s{one['seed']}-*")
        scene = json.loads(inflate(page.data["scenes"][one["scene"]]["packed"]))
        rows = np.array(scene["row"])
        batches = json.loads(inflate(one["packed"]))["batches"]
        bought = [rows[batch].tolist() for batch in batches]
        lines = [line.split(",") for line in (home / "selections.csv").read_text().splitlines()[1:]]
        assert bought == [[int(row[2]) for row in lines if int(row[0]) == cycle] for cycle in range(3)]
        said = np.frombuffer(inflate(one["predictions"]), "<u2").reshape(4, len(rows))
        pool = np.load(home / "items.npz")["pool"].tolist()
        kept = np.load(home / "predictions/cycle_002.npz")["pool_prediction"]
        assert said[2].tolist() == [int(kept[pool.index(row)]) for row in rows]


def test_curves_and_differences_are_those_of_the_files(page: Page, runs: Path) -> None:
    (setting,) = page.data["settings"]
    lines = {line["label"]: line for line in setting["lines"]}
    read = {
        label: np.array(
            [
                [json.loads(row)["test/accuracy"] for row in (home / "metrics.jsonl").read_text().splitlines()]
                for home in sorted(runs.glob(f"*/*/{label}-low/s*"))
            ]
        )
        for label in lines
    }
    for label, values in read.items():
        assert np.allclose(lines[label]["curves"]["test/accuracy"]["mean"], values.mean(axis=0), atol=1e-5)
    gap = lines["badge"]["differences"]["test/accuracy"]
    assert np.allclose(gap["mean"], (read["badge"] - read["random"]).mean(axis=0), atol=1e-5)
    half = 12.7062 * (read["badge"] - read["random"]).std(axis=0, ddof=1) / np.sqrt(2)
    assert np.allclose(np.array(gap["high"]) - gap["mean"], half, atol=1e-3)
    assert setting["pair"] == ["random", "badge"] and lines["random"]["rank"] == -1
    assert lines["badge"]["curves"]["cost/select_s"]["mean"] == [0.2] * 4
    assert lines["badge"]["calibration"][0]["labels"] == 0


def test_the_statement_says_who_is_better_and_by_how_much(tmp_path: Path) -> None:
    sweep(tmp_path, {"random": 0.0, "badge": 0.1, "margin": -0.1, "coin": 0.0}, 6, noise=0.02)
    page, _ = made([tmp_path], tmp_path / "a.html")
    words = " ".join(page.words.split())
    better = re.search(
        r"Better than random : badge \+0\.0\d\d \[\+0\.\d{3}, \+0\.\d{3}\], ahead in 6 of 6 seeds", words
    )
    assert better, words[:900]
    assert re.search(r"Worse than random : margin −0\.0\d\d", words)
    assert "No difference to random could be shown for : coin" in words
    assert page.data["settings"][0]["pair"] == ["random", "badge"]


def test_of_a_loss_lower_is_better_and_diagnostics_are_not_ranked(tmp_path: Path) -> None:
    options: dict[str, Any] = {"metric": "test/nll"}
    for seed in range(6):
        wobble = 0.001 * seed
        finished_run(tmp_path, "random", seed, [2.0, 1.0, 0.8], **options)
        finished_run(tmp_path, "badge", seed, [2.0, 0.8 + wobble, 0.6], **options)
        finished_run(tmp_path, "peeking", seed, [2.0, 0.1 + wobble, 0.1], facts={"diagnostic": True}, **options)
    page, _ = made([tmp_path], tmp_path / "a.html", metric="nll")
    words = " ".join(page.words.split())
    assert "lower is better" in words and "Better than random : badge −0." in words
    assert "(diagnostic: not ranked)" in words and "peeking −" not in words
    assert page.data["settings"][0]["pair"] == ["random", "badge"]


def test_versions_labels_commands_and_configs_are_there(page: Page, runs: Path) -> None:
    assert "12 bought, 0 at the start, 10 in the target split" in page.words
    assert "alrun run -m strategy=random,badge" in page.words and f"alrun report {runs}" in page.words
    assert "penalty" not in page.words and "l2: 0.01" in page.words and "seed: 0, 1" in page.words


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_items_that_cannot_be_had_are_rows_and_the_reason_is_said(tmp_path: Path) -> None:
    runs = text_runs(tmp_path, seeds=1)
    data = tmp_path / "texts.csv"
    content = data.read_text()
    data.write_text(content.replace("1 ", "one ", 1))
    assert "has changed since the run" in " ".join(made([runs], tmp_path / "a.html")[1].notes)
    data.unlink()
    page, written = made([runs], tmp_path / "a.html")
    assert "cannot be loaded here" in " ".join(written.notes) and "cannot be loaded here" in page.words
    assert json.loads(inflate(page.data["items"][0]["packed"]))["entries"] == {}
    data.write_text(content)
    _, written = made([runs], tmp_path / "a.html", include_items=False)
    assert written.notes == ["mine: rows are shown instead of items: items were left out (--no-items)"]
    for path in runs.rglob("config.yaml"):
        path.write_text(path.read_text() + "plugins: [x.py]\n")
    assert "plugin, which a report does not run" in " ".join(made([runs], tmp_path / "a.html")[1].notes)


@pytest.mark.parametrize("name", ["map.npz", "items.npz", "selections.csv", "costs.jsonl", "predictions/cycle_001.npz"])
def test_damage_in_one_run_leaves_the_rest(tmp_path: Path, name: str) -> None:
    runs = text_runs(tmp_path, seeds=1)
    (home,) = runs.glob("*/*/badge-low/*")
    for junk in (b"PK\x03\x04 no archive\n", None):
        if junk is None:
            (home / name).unlink()
        else:
            (home / name).write_bytes(junk)
        page, written = made([runs], tmp_path / "a.html", include_items=False)
        assert written.runs == 2 and len(page.data["settings"][0]["lines"]) == 2
        assert any(one["label"] == "random" and one["predictions"] for one in page.data["tracks"])


FOREIGN: list[dict[str, Any]] = [
    {"packages": 5}, {"argv": 5}, {"argv": [5]}, {"warnings": 5}, {"warnings": "some"}, {"classes": 5},
    {"labels": 5}, {"labels": {"target": "x"}}, {"labels": {"target": [1]}},
]  # fmt: skip


@pytest.mark.parametrize("facts", FOREIGN, ids=str)
def test_a_run_json_that_no_run_writes_is_named_and_leaves_the_rest(tmp_path: Path, facts: dict[str, Any]) -> None:
    finished_run(tmp_path, "random", 0, [0.1, 0.3])
    home = finished_run(tmp_path, "badge", 0, [0.1, 0.4], facts=facts)
    page, written = made([tmp_path], tmp_path / "a.html")
    assert (written.runs, written.left_out) == (1, 1)
    key = next(iter(facts))
    assert str(home) in page.words and f"damaged: {key} in run.json is " in page.words


def test_numbers_that_no_float_holds_leave_the_rest(tmp_path: Path) -> None:
    finished_run(tmp_path, "random", 0, [0.1, 0.3])
    home = finished_run(tmp_path, "badge", 0, [0.1, 0.4], facts={"seconds": 10**400})
    lines = [json.loads(line) for line in (home / "metrics.jsonl").read_text().splitlines()]
    wild = [line | {"n_acquired": "many", "test/nll": 10**400} for line in lines]
    (home / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in wild))
    page, written = made([tmp_path], tmp_path / "a.html")
    lines = {line["label"]: line for line in page.data["settings"][0]["lines"]}
    assert written.runs == 2 and list(lines["badge"]["curves"]) == list(lines["random"]["curves"])


def test_a_metric_that_is_nowhere_whole_is_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    for strategy in ("random", "badge"):
        finished_run(tmp_path, strategy, 0, [0.1, 0.2, None, 0.4])
    page, written = made([tmp_path], tmp_path / "a.html")
    assert "no run has test/accuracy in every cycle" in page.words
    assert written.runs == 2 and page.data["settings"][0]["lines"][0]["curves"]["test/accuracy"]["x"] == [0, 20, 60]


def test_seeds_that_are_one_result_are_named(tmp_path: Path) -> None:
    for seed in range(3):
        finished_run(tmp_path, "random", seed, [0.1, 0.3 + 0.1 * seed, 0.5])
        finished_run(tmp_path, "herding", seed, [0.1, 0.4, 0.6])
    words = made([tmp_path], tmp_path / "a.html")[0].words
    assert "the seeds of herding gave one and the same curve from the first label on: it is one result" in words


def test_what_cannot_be_read_is_not_called_left_out_for_want_of_room(tmp_path: Path) -> None:
    runs = text_runs(tmp_path, seeds=1)
    (home,) = runs.glob("*/*/badge-low/*")
    shutil.rmtree(home / "predictions")
    table = home / "selections.csv"
    table.write_text(re.sub(r"(?m)^0,0,\d+,", "0,0,999999,", table.read_text()))
    _, written = made([runs], tmp_path / "a.html")
    assert written.notes == [
        "what the models said of each item cannot be read in 1 runs",
        "mine: 1 rows have no item that can be shown",
    ]


def test_a_baseline_that_no_run_has_is_a_mistake(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="baseline rnadom"):
        made([runs], tmp_path / "report.html", baseline="rnadom")
    assert not list(tmp_path.iterdir())


def test_unfinished_and_foreign_folders_are_named(tmp_path: Path) -> None:
    runs = text_runs(tmp_path, seeds=2)
    one, other, third = sorted(runs.glob("*/*/*/*"))[:3]
    (one / "summary.json").unlink()
    (other / "config.yaml").write_text("dataset: [\n")
    (third / "run.json").write_text('{"project": "another"}')
    page, written = made([runs], tmp_path / "a.html")
    assert (written.runs, written.left_out) == (1, 3)
    assert "3 of 4 folders are in no average" in page.words and "killed: 4 of 4 cycles" in page.words
    for folder in (one, other, third):
        assert str(folder) in page.words
    for path in runs.rglob("summary.json"):
        path.unlink()
    page, written = made([runs], tmp_path / "a.html")
    assert written.runs == 0 and "No finished run was found" in page.words


def test_what_does_not_fit_is_said(page: Page, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (runs.parent / "report.html").stat().st_size
    data = Page((runs.parent / "report.html").read_text(encoding="utf-8")).data
    pack = len(data["items"][0]["packed"])  # may take half of the room: here, less than it needs
    maps = sum(len(one["packed"]) + len(one.get("predictions") or "") for one in [*data["scenes"], *data["tracks"]])
    monkeypatch.setattr(report, "MOST", whole + 60_000 - maps - pack // 2)
    page, written = made([runs], tmp_path / "a.html")
    assert written.size < whole
    assert any("left out to keep the page below 10 MB" in note for note in written.notes), written.notes
    assert "left out to keep the page below 10 MB" in page.words
    monkeypatch.setattr(report, "MOST", 0)
    page, written = made([runs], tmp_path / "a.html")
    assert page.data["tracks"] == [] and "the selection process, of 4 runs" in page.words


def test_mistakes(tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no run below"):
        made([tmp_path], tmp_path / "a.html")
    with pytest.raises(UserError, match="no such path"):
        made([tmp_path / "none"], tmp_path / "a.html")
    with pytest.raises(UserError, match="is a folder"):
        made([runs], tmp_path)
    with pytest.raises(UserError, match="no run has the metric 'acuracy'"):
        made([runs], tmp_path / "a.html", metric="acuracy")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "plotly" else find(name))
    result = command("report", str(runs), "--out", str(tmp_path / "a.html"))
    assert result.exit_code == 2
    assert "a report needs plotly" in result.output and "pip install 'alrun[report]'" in result.output


def test_the_command_names_page_and_size(runs: Path, tmp_path: Path) -> None:
    result = command("report", str(runs), "--out", str(tmp_path / "sub" / "a.html"))
    assert result.exit_code == 0, result.output
    assert "4 runs" in result.output and (tmp_path / "sub" / "a.html").stat().st_size > 1e6


@pytest.mark.slow
def test_it_loads_no_torch_even_where_items_are_looked_up(runs: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from alrun.cli import app
from typer.testing import CliRunner
result = CliRunner().invoke(app, ["report", {str(runs)!r}, "--out", {str(tmp_path / "a.html")!r}])
assert result.exit_code == 0 and "rows are shown" not in result.output, result.output
assert not {{"torch", "transformers", "sklearn", "datasets", "hydra", "plotly"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE.parent.parent)


def test_pictures_become_thumbnails_and_tables_lines(tmp_path: Path) -> None:
    small = items.thumbnail(np.zeros((8, 8), np.uint8))
    large = items.thumbnail(np.zeros((200, 300, 3), np.uint8))
    assert small.startswith("data:image/png;base64,") and large.startswith("data:image/jpeg;base64,")
    assert max(map(len, (small, large))) < 1500
    home = finished_run(tmp_path, "random", 0, [0.1, 0.3], dataset="wine")
    finish(home, fingerprint="other")
    page, written = made([tmp_path], tmp_path / "a.html")
    assert page.data["tracks"] == [] and written.notes == [
        "1 runs have no map or items that can be read: they are not in the selection process"
    ]


def test_prompts_of_a_task_are_looked_up(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("ask,say\n" + "".join(f"what {k},that {k}\n" for k in range(9)))
    goal = Goal(train=str(rows), test="0.3", prompt="{ask}?", completion="{say}")
    cfg = DatasetConfig("mine", "instruction_files", train=str(rows), prompt="{ask}", completion="{say}", goal=goal)
    facts = {"fingerprint": load(cfg).fingerprint}
    entry = SimpleNamespace(files=SimpleNamespace(config={"dataset": asdict(cfg)}, facts=facts))
    assert items.shown(items.look_up(cast(Entry, entry)), [0]) == {"0": "what 0\nthat 0"}
