import numpy as np
import pytest
from brian2 import ms, second, umolar

from neuromod.errors import UserError
from neuromod.models import Sensor
from neuromod.models.sensor import rebased

PER = 1 / (umolar * second)
SLOW = Sensor(name="slow", k_on=2.7 * PER, k_off=0.31 / second, dF_max=2.3, tau_light=70 * ms)


@pytest.mark.parametrize("conc", [0, 0.013, 0.115, 4.3])
def test_the_steady_state_is_where_binding_and_unbinding_cancel(conc):
    steady = SLOW.steady(conc * umolar)
    assert 2.7 * conc * (1 - steady["bound_slow"]) == pytest.approx(0.31 * steady["bound_slow"])
    assert steady["light_slow"] == steady["bound_slow"]
    assert SLOW.dff(conc * umolar) == pytest.approx(2.3 * conc / (conc + 0.31 / 2.7))


def test_half_of_the_brightness_comes_at_the_affinity():
    assert SLOW.dff(SLOW.ec50) == pytest.approx(2.3 / 2)
    assert SLOW.dff(1e9 * umolar) == pytest.approx(2.3)


def test_a_baseline_with_ligand_dims_what_photometry_sees():
    low, high = 0.04, 0.9
    light = {c: 1 + 2.3 * c / (c + 0.31 / 2.7) for c in (low, high)}
    expected = light[high] / light[low] - 1
    assert SLOW.dff(high * umolar, low * umolar) == pytest.approx(expected)
    assert rebased(np.array(light[high] - 1), light[low] - 1) == pytest.approx(expected)


def test_without_a_lag_there_is_no_variable_for_it():
    quick = Sensor(name="quick")
    assert "light" not in quick.equations
    assert set(quick.steady(1 * umolar)) == {"bound_quick"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "dLight1.1"}, "name = 'dLight1.1' stands in the names of variables"),
        ({"name": "a_"}, "underscores between them"),
        ({"name": "a__b"}, "underscores between them"),
        ({"ligand": ""}, "ligand = ''"),
        ({"k_off": 0 / second}, "k_off"),
        ({"tau_light": -1 * ms}, "tau_light"),
        ({"dF_max": 0}, "dF_max"),
    ],
)
def test_what_no_sensor_can_be_is_refused(values, message):
    with pytest.raises(UserError, match=message):
        Sensor(**values)
