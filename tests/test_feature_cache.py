"""Features are computed once: by content, across kills, among many processes, or with a clear refusal."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from alrun.data.assemble import Rows, assemble
from alrun.data.source import Source
from alrun.encoders import cache
from alrun.encoders.encoder import Encoder, Work, blocks
from alrun.errors import RunFailed, UserError

N, F = 50, 6


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALRUN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def source(n: int = N) -> Source:
    return assemble("toy", "text", Rows([f"text {i}" for i in range(n)], np.arange(n) % 2))


class Counted:
    """An encoder that remembers its batches and stops where it is told to."""

    def __init__(self, stop: int | None = None, **identity) -> None:
        self.rows: list[int] = []
        self.stop = stop
        self.encoder = Encoder({"method": "counted", **identity}, self.start)

    def start(self, device: str) -> Work:
        order = [rows[::-1] for rows in blocks(N, 4)][::-1]  # neither ascending nor in order
        return Work(F, order, self.encode)

    def encode(self, rows: np.ndarray) -> np.ndarray:
        if self.stop is not None and len(self.rows) >= self.stop:
            raise KeyboardInterrupt
        self.rows += rows.tolist()
        return expected()[rows]


def expected() -> np.ndarray:
    return (np.arange(N)[:, None] * 100.0 + np.arange(F)).astype(np.float32)


def test_computed_once_and_read_only() -> None:
    counted = Counted()
    seen: list[tuple[int, int]] = []
    found = cache.features(source(), counted.encoder, lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(found, expected())
    assert isinstance(found, np.memmap) and found.dtype == np.float32 and not found.flags.writeable
    assert seen[0] == (0, N) and seen[-1] == (N, N) and [d for d, _ in seen] == sorted(d for d, _ in seen)
    again = cache.features(source(), counted.encoder, lambda done, total: pytest.fail("computed again"))
    np.testing.assert_array_equal(again, found)
    assert sorted(counted.rows) == list(range(N))


def test_the_key_is_the_content() -> None:
    base = cache.key(source(), Counted().encoder)
    assert cache.key(source(), Counted().encoder) == base
    assert cache.key(source(N + 1), Counted().encoder) != base
    assert cache.key(source(), Counted(length=128).encoder) != base


def test_width_needs_no_encoder() -> None:
    counted = Counted()
    assert cache.width(source(), counted.encoder) is None
    cache.features(source(), counted.encoder)
    assert cache.width(source(), counted.encoder) == F


@pytest.mark.parametrize("stop", [0, 4, 20, 46])
def test_an_interrupted_encoding_goes_on(home: Path, stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SYNC_S", 0.0)
    first = Counted(stop)
    with pytest.raises(KeyboardInterrupt):
        cache.features(source(), first.encoder)
    assert [entry.about for entry in cache.list_cache()] == ["unfinished"]
    second, seen = Counted(), []
    found = cache.features(source(), second.encoder, lambda done, total: seen.append(done))
    np.testing.assert_array_equal(found, expected())
    assert seen[0] == len(first.rows) and sorted(first.rows + second.rows) == list(range(N))
    assert {p.name for p in home.glob("features/*/*")} == {"features.npy", "features.json"}


@pytest.mark.parametrize("damage", ["", "{", '{"done": 3}', '{"bytes": 1, "batches": 13, "done": 3}', "[]", "null"])
def test_damaged_progress_starts_afresh(home: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SYNC_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        cache.features(source(), Counted(20).encoder)
    next(home.glob("features/*/progress.json")).write_text(damage)
    counted = Counted()
    np.testing.assert_array_equal(cache.features(source(), counted.encoder), expected())
    assert len(counted.rows) == N


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "one bit": ("features.npy", flip, "does not have the content"),
    "cut short": ("features.npy", lambda path: os.truncate(path, 1000), "has 1000 bytes, 1328 were written"),
    "gone": ("features.npy", lambda path: path.unlink(), "is gone"),
    "no json": ("features.json", lambda path: path.write_text("{"), "is not readable"),
    "other json": ("features.json", lambda path: path.write_text("[]"), "is not readable"),
}


@pytest.mark.parametrize(("name", "damage", "message"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damaged_features_are_not_used(home: Path, name: str, damage, message: str) -> None:
    cache.features(source(), Counted().encoder)
    path = next(home.glob(f"features/*/{name}"))
    damage(path)
    with pytest.raises(UserError, match=message) as caught:
        cache.features(source(), Counted().encoder)
    assert str(path) in caught.value.message and caught.value.hints == ("alrun cache --clear, then run again",)
    assert cache.clear_cache()
    np.testing.assert_array_equal(cache.features(source(), Counted().encoder), expected())


def test_values_that_are_not_finite_are_refused() -> None:
    def encode(rows: np.ndarray) -> np.ndarray:
        return np.where(rows[:, None] == 7, np.nan, 1.0)

    with pytest.raises(RunFailed, match="not finite for row 7"):
        cache.features(source(), Encoder({"method": "nan"}, lambda device: Work(1, blocks(N, 4), encode)))


def test_list_and_clear(home: Path) -> None:
    cache.features(source(), Counted().encoder)
    (home / "maps").mkdir()
    (home / "maps" / "m.npz").write_bytes(b"12345")
    entries = {entry.kind: entry for entry in cache.list_cache()}
    assert entries["features"].about == f"toy by counted, {N} x {F}" and entries["features"].bytes > 4 * N * F
    assert entries["maps"].bytes == 5 and entries["maps"].name == "m.npz"
    assert {entry.kind for entry in cache.clear_cache()} == {"features", "maps"}
    assert cache.list_cache() == []


def test_what_is_being_computed_is_not_cleared(home: Path) -> None:
    counted = Counted()
    encode = counted.encode

    def clearing(rows: np.ndarray) -> np.ndarray:
        assert cache.clear_cache() == []
        return encode(rows)

    counted.encode = clearing  # type: ignore[method-assign]
    np.testing.assert_array_equal(cache.features(source(), counted.encoder), expected())


def test_an_empty_cache_folder_is_no_mistake(home: Path) -> None:
    assert cache.list_cache() == [] and cache.clear_cache() == []


def test_a_cache_path_that_is_a_file(home: Path) -> None:
    home.write_text("x")
    with pytest.raises(RunFailed, match="a file is in the place of a folder"):
        cache.features(source(), Counted().encoder)


# -- real processes

WORKER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    import numpy as np
    sys.path.insert(0, {tests!r})
    from test_feature_cache import N, F, expected, source
    from alrun.encoders import cache
    from alrun.encoders.encoder import Encoder, Work, blocks
    from alrun.errors import RunFailed

    cache.SYNC_S = 0.0
    log = Path(sys.argv[1])

    def encode(rows):
        time.sleep(float(sys.argv[2]))
        with log.open("a") as file:
            file.write(" ".join(map(str, rows)) + "\\n")
        return expected()[rows]

    try:
        found = cache.features(source(), Encoder({{"method": "worker"}}, lambda device: Work(F, blocks(N, 4), encode)),
                               waiting=lambda text: print(text, flush=True))
    except RunFailed as error:
        print("RunFailed", error)
        sys.exit(1)
    assert np.array_equal(found, expected())
    print("done")
    """
).format(tests=str(Path(__file__).parent))


