"""The explorer's page, in a browser, shows what the package computes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from brian2 import Hz, amp, mV, nA, second, umolar, usecond, volt

from neuromod import Population, Spikes, Trace, simulate
from neuromod.analysis.spike_trains import coincidence_factor, rmse
from neuromod.chip.conversion import gain_of, reachable_gains, vdd_of
from neuromod.chip.twins import twins
from neuromod.models import GainLIF, circuits, library
from neuromod.parameters import check_range
from neuromod.protocols import BioVsCircuit
from neuromod.runs import registry

DOCS = Path(__file__).parents[1] / "docs"
FRAGMENT = DOCS / "explorer" / "explorer.html"
CLOSE = 1e-9
"""Relative."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files() -> Iterator[Any]:
    """The module that writes what the page loads."""
    sys.path.insert(0, str(DOCS))
    yield pytest.importorskip("explorer_files")
    sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def address(files, tmp_path_factory) -> str:
    """The page on the disk, without the site around it."""
    folder = tmp_path_factory.mktemp("explorer")
    files.write_explorer(folder)
    page = folder / "index.html"
    page.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Explorer</title>'
        '<meta name="viewport" content="width=device-width"><body data-theme="auto">'
        f"{FRAGMENT.read_text(encoding='utf-8')}</body></html>",
        encoding="utf-8",
    )
    return page.as_uri()


class Explorer:
    """The page, as a reader and a test see it."""

    def __init__(self, browser: Any, address: str, width: int = 1200) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.address = address
        self.page.goto(address)

    def show(self, state: dict[str, Any]) -> None:
        self.page.evaluate(
            "to => new Promise(shown => {"
            " addEventListener('hashchange', shown, {once: true}); location.hash = to; })",
            urlencode(state),
        )

    def numbers(self) -> dict[str, float]:
        """All numbers, in the units in which they are shown."""
        return self.page.evaluate(
            "() => Object.fromEntries([...document.querySelectorAll('[data-number]')]"
            ".map(each => [each.dataset.number, Number(each.value)]))"
        )

    def told(self, remark: str) -> str:
        return self.page.inner_text(f'[data-remark="{remark}"]')

    def python(self) -> str:
        return self.page.text_content("[data-python]")

    def membranes(self, gain: float, vdd: float, state: dict[str, Any], share: float = 1) -> Any:
        """Spikes, s, and samples at time steps, in shares of the swing, in a share of the time."""
        return self.page.evaluate(
            """([gain, vdd, circuit, codes, share]) => {
                const {comparison} = DATA, chip = DATA.circuits[circuit];
                const {dt, duration, time_scale} = comparison, input = {...comparison, codes};
                const count = Math.round(share*duration/dt);
                const sides = [
                    [ClosedForms.cellMembrane(comparison.cell, chip, input, gain), comparison.cell,
                     dt*time_scale],
                    [ClosedForms.circuitMembrane(chip, input, vdd), chip, dt]];
                return sides.map(([side, model, step]) => ({
                    spikes: side.spikes,
                    shares: [...ClosedForms.shares(side, model, step, count)]}));
            }""",
            [gain, vdd, state["circuit"], state["codes"], share],
        )


@pytest.fixture(scope="module")
def explorer(browser, address) -> Explorer:
    return Explorer(browser, address)


def states(count: int) -> list[dict[str, Any]]:
    """States of the page off round numbers, some with a supply of their own."""
    draw = np.random.default_rng(20)
    drawn = []
    for k in range(count):
        name = list(library)[k % len(library)]
        circuit = list(circuits)[k % len(circuits)]
        ends = circuits[circuit].vdd_low, circuits[circuit].vdd_high
        state = {
            "receptor": name,
            "conc": 10 ** draw.uniform(-4, 2),
            "gain_max": draw.uniform(0, 5),
            "k_off": 10 ** draw.uniform(-2, 2),
            "n": draw.uniform(0.5, 6),
            "K": draw.uniform(0.05, 2),
            "trained_gain": draw.uniform(0.1, 3),
            "I": draw.uniform(0.1, 1.5),
            "circuit": circuit,
            "vdd": "follow" if k % 3 else draw.uniform(*(float(end / volt) for end in ends)),
            "time": draw.uniform(0, 40),
            "codes": ",".join(map(str, draw.integers(-7, 8, 4))),
        }
        drawn.append({key: repr(v) if isinstance(v, float) else v for key, v in state.items()})
    return drawn


