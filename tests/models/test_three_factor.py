from functools import cache

import numpy as np
import pytest
from brian2 import Hz, ms, second, um, umolar

from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.inputs.modulators import volume
from neuromod.models.postsynaptic import LIGAND
from neuromod.models.three_factor import PlasticLIF, ThreeFactor

DT, STEP = 1 * ms, 1e-3
RULES = [
    (rule, gate)
    for rule in ("oja", "bcm", "stdp")
    for gate in ("none", "direct", "eligibility")
    if rule != "stdp" or gate == "eligibility"
]
STEPS, INPUTS, CELLS, RELEASING = 300, 20, 7, 3
TAU = {"m": 0.017, "x": 0.023, "y": 0.031, "theta": 0.37, "e": 0.11, "clear": 0.19}
ETA, TARGET, BOUND, A_PLUS, A_MINUS, AMOUNT = 7.3, 0.83, 0.71, 0.9, 1.3, 0.37
_draw = np.random.default_rng(20261121)
INPUT = _draw.uniform(size=(STEPS, INPUTS)) < 0.06
RELEASE = _draw.uniform(size=(STEPS, RELEASING)) < 0.03
W, ALPHA = _draw.uniform(0, 0.3, (INPUTS, CELLS)), _draw.normal(0, 0.5, (INPUTS, CELLS))
TONIC, SENSITIVITY = _draw.normal(size=CELLS), _draw.normal(size=CELLS)


def played(name, spikes):
    step, neuron = np.nonzero(spikes)
    return Spikes(name, spikes.shape[1], neuron, step * DT)


def pairs(n, m):
    return (side.ravel() for side in np.indices((n, m)))


def neuron(**values):
    times = {f"tau_{name}": TAU[name] * second for name in ("m", "y", "theta", "clear")}
    return PlasticLIF(**{**times, "y_target": TARGET, **values})


def synapse(rule, gate, **values):
    times = {f"tau_{name}": TAU[name] * second for name in ("x", "e")}
    chosen = {"eta": ETA * Hz, "bound": BOUND, "A_plus": A_PLUS, "A_minus": A_MINUS}
    return ThreeFactor(rule=rule, gate=gate, **{**times, **chosen, **values})


@cache
def simulated():
    """The same random input to cells with every rule and gate, side by side in one population."""
    size, copies = CELLS * len(RULES), np.arange(len(RULES))[:, None] * CELLS
    values = {
        "tonic": np.tile(TONIC, len(RULES)),
        "sensitivity": np.tile(SENSITIVITY, len(RULES)) / umolar,
    }
    cells = Population("cells", neuron(), size, values)
    i, j = pairs(RELEASING, size)
    amount = AMOUNT * umolar
    release = Connection("releasing", "cells", f"conc_{LIGAND}", i=i, j=j, weight=amount)
    i, j = pairs(INPUTS, CELLS)
    weights = {"w": W.ravel(), "alpha": ALPHA.ravel()}
    plastic = tuple(
        PlasticConnection(
            f"{rule}_{gate}",
            "inputs",
            "cells",
            synapse(rule, gate),
            i=i,
            j=j + first,
            values=weights,
        )
        for (rule, gate), first in zip(RULES, copies[:, 0], strict=True)
    )
    sources = (played("inputs", INPUT), played("releasing", RELEASE))
    return simulate(
        Experiment(
            populations=[cells],
            sources=sources,
            connections=[release],
            plastic=plastic,
            duration=STEPS * DT,
            dt=DT,
        )
    )


def by_hand(rule, gate):
    """The model's five lines of a time step, one after the other."""
    kept = {name: np.exp(-STEP / tau) for name, tau in TAU.items()}
    v, y, conc = np.zeros((3, CELLS))
    theta, x = np.full(CELLS, TARGET), np.zeros((INPUTS, 1))
    E, tag = np.zeros((2, INPUTS, CELLS))
    arriving, released, fired = np.zeros((INPUTS, 1)), 0.0, np.zeros(CELLS)
    spikes = []
    for now, releases in zip(INPUT, RELEASE, strict=True):
        change = {"oja": x * y - y**2 * E, "bcm": x * y * (y - theta), "stdp": 0 * E}[rule]
        M = 1 if gate == "none" else TONIC + SENSITIVITY * conc
        grown = E + STEP * ETA * M * (tag if gate == "eligibility" else change)
        tag = tag * kept["e"] + STEP * change / TAU["e"]
        E, x = np.clip(grown, -BOUND, BOUND), x * kept["x"]

        v = v + ((W + ALPHA * E) * arriving).sum(axis=0)
        x, conc = x + arriving, conc + AMOUNT * released
        if rule == "stdp":
            tag = tag - A_MINUS * y * arriving + A_PLUS * x * fired

        theta = theta * kept["theta"] + (1 - kept["theta"]) * y**2 / TARGET
        v, y, conc = v * kept["m"], y * kept["y"], conc * kept["clear"]

        fired = (v > 1).astype(float)
        v, y = v * (1 - fired), y + fired
        spikes.append(fired)
        arriving, released = now[:, None].astype(float), releases.sum()
    return E.ravel(), np.array(spikes)


