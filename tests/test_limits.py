"""Full disks, read-only folders, file-size limits and signals in the middle of a run: real ones."""

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import TINY, contents, done, start, tiny

import alrun.rundir
from alrun.errors import RunFailed
from alrun.prepare import prepare
from alrun.run import Quiet, execute
from alrun.rundir import RunDir

ASKED = ("strategy=margin",)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a run is made in this process, it draws nothing."""
    monkeypatch.setattr("alrun.run.draw_run", lambda folder, formats: [])


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 64 pages large."""
    folder = tmp_path / "small"
    folder.mkdir()
    ran = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {ran.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def remount(folder: Path, *options: str) -> None:
    """The same file system with other options."""
    subprocess.run(["mount", "-o", ",".join(["remount", *options]), folder], check=True)


def filled(folder: Path, left: int) -> Path:
    """A file that leaves about `left` bytes free."""
    free = os.statvfs(folder)
    path = folder / "filler"
    path.write_bytes(b"x" * max(0, free.f_bavail * free.f_frsize - left))
    return path


@pytest.mark.parametrize("left", [0, 4096, 12288, 24576, 40960])
def test_a_full_disk(left: int, mounted: Path, here: Path) -> None:
    whole = contents(done(*ASKED, "runs_dir=whole"))
    prepared = prepare(tiny(*ASKED, f"runs_dir={mounted}"))
    filler = filled(mounted, left)
    with pytest.raises(RunFailed, match="the disk is full") as caught:
        execute(prepared, Quiet())
    assert str(mounted) in str(caught.value)
    assert "\n" not in str(caught.value)
    home = RunDir(prepared.folder)
    kept = home.metrics()
    if kept:
        assert whole["metrics.jsonl"].startswith((home.path / "metrics.jsonl").read_bytes())
    filler.unlink()
    execute(prepared, Quiet())
    assert contents(home.path) == whole
    assert home.status() == "done"


def test_a_disk_that_fills_up_keeps_its_cycles(mounted: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = contents(done(*ASKED, "runs_dir=whole"))
    prepared = prepare(tiny(*ASKED, f"runs_dir={mounted}"))
    commit = RunDir.commit

    def commit_on_a_full_disk(self: RunDir, cycle: int, *rest) -> None:
        if cycle == 3:
            filled(mounted, 0)
        commit(self, cycle, *rest)

    monkeypatch.setattr(RunDir, "commit", commit_on_a_full_disk)
    with pytest.raises(RunFailed, match="the disk is full"):
        execute(prepared, Quiet())
    home = RunDir(prepared.folder)
    assert len(home.metrics()) == 3
    (mounted / "filler").unlink()
    monkeypatch.setattr(RunDir, "commit", commit)
    execute(prepared, Quiet())
    assert contents(home.path) == whole


def test_a_read_only_folder(mounted: Path, here: Path) -> None:
    whole = contents(done(*ASKED, "runs_dir=whole"))
    prepared = prepare(tiny(*ASKED, f"runs_dir={mounted / 'runs'}"))
    remount(mounted, "ro")
    with pytest.raises(RunFailed, match="the file system is read-only"):
        execute(prepared, Quiet())
    remount(mounted, "rw")
    execute(prepared, Quiet())
    (prepared.folder / "summary.json").unlink()
    (prepared.folder / "predictions" / "cycle_004.npz").unlink()
    remount(mounted, "ro")
    with pytest.raises(RunFailed, match="the file system is read-only"):
        execute(prepared, Quiet())
    remount(mounted, "rw")
    execute(prepared, Quiet())
    assert contents(prepared.folder) == whole


@pytest.mark.slow
def test_commands_on_a_full_and_a_read_only_disk(mounted: Path, here: Path) -> None:
    filler = filled(mounted, 16384)
    for words in (["run"], ["run", "-m", "seed=0,1"]):
        with start(*words, *TINY, *ASKED, f"runs_dir={mounted}") as process:
            said, complaint = process.communicate()
        assert process.returncode == 1
        assert "the disk is full" in complaint
        assert "Traceback" not in complaint + said
        assert "Logging error" not in complaint + said
    filler.unlink()
    shutil.rmtree(mounted / "digits", ignore_errors=True)
    remount(mounted, "ro")
    for words in (["run"], ["run", "-m", "seed=0,1"], ["resume", str(mounted)]):
        asked = [] if words[0] == "resume" else [*TINY, *ASKED, f"runs_dir={mounted / 'runs'}"]
        with start(*words, *asked) as process:
            said, complaint = process.communicate()
        assert process.returncode == (0 if words[0] == "resume" else 1), complaint
        assert "Traceback" not in complaint + said
    remount(mounted, "rw")


@pytest.mark.parametrize("size", [256, 600, 1500, 3000])
def test_a_file_size_limit(size: int, here: Path) -> None:
    whole = contents(done(*ASKED, "runs_dir=whole"))
    prepared = prepare(tiny(*ASKED))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(RunFailed, match="the file-size limit is reached"):
            execute(prepared, Quiet())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    home = RunDir(prepared.folder)
    committed = home.path / "metrics.jsonl"
    if committed.exists():
        assert committed.stat().st_size <= size
        assert whole["metrics.jsonl"].startswith(committed.read_bytes())
    execute(prepared, Quiet())
    assert contents(home.path) == whole


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C is heard, also where a shell has told its background jobs to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_an_interrupt_at_every_write(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C just before, or just after, each time that a byte goes to the disk."""
    whole = contents(done(*ASKED, "runs_dir=whole"))
    prepared = prepare(tiny(*ASKED))
    home, to_disk = RunDir(prepared.folder), alrun.rundir._to_disk
    seen = 0
    for late in (False, True):
        for moment in range(60):
            left = [moment]

            def interrupted(handle, left=left, late=late) -> None:
                left[0] -= 1
                if left[0] < 0 and not late:
                    os.kill(os.getpid(), signal.SIGINT)
                to_disk(handle)
                if left[0] < 0 and late:
                    os.kill(os.getpid(), signal.SIGINT)

            monkeypatch.setattr(alrun.rundir, "_to_disk", interrupted)
            try:
                execute(prepared, Quiet(), fresh=True)
                break
            except KeyboardInterrupt:
                seen += 1
            assert not list(home.path.rglob("*.partial"))
            kept = home.path / "metrics.jsonl"
            assert whole["metrics.jsonl"].startswith(kept.read_bytes() if kept.exists() else b"")
            if moment % 5 == 0:
                monkeypatch.setattr(alrun.rundir, "_to_disk", to_disk)
                execute(prepared, Quiet())
                assert contents(home.path) == whole
        else:
            raise AssertionError("a run has fewer writes than that")
    assert seen > 40


@pytest.mark.slow
@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command(signum: signal.Signals, here: Path) -> None:
    (here / "slow.py").write_text(SLEEPY)
    (here / "mine" / "strategy").mkdir(parents=True)
    (here / "mine" / "strategy" / "sleepy.yaml").write_text("# Sleepy\nname: sleepy\n")
    asked = [*TINY, "--config-dir", "mine", "strategy=sleepy", "plugins=[slow.py]"]
    with start("run", *asked) as process:
        while not (here / "asleep").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signum)
        _, complaint = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "interrupted: committed cycles are kept" in complaint
    assert "Traceback" not in complaint
    (folder,) = (path.parent for path in Path("outputs").rglob("run.json"))
    assert len(RunDir(folder).metrics()) == 2
    (here / "awake").touch()
    with start("run", *asked) as process:
        said, complaint = process.communicate(timeout=300)
    assert process.returncode == 0, complaint
    assert "continuing after 2 committed cycles" in said
    assert len(RunDir(folder).metrics()) == 5


# Sleeps in its third cycle until there is a file `awake`.
SLEEPY = """
import time
from pathlib import Path

from alrun.registry import strategy
from alrun.types import Selection


@strategy
def sleepy(view, n):
    while view.cycle == 2 and not Path("awake").exists():
        Path("asleep").touch()
        time.sleep(0.02)
    chosen = view.unlabelled[:n]
    return Selection(chosen, chosen.double())
"""
