"""Tab completion, by the protocol of each shell."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import BIN

from alrun.completion import overrides


def asked(shell: str, **protocol: str) -> list[str]:
    """What alrun answers a shell."""
    ran = subprocess.run(
        [BIN],
        env={**os.environ, "_ALRUN_COMPLETE": f"complete_{shell}", **protocol},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["alrun", "run", "strat"], ["strategy="]),
        (["alrun", "run", "strategy", "=", "maxh"], ["maxherding"]),
        (["alrun", "run", "seed", "=", "1", "budget", "=", "h"], ["high"]),
        (
            ["alrun", "run", "budget", "="],
            ["everything", "five_percent", "high", "low", "mid", "one_per_class", "regimes"],
        ),
        (["alrun", "pl"], ["plot"]),
    ],
)
def test_bash(words: list[str], found: list[str]) -> None:
    assert asked("bash", COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1)) == found


def test_zsh() -> None:
    lines = asked("zsh", _TYPER_COMPLETE_ARGS="alrun run strategy=ba")
    assert "strategy=badge" in "".join(lines)
    assert "margin" not in "".join(lines)


def test_fish() -> None:
    lines = asked("fish", _TYPER_COMPLETE_ARGS="alrun run budget=m", _TYPER_COMPLETE_FISH_ACTION="get-args")
    assert [line.split("\t")[0] for line in lines] == ["budget=mid"]


def test_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMP_WORDS", raising=False)
    assert {"strategy=", "dataset=", "seed="} <= set(overrides(""))
    assert "+strategy=badge" in set(overrides("+strategy="))
    assert not list(overrides("nope=x"))


@pytest.mark.slow
def test_a_real_bash(tmp_path: Path) -> None:
    script = subprocess.run(
        [BIN, "--show-completion", "bash"],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (tmp_path / "completion.sh").write_text(script)
    (tmp_path / "rc").write_text(
        f"PATH={Path(sys.executable).parent}:$PATH\nPS1='> '\n"
        "bind 'set enable-bracketed-paste off'\nsource completion.sh\n"
    )
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execvp("bash", ["bash", "--noprofile", "--rcfile", "rc", "-i"])
    seen = ""

    def until(text: str) -> None:
        nonlocal seen
        end = time.time() + 120
        while text not in seen:
            assert time.time() < end, seen
            if select.select([terminal], [], [], 0.2)[0]:
                seen += os.read(terminal, 4096).decode(errors="replace")

    try:
        until("> ")
        os.write(terminal, b"alrun run strategy=maxh\t")
        until("strategy=maxherding")
        os.write(terminal, b"budget=h\t")
        until("budget=high")
    finally:
        os.write(terminal, b"\x03exit\n")
        os.close(terminal)
        os.waitpid(child, 0)
