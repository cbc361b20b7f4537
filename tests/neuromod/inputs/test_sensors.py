from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from brian2 import ms, nA, second, umolar
from scipy.integrate import solve_ivp

from neuromod.devices.genn.limits import refuse
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Trace
from neuromod.inputs.modulators import bath, exchanged, puffs
from neuromod.inputs.sensors import observed
from neuromod.models import GainLIF, Receptor, Sensor, library, sensors

PER = 1 / (umolar * second)
DT = 0.5 * ms
QUICK = Sensor(name="quick", ligand="dopamine", k_on=2.7 * PER, k_off=1.9 / second, dF_max=2.3)
SLOW = replace(QUICK, name="slow", tau_light=83 * ms)
CONC = np.array([0.23, 1.7, 31])


def cells(**values):
    return Population("cells", GainLIF(receptors=(library.D1,)), 3, {"I_ext": 0.9 * nA} | values)


def experiment(population, *inputs, duration=0.8 * second, traced=("dff_quick", "dff_slow")):
    return Experiment(
        populations=[population],
        traces=[Trace("cells", traced, range(3))],
        duration=duration,
        dt=DT,
    ).add(*inputs)


def wearing(population, *worn):
    return population.given(*(observed(population, sensor) for sensor in worn))


@cache
def stepped(device):
    # The cells lie in the bath from the start, and the sensors are dark.
    population = cells(conc_dopamine=CONC * umolar)
    dark = [replace(observed(population, s), values=s.constants) for s in (QUICK, SLOW)]
    signals = simulate(experiment(population.given(*dark)), device).signals["cells"]
    return {name: np.asarray(signals[name].values) for name in ("dff_quick", "dff_slow")}


@pytest.mark.parametrize("cell", range(3))
def test_a_step_of_concentration_is_approached_at_the_sum_of_both_rates(cell):
    rate = 2.7 * CONC[cell] + 1.9
    times = np.arange(1600) * 0.5e-3
    share = CONC[cell] / (CONC[cell] + 1.9 / 2.7)
    bound = share * (1 - np.exp(-rate * times))
    # Trapezoidal steps are off by (rate*dt)^2/12 of what is on its way.
    found = stepped("cython")
    np.testing.assert_allclose(found["dff_quick"][cell], 2.3 * bound, atol=2.3 * 2e-4)
    slow, fast = np.exp(-times / 0.083), np.exp(-rate * times)
    lagging = share * (1 - (rate * slow - fast / 0.083) / (rate - 1 / 0.083))
    np.testing.assert_allclose(found["dff_slow"][cell], 2.3 * lagging, atol=2.3 * 2e-4)


@pytest.mark.thorough
def test_compiled_programs_give_the_same_brightness():
    for name, values in stepped("cpp").items():
        np.testing.assert_allclose(values, stepped("cython")[name], rtol=1e-9, atol=1e-12)


def test_in_a_bath_the_sensor_has_settled():
    population = cells()
    population = population.given(bath(population, {"dopamine": CONC * umolar}))
    signals = simulate(experiment(wearing(population, QUICK, SLOW)))
    for sensor in (QUICK, SLOW):
        dff = np.asarray(signals.signals["cells"][f"dff_{sensor.name}"].values)
        expected = np.tile(sensor.dff(CONC * umolar), (dff.shape[1], 1)).T
        np.testing.assert_allclose(dff, expected, rtol=1e-12)


@cache
def puffed(seen):
    population = wearing(cells(), QUICK, SLOW) if seen else cells()
    puff = puffs("dopamine", population, CONC * umolar, 100 * ms, 150 * ms, 60 * ms, DT)
    traced = ("dff_quick", "dff_slow", "gain") if seen else ("gain",)
    return simulate(experiment(population, puff, traced=traced))


def test_a_sensor_follows_a_puff_as_an_independent_integration_does():
    def slopes(time, state):
        level = exchanged([time] * second, 1 * umolar, [100 * ms], 150 * ms, 60 * ms) / umolar
        bound, light = state.reshape(2, 3)
        return np.ravel(
            [2.7 * CONC * float(level[0]) * (1 - bound) - 1.9 * bound, (bound - light) / 0.083]
        )

    at = np.arange(1600) * 0.5e-3
    solved = solve_ivp(slopes, (0, at[-1]), np.zeros(6), t_eval=at, rtol=1e-8, max_step=5e-3)
    found = puffed(True).signals["cells"]
    for name, states in (("dff_quick", solved.y[:3]), ("dff_slow", solved.y[3:])):
        np.testing.assert_allclose(np.asarray(found[name].values), 2.3 * states, atol=2.3 * 1e-3)


def test_a_sensor_changes_neither_spikes_nor_gain():
    seen, unseen = puffed(True), puffed(False)
    np.testing.assert_array_equal(seen.spikes["cells"].neurons, unseen.spikes["cells"].neurons)
    np.testing.assert_array_equal(seen.spikes["cells"].times, unseen.spikes["cells"].times)
    gains = [np.asarray(r.signals["cells"]["gain"].values) for r in (seen, unseen)]
    np.testing.assert_array_equal(*gains)
    assert seen.spikes["cells"].counts().min() > 5


def test_genn_has_nothing_against_sensors():
    population = wearing(cells(), QUICK, SLOW)
    puff = puffs("dopamine", population, 1 * umolar, 100 * ms, 150 * ms, 60 * ms, DT)
    refuse(experiment(population, puff))


def test_a_sensor_of_a_ligand_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="no ligand of cells named 'serotonin'; there are dopamine"):
        observed(cells(), sensors.GRAB_5HT1_0)


def test_a_sensor_that_would_take_a_receptor_s_names_is_refused():
    with pytest.raises(UserError, match=r"cells has k_o.*_D1 already: give the sensor D1 another"):
        observed(cells(), Sensor(name="D1", ligand="dopamine"))
    with pytest.raises(UserError, match="_quick already"):
        observed(wearing(cells(), QUICK), QUICK)


def test_one_population_carries_sensors_of_several_ligands():
    receptors = (library.D1, library.M1, Receptor(name="X", ligand="other"))
    population = Population("cells", GainLIF(receptors=receptors), 3)
    population = wearing(population, sensors.dLight1_2, sensors.GRAB_ACh3_0)
    traced = ("dff_dLight1_2", "dff_GRAB_ACh3_0")
    found = simulate(experiment(population, duration=5 * ms, traced=traced))
    assert not np.any(np.asarray(found.signals["cells"]["dff_GRAB_ACh3_0"].values))
