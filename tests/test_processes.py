"""One run in several processes: the same bytes as in one, whatever becomes of a process on the way."""

import csv
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import tiny_nets
import torch
from numpy.random import default_rng
from tiny import TINY, command, contents, tiny
from tiny_lm import POOL, TASK, tiny_lm

from alrun import processes
from alrun.config import plain
from alrun.errors import RunFailed
from alrun.following import Helper, _answer
from alrun.processes import CREW, Crew, Pass, launched, left_alone, part
from alrun.wire import packed, unpacked

# -- who computes what


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("batches", [0, 1, 2, 6, 23])
def test_every_batch_has_one_process(batches: int, size: int) -> None:
    parts = [list(part(batches, rank, size)) for rank in range(size)]
    assert sorted(at for own in parts for at in own) == list(range(batches))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_alone_nothing_is_sent() -> None:
    work = Pass([np.array([2]), np.array([0, 1])], lambda rows: [torch.from_numpy(rows)])
    found = list(processes.crew().shared("x", {}, {}, work))
    assert [batch.tolist() for batch, _ in found] == [[2], [0, 1]]
    assert [tensor.tolist() for _, (tensor,) in found] == [[2], [0, 1]]
    assert processes.crew().size == 1 and CREW.get(None) is None


class Told:
    """A line to processes that are asked directly."""

    def __init__(self, size: int, works: dict[int, Pass | Exception]) -> None:
        self.size, self.works, self.first, self.orders = size, works, 0, []

    def tell(self, message, tensors) -> None:
        self.orders.append(message["do"])
        self.first = message.get("first", 0)

    def heard(self, rank: int):
        frames = iter(packed(*_answer(Crew(rank, self.size), self.works[rank], self.first)))
        return unpacked(lambda frame: frame.copy_(next(frames)))

    def close(self) -> None:
        self.orders.append("closed")


class Gone(Told):
    """A line whose other end does not answer any more."""

    def heard(self, rank: int):
        raise RuntimeError("Connection closed by peer")


def counted(n: int, told: list[int]) -> Pass:
    """Batches of several lengths; what a batch gives is seen in its order and its size."""

    def compute(rows: np.ndarray) -> list[torch.Tensor]:
        told.extend(rows.tolist())
        return [torch.from_numpy(rows).float() / 7, torch.tensor(len(rows))]

    sizes = np.arange(n) % 3 + 1
    return Pass(np.split(np.arange(sizes.sum()), np.cumsum(sizes)[:-1]), compute)


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("n", [2, 3, 16, 17, 50])
def test_shared_work_comes_back_in_order(n: int, size: int) -> None:
    told: dict[int, list[int]] = {rank: [] for rank in range(size)}
    works = {rank: counted(n, told[rank]) for rank in range(size)}
    alone = list(Crew().shared("x", {}, {}, counted(n, [])))
    found = list(Crew(0, size, Told(size, works)).shared("x", {}, {}, works[0]))
    assert [batch.tolist() for batch, _ in found] == [batch.tolist() for batch, _ in alone]
    for (_, some), (_, same) in zip(found, alone, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(some, same, strict=True))
    every = [row for rows in told.values() for row in rows]
    assert sorted(every) == list(range(len(every))), "a batch was computed twice, or not at all"
    assert all(told[rank] for rank in range(min(n, size)))


def test_light_work_and_single_batches_stay_here() -> None:
    line = Told(3, {})
    crew = Crew(0, 3, line)
    light = counted(9, [])._replace(light=True)
    assert len(list(crew.shared("x", {}, {}, light))) == 9
    assert len(list(crew.shared("x", {}, {}, counted(1, [])))) == 1
    assert line.orders == []


def test_a_failure_elsewhere_is_named_and_the_next_pass_works() -> None:
    line = Told(3, {1: counted(9, []), 2: RunFailed("out of memory: lower model.batch")})
    crew = Crew(0, 3, line)
    with pytest.raises(RunFailed, match=r"process 2 of 3: out of memory: lower model\.batch"):
        list(crew.shared("x", {}, {}, counted(9, [])))
    line.works[2] = counted(9, [])
    assert len(list(crew.shared("x", {}, {}, counted(9, [])))) == 9


