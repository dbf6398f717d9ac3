"""The page of `alrun report` in headless Chromium: slider, hover, toggles, keyboard, themes, paper, hostile data."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from report_runs import text_runs

from alrun.report import write_report

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from chromium import Chromium, find

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find() is None, reason="no Chromium here: apt-get install chromium"),
]
READY = "window.Plotly && document.querySelectorAll('#batches tr[data-at]').length"
STILL = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def write(root: Path) -> Path:
    out = root / "report.html"
    write_report([root / "runs"], out, baseline="random", metric="accuracy", include_items=True, any_version=False)
    return out


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    text_runs(root)
    text_runs(root, budget="mid")
    return write(root)


@pytest.fixture(scope="module")
def browser(file: Path) -> Iterator[Chromium]:
    with Chromium(width=1400, height=1000) as found:
        found.open(file)
        found.wait(READY)
        yield found


@pytest.fixture(autouse=True)
def no_trouble(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    browser = request.getfixturevalue("browser")
    assert browser.trouble == []
    assert browser.ask("window.broken ?? null") is None


def choose(browser: Chromium, label: str, value: str) -> None:
    """Choose an option of the select with this label, as its user does."""
    browser.ask(
        f"""(() => {{
        const labels = [...document.querySelectorAll('.controls label')];
        const select = labels.find(one => one.textContent.startsWith({label!r})).querySelector('select');
        select.value = {value!r};
        select.dispatchEvent(new Event('change'));
        }})()"""
    )
    browser.ask(STILL)


def test_it_opens_from_disk_and_asks_for_nothing_else(browser: Chromium, file: Path) -> None:
    asked = [address for address in browser.asked if not address.startswith(("data:", "blob:"))]
    assert asked == [file.as_uri()]
    assert browser.ask("document.getElementById('trouble').hidden") is True
    assert browser.ask("document.querySelectorAll('.gl-canvas').length") > 0  # WebGL, not a node for each point


def test_hostile_texts_are_texts(browser: Chromium) -> None:
    assert (
        browser.ask("document.querySelectorAll('#card script, #batches script, #batches img, b > script').length") == 0
    )
    browser.ask("""(async () => { for (let at = 0; at < 40; at += 1) showItem(at); })()""")
    assert "<script>" in browser.ask(
        "[...Array(40).keys()].map(at => { showItem(at); return byId('card').textContent }).join()"
    )
    for paint in ("class", "right", "state"):
        choose(browser, "Colour", paint)
    assert "<b>bold</b>" in browser.ask("byId('batches').textContent")
    # The policy holds even where a text would become markup.
    browser.ask("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.broken = 9\">')")
    browser.ask(STILL)
    browser.trouble.clear()  # the browser says that it refused


def test_the_slider_moves_both_maps_and_both_tables(browser: Chromium) -> None:
    browser.ask("byId('cycle').focus()")
    for _ in range(4):
        browser.press("ArrowLeft")
    browser.wait("byId('cycle-text').textContent.startsWith('0 of')")
    browser.wait("byId('map-a').data[2].x.length === 4 && byId('map-b').data[2].x.length === 4")
    assert browser.ask("byId('map-a').data[1].x.length") == 0
    first = browser.ask("byId('batches').textContent")
    browser.press("ArrowRight")
    browser.wait("byId('cycle-text').textContent.startsWith('1 of')")
    browser.wait("byId('map-a').data[1].x.length === 4")
    assert browser.ask("byId('batches').textContent") != first
    assert "bought in cycle 1" in browser.ask("byId('batches').textContent")
    assert browser.ask("document.querySelectorAll('#batches table').length") == 2


def test_pointing_at_an_item_shows_it(browser: Chromium) -> None:
    browser.ask("showItem(null), byId('map-a').scrollIntoView({ block: 'center', behavior: 'instant' })")
    # The dot of the batch with most room around it: where two dots lie on each other, either may answer.
    wanted, x, y = browser.ask(
        """(() => {
        const map = byId('map-a'), box = map.getBoundingClientRect(), full = map._fullLayout;
        const dots = ({ x, y, customdata }) => customdata.map((item, at) => [
            item, box.left + full.margin.l + full.xaxis.l2p(x[at]), box.top + full.margin.t + full.yaxis.l2p(y[at])]);
        const pool = dots(map.data[0]);
        const gap = ([item, x, y], [other, left, top]) => item === other ? Infinity : Math.hypot(left - x, top - y);
        const room = (dot) => Math.min(...pool.map((other) => gap(dot, other)));
        return dots(map.data[2]).sort((one, other) => room(other) - room(one))[0];
        })()"""
    )
    browser.point(x - 40, y - 40)
    browser.point(x, y)
    browser.wait(f"process.shown === {wanted}")  # on the way there, other dots may have shown themselves
    shown = browser.ask("byId('card').textContent")
    assert "row" in shown and "label" in shown and "model of A" in shown and "bought in cycle" in shown
    browser.point(x, y, click=True)
    browser.wait("process.pinned !== null")
    browser.press("Escape")
    browser.wait("process.pinned === null && !byId('card').querySelector('dl')")


def test_the_batch_can_be_read_with_the_keyboard(browser: Chromium) -> None:
    browser.ask("document.querySelector('#batches tr[data-at]').focus()")
    one = browser.ask("byId('card').textContent")
    browser.press("ArrowDown")
    browser.wait("document.activeElement === document.querySelectorAll('#batches tr[data-at]')[1]")
    assert browser.ask("byId('card').textContent") != one
    assert browser.ask("document.activeElement.getAttribute('aria-selected')") == "true"
    shown = browser.ask("process.shown")
    browser.ask(  # what comes under a pointer at rest, after scrolling, is not pointed at
        "document.querySelectorAll('#batches tr[data-at]')[3].dispatchEvent(new MouseEvent('mouseenter'))"
    )
    assert browser.ask("process.shown") == shown
    assert browser.ask("byId('map-b').data[3].x.length") == 1  # ringed on both maps
    browser.press("Enter")
    browser.wait("process.pinned !== null")
    browser.press("End")
    browser.wait("process.pinned === null")
    browser.press("Escape")


def test_strategies_regimes_and_metrics_are_switched(browser: Chromium) -> None:
    means = "data.filter(line => line.mode === 'lines+markers').length"
    count = f"[...document.querySelectorAll('#curve-plots .plot')].map(one => one.{means})"
    regimes = "[...document.querySelectorAll('#curve-controls label')]"
    mid = f"{regimes}.find(one => one.textContent === 'mid').querySelector('input')"
    assert browser.ask(count) == [2, 2]
    browser.ask("document.querySelectorAll('#strategies input')[1].focus()")
    browser.press(" ")
    browser.wait(f"String({count}) === '1,1'")
    browser.press(" ")
    browser.wait(f"String({count}) === '2,2'")
    browser.ask(f"{mid}.click()")
    browser.wait(f"String({count}) === '2'")
    browser.ask(f"{mid}.click()")
    choose(browser, "Metric", "cost/select_s")
    assert (
        browser.ask("document.querySelector('#curve-plots .plot').layout.yaxis.title.text")
        == "seconds to select a batch"
    )
    choose(browser, "Metric", "test/accuracy")
    choose(browser, "Show", "difference")
    browser.wait(f"String({count}) === '1,1'")
    choose(browser, "Show", "value")
    browser.ask("byId('curve-numbers').open = true")
    browser.wait("document.querySelectorAll('#curve-table table').length === 2")
    choose(browser, "Regime", "1")
    browser.wait("process.regime === 1 && byId('map-a').data[0].x.length")
    choose(browser, "Strategy B", "random")
    browser.wait("byId('name-b').textContent === 'B · random'")


def test_both_maps_follow_a_zoom(browser: Chromium) -> None:
    browser.ask("void Plotly.relayout(byId('map-a'), { 'xaxis.range[0]': 1000, 'xaxis.range[1]': 4000 })")
    browser.wait("Math.round(byId('map-b').layout.xaxis.range[1]) === 4000")


def test_themes(browser: Chromium) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light = browser.ask(paper)
    browser.ask("byId('theme').click()")
    assert browser.ask("byId('theme').textContent") == "Theme: light" and browser.ask(paper) == light
    browser.ask("byId('theme').click()")
    assert browser.ask(paper) != light
    assert browser.ask("document.querySelector('#curve-plots .plot').layout.font.color") == "#e8eaed"
    browser.ask("byId('theme').click()")
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.wait(f"{paper} !== {light!r}")
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])


def test_it_prints_and_comes_back(browser: Chromium, tmp_path: Path) -> None:
    browser.paper(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 20_000
    browser.wait("byId('theme').textContent === 'Theme: system'")


def test_nothing_is_wider_than_a_telephone(browser: Chromium) -> None:
    browser.resize(390)
    browser.wait("innerWidth === 390")
    browser.ask(STILL)
    browser.wait("document.documentElement.scrollWidth <= 390")
    browser.resize(1400)