@pytest.mark.parametrize(("rule", "gate"), RULES)
def test_a_network_fires_and_changes_as_a_loop_by_hand(rule, gate):
    plastic, spikes = by_hand(rule, gate)
    recorded, first = simulated().spikes["cells"], RULES.index((rule, gate)) * CELLS
    fired = np.zeros((STEPS, CELLS * len(RULES)))
    fired[np.round(np.asarray(recorded.times / DT)).astype(int), recorded.neurons] = 1
    assert spikes.sum() > 100
    np.testing.assert_array_equal(fired[:, first : first + CELLS], spikes)
    found = simulated().totals[f"{rule}_{gate}"]["E"]
    assert np.abs(plastic).max() > 0.01
    np.testing.assert_allclose(found, plastic, atol=1e-12)


def test_plastic_traces_reach_their_bound_and_never_pass_it():
    highest = [np.abs(totals["E"]).max() for totals in simulated().totals.values() if totals]
    assert max(highest) == BOUND


PERIOD, LAG, SLOW = 13, 4, 0.05


@cache
def regular():
    """An input and a cell that fires 4 steps later, both every 13 steps, for each of two rules."""
    steps, one = 5200, np.zeros(1, int)
    at = np.arange(3, steps, PERIOD)
    sources = tuple(
        Spikes(name, 1, np.zeros(len(at), int), (at + later) * DT)
        for name, later in {"inputs": 0, "driving": LAG - 1}.items()
    )
    cells = Population("cells", neuron(), 1)
    kick = Connection("driving", "cells", "v", i=one, j=one, weight=2.0)
    still = {"w": 0.0, "alpha": 0.0}
    plastic = tuple(
        PlasticConnection(
            rule,
            "inputs",
            "cells",
            synapse(rule, "none", eta=eta * Hz, bound=9.0),
            i=one,
            j=one,
            values=still,
        )
        for rule, eta in (("oja", ETA), ("bcm", SLOW))
    )
    traces = (Trace("oja", ("E",), one), Trace("bcm", ("E",), one), Trace("cells", ("theta",), one))
    return simulate(
        Experiment(
            populations=[cells],
            sources=sources,
            connections=[kick],
            plastic=plastic,
            traces=traces,
            duration=steps * DT,
            dt=DT,
        )
    ).signals


def periodic():
    """Traces x and y over a period, as the rule sees them: sums of exponentials over all spikes."""
    kx, ky = np.exp(-STEP / TAU["x"]), np.exp(-STEP / TAU["y"])
    # An input's spike is seen by the rule two steps on, a cell's one step on.
    since_x, since_y = (np.arange(PERIOD) - 2) % PERIOD, (np.arange(PERIOD) - LAG - 1) % PERIOD
    return kx**since_x / (1 - kx**PERIOD), ky**since_y / (1 - ky**PERIOD)


def test_ojas_trace_settles_at_the_regression_of_input_on_output():
    """Where nothing changes over a period: E = <x y>/<y^2>, up to its ripple."""
    x, y = periodic()
    settled = regular()["oja"]["E"].values[0, -PERIOD:].mean()
    assert settled == pytest.approx((x * y).mean() / (y**2).mean(), rel=0.01)


def test_bcms_threshold_settles_at_the_mean_square_of_the_trace_over_its_target():
    settled = regular()["cells"]["theta"].values[0, -PERIOD:].mean()
    assert settled == pytest.approx((periodic()[1] ** 2).mean() / TARGET, rel=1e-4)


def test_bcms_trace_changes_by_the_mean_of_its_product_once_the_threshold_has_settled():
    x, y = periodic()
    theta, plastic = (regular()[n][v].values[0] for n, v in (("cells", "theta"), ("bcm", "E")))
    changed = plastic[-1] - plastic[-1 - PERIOD]
    expected = SLOW * PERIOD * STEP * (x * y * (y - theta[-PERIOD:].mean())).mean()
    assert changed == pytest.approx(expected, rel=0.02)


