"""What the README says can be read back from the project."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_first_screen_has_the_two_commands() -> None:
    commands = re.findall(r"```bash\n(pip install .*)\n```", README)
    assert commands == [
        "pip install -c constraints.txt '.[demo]' && alrun run strategy=badge budget=low",
        "pip install -c constraints.txt -e '.[demo,datasets,hub,vision,joblib,test]' && python -m pytest -n 2",
    ]


def test_every_option_is_named() -> None:
    missing = [
        f"{group}={path.stem}"
        for group in ("strategy", "dataset", "encoder", "model", "budget")
        for path in sorted((ROOT / "configs" / group).glob("*.yaml"))
        if path.stem not in README and path.stem != "less_alignment"  # a second name of less
    ]
    assert not missing


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", README):
        assert (ROOT / target).exists(), target
