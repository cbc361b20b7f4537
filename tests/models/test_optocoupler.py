import numpy as np
import pytest
from brian2 import Gohm, Mohm, nsiemens, siemens, uA, uwatt

from neuromod.errors import UserError
from neuromod.models.optocoupler import Optocoupler

COUPLER = Optocoupler(R_lit=3.7 * Mohm, I_lit=7 * uA, gamma=0.73, R_dark=1.9 * Gohm)


def test_in_the_dark_the_photoresistor_has_its_dark_resistance():
    assert float(COUPLER.conductance(0 * uA) * 1.9 * Gohm) == pytest.approx(1)


def test_light_adds_a_power_of_the_diodes_current():
    dark = 1 / (1.9 * Gohm)
    lit = COUPLER.conductance([7, 14, 28] * uA) - dark
    np.testing.assert_allclose(lit * 3.7 * Mohm, 2.0 ** (0.73 * np.arange(3)))


def test_the_current_for_a_conductance_is_the_one_that_gave_it():
    current = [0, 0.03, 1.7, 41] * uA
    found = COUPLER.current_for(COUPLER.conductance(current))
    np.testing.assert_allclose(found / uA, current / uA, atol=1e-12)


def test_less_than_the_dark_conducts_is_refused():
    with pytest.raises(UserError, match="in the dark"):
        COUPLER.current_for([3, 0.5] * nsiemens)
    assert COUPLER.current_for(1 / (1.9 * Gohm)) / uA == 0
    with pytest.raises(UserError, match="R_dark"):
        Optocoupler(R_dark=0 * Gohm)


def test_the_diode_takes_its_voltage_times_its_current():
    assert float(COUPLER.power(7 * uA) / uwatt) == pytest.approx(12.6)
    assert COUPLER.conductance(7 * uA).dim == siemens.dim