def expected(state: dict[str, Any]) -> dict[str, float]:
    """What the package says of a state, in the units of the page."""
    own = {name: float(state[name]) for name in ("gain_max", "n", "K")}
    receptor = replace(library[state["receptor"]], k_off=float(state["k_off"]) / second, **own)
    conc, current = float(state["conc"]) * umolar, float(state["I"]) * nA
    trained, gain = float(state["trained_gain"]), float(receptor.gain(conc))
    cell, circuit = GainLIF(receptors=(receptor,)), circuits[state["circuit"]]
    other = replace(circuit, law="ekv" if circuit.law == "square" else "square")
    low, high = reachable_gains(circuit)
    if state["vdd"] == "follow":
        wanted = vdd_of(circuit, np.clip(trained * gain, low, high))
        vdd = np.clip(wanted, circuit.vdd_low, circuit.vdd_high)
    else:
        vdd = float(state["vdd"]) * volt
    unit = circuit.unit_current(vdd)
    return {
        "occupancy": float(receptor.occupancy(conc)),
        "activation": float(receptor.activation(conc)),
        "K_D": float(receptor.k_off / receptor.k_on / umolar),
        "ec50": float(receptor.ec50 / umolar),
        "hill_slope": receptor.hill_slope,
        "receptor_gain": gain,
        "trained_gain": trained,
        "gain": trained * gain,
        "rheobase": float((cell.v_th - cell.v_rest) / cell.R / (trained * gain) / nA),
        "rate": float(cell.rate(current, trained * gain)[0] / Hz),
        "control_rate": float(cell.rate(current)[0] / Hz),
        "vdd": float(vdd / volt),
        "chip_gain": float(gain_of(circuit, vdd)),
        "unit_current": float(unit / nA),
        "other_current": float(other.unit_current(vdd) / nA),
        "sensitivity": float(circuit.transconductance(vdd) / unit * mV) * 100,
        "step": float(circuit.step(vdd) / mV),
    }


STATES = states(30)


def test_every_number_is_the_package_s_at_random_points(explorer):
    for state in STATES:
        explorer.show(state)
        shown = explorer.numbers()
        for name, value in expected(state).items():
            assert shown[name] == pytest.approx(value, rel=CLOSE, abs=1e-14), (name, state)
    assert not explorer.told("address")


def test_numbers_of_spikes_are_those_of_the_package_s_measures(explorer):
    comparison = BioVsCircuit()
    duration = 1000 * float(comparison.duration / second)
    window = float(comparison.window / second)
    for state in STATES[::6]:
        # At the start of a time step, where samples are.
        k = round(100 * float(state["time"]))
        explorer.show(state | {"time": repr(k / 100)})
        shown, codes = explorer.numbers(), [int(code) for code in state["codes"].split(",")]
        cell, chip = explorer.membranes(shown["gain"], shown["vdd"], state | {"codes": codes})
        a, b = np.array(cell["shares"]), np.array(chip["shares"])
        trains = np.array(cell["spikes"]), 1000 * np.array(chip["spikes"])
        sides = ("cell", comparison.bio, a[k]), ("chip", circuits[state["circuit"]], b[k])
        for side, model, share in sides:
            v = model.v_rest + share * (model.v_th - model.v_rest)
            assert shown[f"v_{side}"] == pytest.approx(float(v / mV), rel=CLOSE), side
        assert shown["cell_spikes"] == len(trains[0])
        assert shown["chip_spikes"] == len(trains[1])
        measured = coincidence_factor(*trains, window, duration)
        assert shown["coincidence_factor"] == pytest.approx(measured, rel=CLOSE, nan_ok=True)
        assert shown["rmse"] == pytest.approx(rmse(a, b, (a < 1) & (b < 1)), rel=CLOSE, nan_ok=True)


@pytest.fixture(scope="module")
def simulated() -> dict[str, Any]:
    """Brian2's neurons of many gains and supplies, under the first input spikes of the page."""
    comparison, many = BioVsCircuit(), 24
    draw = np.random.default_rng(21)
    gain, vdd = draw.uniform(0.2, 2.6, many), draw.uniform(0.5, 1, many)
    every, duration = comparison.random_inputs(comparison.duration), 40 * usecond
    early = every.times < duration
    inputs = Spikes(every.name, every.size, every.neurons[early], every.times[early])
    cells = Population("cell", comparison.bio, many, {"trained_gain": gain})
    chips = Population("chip", comparison.circuit, many, {"vdd": vdd * volt})
    traces = [Trace("cell", "v", np.arange(many)), Trace("chip", "v", np.arange(many))]
    given = cells, chips, inputs, comparison.codes, comparison.unit, traces, duration, comparison.dt
    sides = {side: simulate(each, "cython") for side, each in twins(*given, seed=0).items()}
    return {"comparison": comparison, "gain": gain, "vdd": vdd, **sides}


def traced(recording: Any, name: str, model: Any) -> np.ndarray:
    v = recording.signals[name]["v"].values
    return np.asarray((v - model.v_rest) / (model.v_th - model.v_rest))


