"""A report as a browser shows, prints and reads it; without Chromium these are skipped."""

from urllib.parse import urljoin

import numpy as np
import pytest
from brian2 import ms, nA, umolar

from neuromod.protocols import GainCurve
from neuromod.runs.registry import find
from neuromod.runs.run import run

TOO_WIDE = """() => [...document.querySelectorAll("main, .wide, table, th, td, pre, img")]
    .filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0
        || e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => e.outerHTML.slice(0, 80))"""
CONTRAST = """() => {
    const light = text => {
        const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3)
            .map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const behind = e => {
        const color = getComputedStyle(e).backgroundColor
        return color === "rgba(0, 0, 0, 0)" ? behind(e.parentElement) : color
    }
    const written = "h1, h2, p, a:not(.picture), th, td, caption, figcaption, pre"
    return Math.min(...[...document.querySelectorAll(written)].map(e => {
        const pair = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a)
        return (pair[0] + 0.05) / (pair[1] + 0.05)
    }))
}"""


COLUMNS = "[...document.querySelectorAll('thead tr')].map(row => row.cells.length)"


def on_paper(page):
    # A4 without its margins of 15 mm is 180 mm wide.
    page.set_viewport_size({"width": 680, "height": 900})
    page.emulate_media(media="print")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run in its folder."""
    small = {"I": [0.3, 0.55, 0.7, 0.9] * nA, "conc": [0, 0.7, 3] * umolar, "duration": 300 * ms}
    folder = tmp_path_factory.mktemp("report") / "run"
    return folder, run(GainCurve(**small), out=folder)


@pytest.fixture
def page(made, browser):
    """The report, and every request that it makes."""
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    opened.asked = []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.goto((made[0] / "report.html").as_uri())
    yield opened
    opened.close()


@pytest.mark.parametrize("width", [1400, 400])
def test_the_page_does_not_scroll_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for box in page.query_selector_all(".wide"):
        assert box.get_attribute("tabindex") == "0"
        assert box.get_attribute("aria-label")


def test_paper_loses_no_column(page):
    on_paper(page)
    assert page.evaluate(TOO_WIDE) == []


@pytest.mark.parametrize("name", ["vdd-sweep", "dose-response"])
def test_wide_tables_of_other_protocols_fit_on_paper(browser, tmp_path, name):
    run(name, out=tmp_path / "run", **find("protocol", name).small)
    opened = browser.new_page()
    opened.goto((tmp_path / "run" / "report.html").as_uri())
    on_paper(opened)
    wide, columns = opened.evaluate(TOO_WIDE), opened.evaluate(COLUMNS)
    opened.close()
    assert wide == []
    assert max(columns) > 8


def test_on_paper_words_stay_with_the_command_that_they_introduce(page):
    on_paper(page)
    assert (
        page.evaluate(
            """() => [...document.querySelectorAll("pre")]
            .map(e => getComputedStyle(e.previousElementSibling).breakAfter)"""
        )
        == ["avoid"] * 3
    )


def test_a_narrow_screen_leaves_room_for_the_meaning_of_a_setting_and_shows_all_of_a_command(page):
    page.set_viewport_size({"width": 400, "height": 900})
    wordy = "[aria-label=Settings] td:is(:nth-child(3), :last-child)"
    assert min(page.eval_on_selector_all(wordy, "all => all.map(e => e.clientWidth)")) >= 150
    assert max(page.eval_on_selector_all("pre", "all => all.map(e => e.scrollWidth)")) < 400


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_by_day_and_night(page, scheme):
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate(CONTRAST) >= 4.5
    assert page.evaluate(
        "getComputedStyle(document.querySelector('.picture')).backgroundColor"
    ) == ("rgb(255, 255, 255)")


def test_the_pointer_on_a_marker_finds_the_value_of_the_table(page, made):
    row = made[1].table.query("conc_uM == 3 and current_nA > 0.6").iloc[0]
    told = page.evaluate(
        """() => [...document.querySelectorAll("circle")].map(circle => {
            const box = circle.getBoundingClientRect()
            const x = box.x + box.width / 2, y = box.y + box.height / 2
            circle.scrollIntoView({block: "center"})
            const now = circle.getBoundingClientRect()
            const hit = document.elementFromPoint(now.x + now.width / 2, now.y + now.height / 2)
            return hit && hit.querySelector("title") && hit.querySelector("title").textContent
        })"""
    )
    expected = f"injected current: {row.current_nA:.4g} nA\nfiring rate: {row.rate_Hz:.4g} Hz"
    assert any(text and expected in text for text in told), told


def test_the_figure_opens_in_full_size_and_closes(page):
    natural = page.evaluate("document.querySelector('img').naturalWidth")
    page.click(".open")
    assert page.evaluate("document.querySelector('img').clientWidth") == natural
    page.click(".close")
    assert page.evaluate("document.querySelector('img').clientWidth") < natural


def test_nothing_is_asked_of_a_network_and_all_links_are_there(page, made):
    assert {url.partition(":")[0] for url in page.asked} <= {"file", "data"}
    assert len([url for url in page.asked if url.startswith("file")]) == 1
    links = page.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    files = {link for link in links if not link.startswith("#")}
    assert {"table.csv", "gains.csv", "figure.svg", "figure.png", "run.json"} <= files
    base = made[0].as_posix() + "/"
    assert all((made[0] / urljoin(base, name)).is_file() for name in files)


def test_headings_cells_and_the_figure_speak_to_a_screen_reader(page):
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert np.all(np.diff(levels) <= 1)
    assert levels.count(1) == 1
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.querySelectorAll('th:not([scope])').length") == 0
    assert page.evaluate("document.querySelectorAll('table:not(:has(caption))').length") == 0
    words = page.evaluate("document.querySelector('img').alt")
    assert "firing rate from 0 to" in words
    assert "gain from" in words