def test_a_failure_here_leaves_when_all_were_heard() -> None:
    def broken(rows: np.ndarray) -> list[torch.Tensor]:
        raise RunFailed("out of memory here")

    line = Told(2, {1: counted(9, [])})
    crew = Crew(0, 2, line)
    with pytest.raises(RunFailed, match="out of memory here"):
        list(crew.shared("x", {}, {}, counted(9, [])._replace(compute=broken)))
    crew.end()
    assert line.orders == ["x", "round", "end", "closed"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_in_the_middle_of_a_word_nothing_more_is_said(error: type[BaseException]) -> None:
    def stopped(rows: np.ndarray) -> list[torch.Tensor]:
        raise KeyboardInterrupt

    line = Gone(2, {})
    crew = Crew(0, 2, line)
    work = counted(9, [])
    if error is RuntimeError:
        with pytest.raises(RunFailed, match="process 1 of 2 went away: committed cycles are kept"):
            list(crew.shared("x", {}, {}, work))
    else:
        with pytest.raises(KeyboardInterrupt):
            list(crew.shared("x", {}, {}, work._replace(compute=stopped)))
    crew.end()
    assert line.orders == ["x", "round"]


def test_those_who_are_gone_need_not_be_sent_home() -> None:
    class Silent(Told):
        def tell(self, message, tensors) -> None:
            raise RuntimeError("Connection reset by peer")

    Crew(0, 2, Silent(2, {})).end()


def test_a_process_with_other_data_says_so(here: Path) -> None:
    helper = Helper(Crew(1, 2), {"run": plain(tiny()), "features": "those of other data"})
    with pytest.raises(RunFailed, match="its data or its encoder's weights differ from those of the main process"):
        helper.work("encode", {"done": 0}, {})


def test_a_network_with_other_weights_says_so(tmp_path: Path) -> None:
    material, labels = tiny_nets.texts()
    crew = Crew(1, 2)
    token = CREW.set(crew)
    try:
        model = tiny_nets.learner(material, tiny_nets.bert(tmp_path))(torch.arange(4), labels[:4], default_rng(0))
    finally:
        CREW.reset(token)
    about = {"part": "test", "files": list(model.setting.backbone.files.values())}
    given = {**model.parameters, "rows": torch.arange(12)}
    work = crew.offers["embed"](about, dict(given))
    found = torch.cat([work.compute(at)[0] for at in work.batches])
    order = torch.from_numpy(np.concatenate(work.batches))
    assert torch.equal(found, model.outputs("test", torch.arange(12)).embeddings[order])
    with pytest.raises(RunFailed, match=r"its weights of .* differ from those of the main process"):
        crew.offers["embed"]({**about, "files": ["of others"]}, dict(given))


# -- what travels


def test_tensors_arrive_as_they_were() -> None:
    with torch.inference_mode():
        inference = torch.ones(2, 2)
    sent = [
        torch.tensor([[1.5, float("nan")], [-0.0, 3e-45]]),
        torch.tensor([1.0, 2.5], dtype=torch.bfloat16),
        torch.tensor([[True], [False]]),
        torch.arange(6).reshape(2, 3).T,
        torch.tensor(7),
        torch.empty(0, 4),
        inference,
        torch.ones(2, requires_grad=True),
    ]
    frames = iter(packed({"do": "x", "text": "ü"}, sent))
    message, found = unpacked(lambda frame: frame.copy_(next(frames)))
    assert message == {"do": "x", "text": "ü"}
    for one, other in zip(sent, found, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape and not other.is_inference()
        assert (
            one.detach().contiguous().numpy(force=True).tobytes() == other.numpy().tobytes()
            if (one.dtype != torch.bfloat16)
            else torch.equal(one, other)
        )


@pytest.mark.parametrize(
    ("names", "several"),
    [
        ({}, False),
        ({"MASTER_ADDR": "a", "WORLD_SIZE": "1"}, False),
        ({"WORLD_SIZE": "2"}, False),
        ({"MASTER_ADDR": "a", "WORLD_SIZE": "2"}, True),
        ({"MASTER_ADDR": "a", "OMPI_COMM_WORLD_SIZE": "4"}, True),
    ],
)
def test_what_a_launcher_says(names: dict[str, str], several: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", *processes.SIZES):
        monkeypatch.delenv(name, raising=False)
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    assert launched() is several


def test_asking_for_several_and_getting_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "ACCELERATE_USE_CPU", *processes.SIZES):
        monkeypatch.delenv(name, raising=False)
    assert not left_alone()
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    assert not left_alone(), "one was asked for"
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert left_alone()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not left_alone()


def test_launchers_of_processes_are_refused(here: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the extra joblib is not installed")
    token = CREW.set(Crew(0, 2))
    try:
        result = command("run", "-m", *TINY, "seed=0,1", "hydra/launcher=joblib")
    finally:
        CREW.reset(token)
    said = " ".join(result.stderr.split())
    assert result.exit_code == 2 and "joblib starts processes" in said
    assert "the runs follow one another" in said


# -- the whole of it

LAUNCH = (sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")
QUIET = ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "alrun", "run")


def both(asked: list[str]) -> list[str]:
    """The run on two processes; they meet where nobody else does."""
    return [*LAUNCH, "--main_process_port", str(free_port()), *QUIET, *asked]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A run whose features and whose model are networks, on 120 + 90 sentences of three classes."""
    folder = tmp_path_factory.mktemp("words")
    path = tiny_nets.bert(folder / "bert")
    items, labels = tiny_nets.sentences(210, 3)
    for name, rows in (("train", slice(0, 120)), ("test", slice(120, 210))):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *zip(items[rows], labels[rows].tolist(), strict=True)])
    data = [f"dataset.train={folder}/train.csv", f"dataset.test={folder}/test.csv", "dataset.target=2"]
    encoder = ["encoder=hub", f"encoder.path={path}", "encoder.batch=4"]
    model = ["model=transformer", f"model.path={path}", "model.min_steps=4", "model.epochs=1", "model.batch=2"]
    rest = ["model.max_length=16", "model.checkpoints=2", "strategy=badge", "budget.phases=[{labels: 1, cycles: 6}]"]
    return ["dataset=files", *data, "dataset.input=text", "dataset.label=label", *encoder, *model, *rest, "device=cpu"]


@pytest.fixture(scope="module")
def alone(asked: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the run leaves in one process."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        finish(folder, asked, patch)
    return left(folder)


def finish(folder: Path, asked: list[str], patch: pytest.MonkeyPatch) -> None:
    """Do the run in `folder`, or what is missing of it, in this process."""
    patch.chdir(folder)
    patch.setenv("ALRUN_CACHE", str(folder / "cache"))
    patch.setattr("alrun.run.draw_run", lambda *_: [])
    result = command("run", *asked)
    assert result.exit_code == 0, result.output


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "ALRUN_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}


def left(folder: Path) -> dict[str, bytes]:
    """What must not depend on the number of processes: all but costs, provenance and what names the folder."""
    (home,) = {path.parent for path in (folder / "outputs").rglob("run.json")}
    names = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and path.parent.name != "plots"]
    kept = sorted(n for n in names if Path(n).name not in ("run.json", "run.log", "costs.jsonl", ".lock"))
    features = (folder / "cache" / "features").rglob("features.*")
    return contents(home, kept) | {path.name: path.read_bytes() for path in features}


def together(folder: Path, asked: list[str]) -> str:
    """What is said while two processes do the run in `folder`."""
    result = subprocess.run(both(asked), cwd=folder, env=environment(folder), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (provenance,) = (folder / "outputs").rglob("run.json")
    assert json.loads(provenance.read_text())["processes"] == 2
    return result.stdout


@pytest.mark.slow
def test_two_processes_leave_the_bytes_of_one(asked: list[str], alone: dict[str, bytes], here: Path) -> None:
    assert together(here, asked).count("AULC") == 1, "one process speaks"
    found = left(here)
    assert {"features.npy", "features.json", "metrics.jsonl", "selections.csv", "map.npz"} <= found.keys()
    assert sum(name.startswith("predictions/") for name in found) == 7
    assert found == alone


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["less_paper", "badge_lora"])
def test_gradients_are_shared_too(
    strategy: str, asked: list[str], here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    asked = [word.replace("strategy=badge", f"strategy={strategy}") for word in asked]
    folder = tmp_path_factory.mktemp(strategy)
    with pytest.MonkeyPatch.context() as patch:
        finish(folder, asked, patch)
    together(here, asked)
    assert left(here) == left(folder)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["perplexity", "less_instruct"])
def test_a_language_model_is_shared_too(strategy: str, tmp_path_factory: pytest.TempPathFactory, here: Path) -> None:
    """How well completions are predicted is a pass over the pool of its own; gradients are another."""
    folder = tmp_path_factory.mktemp(strategy)
    pool = [f"{item.prompt} {k},{item.options[0]}" for k in ("one", "two", "three") for item in POOL]
    task = [f"{item.prompt} {k},{k % 2}" for k in range(4) for item in TASK]
    for name, rows in (("pool", ["ask,say", *pool]), ("task", ["text,label", *task])):
        (folder / f"{name}.csv").write_text("\n".join(rows))
    goal = {"train": f"{folder}/task.csv", "test": 0.5, "label": "label", "prompt": "'{text}'", "options": "[no, yes]"}
    asked = [
        *[
            "dataset=instruct",
            f"dataset.train={folder}/pool.csv",
            "dataset.prompt='{ask}'",
            "dataset.completion='{say}'",
        ],
        *[f"+dataset.goal.{name}={value}" for name, value in goal.items()],
        *["dataset.target=2", "encoder=tfidf", "encoder.dimensions=4", "model=causal_lm", "model.batch=2"],
        *[f"model.path={tiny_lm(folder / 'lm')}", "model.max_length=24", "model.rank=2", "model.min_steps=4"],
        *["model.epochs=1", "model.checkpoints=2", f"strategy={strategy}", "device=cpu"],
        *["budget.phases=[{labels: 2, cycles: 2}]", "budget.unit=labels"],
    ]
    together(here, asked)
    with pytest.MonkeyPatch.context() as patch:
        finish(folder, asked, patch)
    assert left(here) == left(folder)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_run_and_it_goes_on(
    rank: int, asked: list[str], alone: dict[str, bytes], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = subprocess.Popen(
        both(asked), cwd=here, env=environment(here), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while not any(path.stat().st_size for path in here.rglob("metrics.jsonl")):
        assert launcher.poll() is None, launcher.communicate()[1].decode()
        time.sleep(0.02)
    below = psutil.Process(launcher.pid).children(recursive=True)
    ranks = {int(child.environ()["RANK"]): child for child in below if "RANK" in child.environ()}
    ranks[rank].kill()
    launcher.communicate()
    assert launcher.returncode != 0
    psutil.wait_procs(below, timeout=60)
    assert not any(child.is_running() for child in below)
    (metrics,) = here.rglob("metrics.jsonl")
    committed = metrics.read_bytes()
    finish(here, asked, monkeypatch)
    assert left(here) == alone
    assert metrics.read_bytes().startswith(committed[: committed.rfind(b"\n") + 1])


@pytest.mark.slow
def test_started_as_by_mpirun_one_process_speaks(here: Path) -> None:
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    meeting |= {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "alrun", "ls", "strategies"],
            cwd=here,
            env={**environment(here), **meeting, "OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    said = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert "badge" in said[0][0] and said[1] == ("", "")