LAGS = np.array([-41, -7, -1, 1, 6, 19, 83])
DELAYS = np.array([90, 340, 1900])
FAR = np.array([0.0, 21.0, 47.0])


@cache
def rewarded():
    """One pair of spikes at every synapse, then one release: lags by delays by distances."""
    lag, delay, far = (part.ravel() for part in np.meshgrid(LAGS, DELAYS, FAR, indexing="ij"))
    size, pair, steps = len(lag), 50, 4000
    everyone = np.arange(size)
    order = np.argsort(pair - np.minimum(lag, 0), kind="stable")
    first = pair - np.minimum(lag, 0)
    inputs = Spikes("inputs", size, everyone[order], first[order] * DT)
    at = first + lag - 1
    order = np.argsort(at, kind="stable")
    driving = Spikes("driving", size, everyone[order], at[order] * DT)
    released = pair + np.abs(lag) + delay
    order = np.argsort(released, kind="stable")
    releasing = Spikes("releasing", size, everyone[order], released[order] * DT)
    cells = Population("cells", neuron(), size)
    kick = Connection("driving", "cells", "v", i=everyone, j=everyone, weight=2.0)
    # Every cell has a site of its own, a metre from the next.
    apart = np.column_stack([everyone * 1e6, 0 * far]) * um
    at_cells = apart + np.column_stack([0 * far, far]) * um
    delivery = volume(
        LIGAND, cells, "releasing", apart, at_cells, AMOUNT * umolar, 30 * um, TAU["clear"] * second
    )
    synapses = PlasticConnection(
        "synapses",
        "inputs",
        "cells",
        synapse("stdp", "eligibility"),
        i=everyone,
        j=everyone,
        values={"w": 0.0, "alpha": 0.0},
    )
    recording = simulate(
        Experiment(
            populations=[cells],
            sources=[inputs, driving, releasing],
            connections=[kick],
            plastic=[synapses],
            duration=steps * DT,
            dt=DT,
        ).add(delivery)
    )
    assert (recording.spikes["cells"].counts() == 1).all()
    return lag, delay, far, np.asarray(recording.totals["synapses"]["E"])


def test_credit_is_the_pairs_eligibility_times_the_integral_of_the_modulator_over_it():
    """E = eta A exp(-|lag|/tau) conc exp(-delay/tau_e) / (1/tau_e + 1/tau_clear)."""
    lag, delay, far, credit = rewarded()
    window = np.where(
        lag > 0, A_PLUS * np.exp(-lag * STEP / TAU["x"]), -A_MINUS * np.exp(lag * STEP / TAU["y"])
    )
    conc = AMOUNT * np.exp(-far / 30)
    left = 4000 - 50 - np.abs(lag) - delay
    both = 1 / (1 / TAU["e"] + 1 / TAU["clear"])
    integral = both * (1 - np.exp(-left * STEP / both)) * np.exp(-delay * STEP / TAU["e"])
    expected = ETA * window * conc * integral
    # A sum over steps instead of an integral: half a step of the faster decay, 1 % here.
    np.testing.assert_allclose(credit, expected, rtol=0.02)
    ours = synapse("stdp", "eligibility").credit(neuron(), lag * DT, delay * DT, conc * umolar)
    # All of the integral, where the run has 7 time constants or more.
    np.testing.assert_allclose(ours, expected, rtol=1e-3)
    assert (np.sign(credit) == np.sign(lag)).all()


def test_credit_falls_with_distance_from_the_release_exactly_as_the_concentration():
    _, _, far, credit = rewarded()
    near = credit[far == 0]
    for distance in FAR[1:]:
        np.testing.assert_allclose(
            credit[far == distance], near * np.exp(-distance / 30), rtol=1e-9
        )


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: ThreeFactor(rule="stdp", gate="direct"), "gate must be 'eligibility'"),
        (lambda: ThreeFactor(rule="hebb"), "no rule named|hebb"),
        (lambda: ThreeFactor(tau_x=0 * ms), "tau_x"),
        (lambda: PlasticLIF(tau_y=-3 * ms), "tau_y"),
        (lambda: PlasticLIF(sensitivity=1.0), "sensitivity"),
    ],
)
def test_a_model_that_cannot_be_is_refused(made, message):
    with pytest.raises(UserError, match=message):
        made()
