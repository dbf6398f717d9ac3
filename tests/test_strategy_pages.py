"""The pages of docs/strategies/ speak of every strategy and every option, and lead nowhere that is not there."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs/strategies"
PAGES = sorted(FOLDER.glob("*.md"))
STRATEGIES = sorted((ROOT / "configs/strategy").glob("*.yaml"))


def anchors(page: Path) -> set[str]:
    """Headings as GitHub links to them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", STRATEGIES, ids=lambda path: path.stem)
def test_every_strategy_is_indexed_and_its_options_are_explained(path):
    row = next((line for line in (FOLDER / "README.md").read_text().splitlines() if f"`{path.stem}`" in line), "")
    linked = re.search(r"\((\w+\.md)#", row)
    assert linked, f"no row of the index leads to {path.stem}"
    options = set(yaml.safe_load(path.read_text())) - {"name", "method"}
    page = (FOLDER / linked.group(1)).read_text()
    assert not {name for name in options if f"`{name}" not in page}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())
    assert links
    for link in links:
        name, _, anchor = link.partition("#")
        goal = page.parent / name if name else page
        assert goal.exists(), link
        assert not anchor or anchor in anchors(goal), link


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_files_that_a_page_names_exist(page):
    named = re.findall(r"`((?:alrun|configs|scripts)/[\w/.]+)`", page.read_text())
    assert all((ROOT / name).exists() for name in named), named