def test_membrane_of_the_chip_is_brian2_s_a_time_step_earlier(explorer, simulated):
    comparison = simulated["comparison"]
    default = {"circuit": "calibrated", "codes": comparison.codes}
    v, dt = traced(simulated["circuit"], "chip", comparison.circuit), float(comparison.dt)
    trains = simulated["circuit"].spike_trains("chip")
    fired = 0
    for k, vdd in enumerate(simulated["vdd"]):
        chip = explorer.membranes(1, vdd, default, 0.2)[1]
        # An input acts in the step after its own.
        ours = np.array(chip["shares"])[: v.shape[1] - 1]
        np.testing.assert_allclose(ours, v[k, 1:], rtol=CLOSE, atol=CLOSE)
        times = np.array(chip["spikes"])
        steps = np.round(trains[k].magnitude / dt) - 1
        early = times[times < (v.shape[1] - 1.5) * dt]
        np.testing.assert_array_equal(np.round(early / dt), steps)
        fired += len(steps)
    assert fired > 100


def test_membrane_of_the_cell_is_brian2_s_within_its_time_step(explorer, simulated):
    comparison = simulated["comparison"]
    default = {"circuit": "calibrated", "codes": comparison.codes}
    v, dt = traced(simulated["bio"], "cell", comparison.bio), 1000 * float(comparison.dt)
    trains = simulated["bio"].spike_trains("cell")
    same, fired = 0, 0
    for k, gain in enumerate(simulated["gain"]):
        cell = explorer.membranes(gain, 0.75, default, 0.2)[0]
        ours, times = np.array(cell["shares"]), np.array(cell["spikes"])
        times = times[times < (v.shape[1] - 2) * dt]
        theirs = trains[k].magnitude
        # Up to the first spike both are exact; from there on a crossing is a step's matter.
        first = int(min([*(times / dt), v.shape[1] - 2]))
        np.testing.assert_allclose(ours[:first], v[k, 1 : first + 1], rtol=CLOSE, atol=CLOSE)
        if len(times):
            assert -1e-9 <= theirs[0] - times[0] < dt * (1 + 1e-6)
        if len(times) == len(theirs):
            same, fired = same + 1, fired + len(times)
            assert np.abs(times - theirs).max(initial=0) < 2.01 * dt
    assert same >= len(trains) - 2
    assert fired > 100


@pytest.mark.parametrize("number", [0, 4, 13])
def test_copied_python_gives_the_numbers_that_are_shown(explorer, number):
    explorer.show(STATES[number])
    shown, script = explorer.numbers(), explorer.python()
    space: dict[str, Any] = {}
    exec(script.partition("\ncomparison = ")[0], space)
    told = {
        "gain": space["gain"],
        "rate": space["rate"][0] / Hz,
        "ec50": space["receptor"].ec50 / umolar,
        "hill_slope": space["receptor"].hill_slope,
        "vdd": space["vdd"] / volt,
        "chip_gain": gain_of(space["circuit"], space["vdd"]),
        "unit_current": space["circuit"].unit_current(space["vdd"]) / nA,
    }
    for name, value in told.items():
        assert shown[name] == pytest.approx(float(value), rel=CLOSE, abs=1e-14), name


def test_copied_python_runs_the_comparison_that_is_shown(explorer):
    explorer.show({"trained_gain": "0.9371", "codes": "4,2,1,-3"})
    shown, space = explorer.numbers(), {}
    exec(explorer.python(), space)
    assert space["comparison"].codes == (4, 2, 1, -3)
    assert len(space["chip_spikes"]) == shown["chip_spikes"] > 10
    # Of a cell that barely reaches its threshold, time steps decide.
    assert abs(len(space["cell_spikes"]) - shown["cell_spikes"]) <= 1


def test_the_page_asks_for_files_alone_and_has_no_complaints(browser, address):
    page = Explorer(browser, address)
    page.show(STATES[1])
    assert len(page.requests) >= 4
    assert all(url.startswith("file://") for url in page.requests)
    assert not page.problems


def test_every_slider_moves_by_keyboard_and_changes_what_is_drawn(browser, address):
    explorer = Explorer(browser, address)
    page = explorer.page
    sliders = page.query_selector_all("input[type=range]")
    assert len(sliders) == 13
    for slider in sliders:
        name = slider.get_attribute("id")
        assert page.query_selector(f'label[for="{name}"]').inner_text().strip()
        drawn = "() => [...document.querySelectorAll('svg')].map(s => s.innerHTML).join()"
        before, link = page.evaluate(drawn), page.url
        slider.focus()
        for _ in range(5):
            page.keyboard.press("ArrowLeft")
        assert page.evaluate(drawn) != before, name
        assert page.url != link, name
    # That of VDD has taken it from the gain.
    assert not page.is_checked("#explorer-follow")


