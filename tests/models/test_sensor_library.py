import pytest
from brian2 import second, umolar

from neuromod.models import library, sensors
from neuromod.parameters import parameters


@pytest.mark.parametrize("name", sensors)
def test_every_sensor_goes_by_its_own_name_and_gives_a_source_for_every_number(name):
    sensor = sensors[name]
    assert sensor.name == name
    assert getattr(sensors, name) is sensor
    own = {n: about.source for n, _, about in parameters(type(sensor))}
    for number in ("k_on", "k_off", "tau_light", "dF_max"):
        assert "et al. 20" in own[number] or "estimate" in own[number]


@pytest.mark.parametrize("name", sensors)
def test_every_sensor_has_a_ligand_that_a_receptor_binds(name):
    assert sensors[name].ligand in {receptor.ligand for receptor in library.values()}
    assert type(sensors[name]).__doc__.lower().startswith(sensors[name].ligand)


def test_the_table_tells_affinity_and_decay():
    sensor = sensors.GRAB_NE1m
    assert float(sensor.ec50 / umolar) == pytest.approx(0.93)
    assert float(1 / sensor.k_off / second) == pytest.approx(0.7)
