"""What a screen shows of a run's cycles."""

import pytest

from alrun.terminal import BARS, Screen

COSTS = {"select_s": 0.1, "train_s": 72.0}
SHARES = ("test/accuracy", "test/macro_f1", "test/nll", "test/ece")


def shown(capsys: pytest.CaptureFixture[str], *cycles: dict[str, float | None]) -> list[list[str]]:
    """The words of the heading and of each line."""
    screen = Screen()
    for number, metrics in enumerate(cycles):
        screen.cycle({"cycle": number, "n_labelled": 10 * number, **metrics}, COSTS)
    return [line.split() for line in capsys.readouterr().out.strip("\n").splitlines()]


def test_classes_scales_and_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    usual = dict.fromkeys(SHARES, 0.5)
    heading, first, second = shown(capsys, usual, usual | {"test/accuracy": 1.0})
    assert heading == ["cycle", "labels", "acc", "macro-F1", "nll", "ece", "select", "train"]
    assert first == ["0", "0", "0.500", "0.500", "0.500", "0.500", "0.1s", "1m", "12s", BARS[4]]
    assert second[-1] == BARS[4] + BARS[7]
    heading, first = shown(capsys, usual | {"test/mae": 0.25})
    assert heading[3] == "MAE" and first[3] == "0.250"
    nothing: dict[str, float | None] = dict.fromkeys(SHARES)
    heading, first, second = shown(
        capsys, *[nothing | {"test/token_accuracy": share, "test/token_nll": 1.5} for share in (0.3, None)]
    )
    assert " ".join(heading) == "cycle labels token acc token nll select train"
    assert first[2:4] == ["0.300", "1.500"] and second[2:4] == ["–", "1.500"]
    assert first[-1] == BARS[2]


def test_nothing_to_show_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    heading, line = shown(capsys, dict.fromkeys(SHARES))
    assert heading[2] == "acc" and line[2:6] == ["–"] * 4