def test_an_address_brings_a_view_back(browser, address, explorer):
    explorer.show(STATES[5])
    shown = explorer.numbers()
    typed = explorer.page.locator("[aria-label^='concentration']")
    # The address after a change that changes nothing.
    typed.fill(typed.input_value())
    again = Explorer(browser, explorer.page.url)
    for name, value in again.numbers().items():
        assert value == pytest.approx(shown[name], rel=1e-9, nan_ok=True), name
    again.page.click("[data-action=reset]")
    fresh = Explorer(browser, address)
    assert again.numbers() == fresh.numbers()
    assert again.page.url == fresh.page.url


def test_what_an_address_gets_wrong_is_told_and_not_shown(explorer):
    explorer.show({"conc": "1e9", "receptor": "D9", "codes": "1,2", "gane": "2", "n": "3.1"})
    told = explorer.told("address")
    for words in ("conc=1e9 is out of range: 0, or 0.0001 to 100 µM", "D9", "codes=1,2", "no gane"):
        assert words in told
    assert explorer.page.input_value("#explorer-n") == "3.1"


def test_a_gain_beyond_the_supply_is_told(explorer):
    explorer.show({"trained_gain": "3"})
    low, high = reachable_gains(circuits["calibrated"])
    assert f"{low:.4g} to {high:.4g}" in explorer.told("reach")
    assert explorer.numbers()["vdd"] == 1


CURVES = {
    "dose": lambda x: library["generic"].gain(x * umolar),
    "rate": lambda x: GainLIF().rate(x * nA, float(library["generic"].gain(0.5 * umolar))) / Hz,
    "mirror": lambda x: circuits["calibrated"].unit_current(x * volt) / (1e-9 * amp),
}


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_drawn_where_their_axes_say(browser, address, name):
    page = Explorer(browser, address).page
    chart = f'[data-chart="{name}"]'
    ticks = page.evaluate(
        f"""() => ["x", "y"].map(axis =>
            [...document.querySelectorAll('{chart} text[data-' + axis + ']')].map(tick => {{
                const at = tick.getAttribute(axis);
                return [Number(tick.dataset[axis]), Number(at) - (axis === "y" ? 4 : 0)];
            }}))"""
    )
    path = page.get_attribute(f"{chart} .line:not(.control)", "d")
    points = np.array([pair.split(",") for pair in path[1:].split("L")], dtype=float)
    (x, x_at), (y, y_at) = (np.array(axis).T for axis in ticks)
    if name == "dose":
        drawn_x = 10 ** np.polyval(np.polyfit(x_at, np.log10(x), 1), points[:, 0])
    else:
        drawn_x = np.polyval(np.polyfit(x_at, x, 1), points[:, 0])
    wanted = np.polyval(np.polyfit(y, y_at, 1), np.asarray(CURVES[name](drawn_x)))
    # At rheobase the f-I curve is upright: there a hundredth of a pixel across is many up.
    off = np.abs(wanted - points[:, 1])
    assert np.sort(off)[: -8 if name == "rate" else None].max() < 0.5
    dot = page.locator(f"{chart} .dot").first
    at = np.array([float(dot.get_attribute(each)) for each in ("cx", "cy")])
    assert np.abs(points - at).sum(axis=1).min() < 8


def test_nothing_is_wider_than_a_telephone(browser, address):
    page = Explorer(browser, address, width=400).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    inside = page.evaluate(
        "() => [...document.querySelectorAll('.explorer .card, .explorer svg, .explorer input')]"
        ".every(each => each.getBoundingClientRect().right <= 400)"
    )
    assert inside


def test_sliders_have_room_for_every_receptor_and_stay_in_physical_ranges(files):
    for slider in files.sliders():
        for end in (slider.low, slider.high, slider.start):
            check_range(slider.name, end * slider.unit, slider.about)
    for name, receptor in files.data()["receptors"].items():
        for slider in files.sliders():
            if slider.name in receptor["sliders"]:
                value = receptor["sliders"][slider.name]
                assert slider.low <= value <= slider.high, (name, slider.name)


def test_links_of_the_page_lead_somewhere():
    links = re.findall(r'href="\.\./([\w/-]+)\.html#?([\w-]*)"', FRAGMENT.read_text("utf-8"))
    assert len(links) >= 4
    for page, anchor in links:
        if page.startswith("reference/protocols/"):
            assert Path(page).name in registry.names("protocol")
            continue
        text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
        headings = [h.lower().replace(" ", "-") for h in re.findall(r"(?m)^#+ (.+)", text)]
        assert anchor in headings, (page, anchor)