def worker(log: Path, pause: float, **more) -> subprocess.Popen:
    root = str(Path(__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": root + os.pathsep + os.environ.get("PYTHONPATH", ""), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(log), str(pause)], env=env, stdout=subprocess.PIPE, text=True, **more
    )


def encoded(log: Path) -> list[int]:
    return [int(word) for word in log.read_text().split()] if log.exists() else []


def test_ten_processes_on_a_cold_cache_compute_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    started = [worker(log, 0.2) for _ in range(10)]
    said = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0] * 10
    assert sorted(encoded(log)) == list(range(N))
    assert any("another process is computing the same features" in text for text in said)


def test_kill_9_and_go_on(tmp_path: Path, home: Path) -> None:
    log = tmp_path / "log"
    for wanted in (8, 24):
        process = worker(log, 0.1)
        while len(encoded(log)) < wanted and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    last = worker(log, 0.0)
    assert last.communicate(timeout=60)[0] == "done\n"
    again = len(encoded(log)) - N
    assert set(encoded(log)) == set(range(N)) and 0 <= again <= 8  # at most the batch under way, each time
    found = np.load(next(home.glob("features/*/features.npy")))
    np.testing.assert_array_equal(found, expected())


def test_the_file_size_limit_is_named(tmp_path: Path, home: Path) -> None:
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))  # noqa: E731
    process = worker(tmp_path / "log", 0.0, preexec_fn=limit)
    text = process.communicate(timeout=60)[0]
    assert process.returncode == 1 and "the file-size limit is reached" in text and "ALRUN_CACHE" in text
    assert encoded(tmp_path / "log") == []  # room is asked for before any work
    free = worker(tmp_path / "log", 0.0)
    assert free.communicate(timeout=60)[0] == "done\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(home: Path) -> None:
    home.mkdir()
    home.chmod(0o500)
    with pytest.raises(RunFailed, match="no permission to write"):
        cache.features(source(), Counted().encoder)


def test_what_is_kept_says_where_it_came_from(home: Path) -> None:
    cache.features(source(), Counted(length=7).encoder)
    about = json.loads(next(home.glob("features/*/features.json")).read_text())
    assert about["encoder"] == {"method": "counted", "length": 7} and about["source"] == "toy"
