"""Fluorescent sensors on a population: what photometry would see of a concentration."""

from __future__ import annotations

from typing import Any

from brian2 import Quantity, umolar

from neuromod.errors import UserError, unknown
from neuromod.experiment import Input, Population
from neuromod.models.own_equations import read_equations
from neuromod.models.sensor import Sensor


def observed(population: Population, sensor: Sensor) -> Input:
    """A sensor on every cell, settled in the bath that the cells lie in.

    It reads the concentration and changes nothing: ``dff_SENSOR`` is there to be traced.

    Parameters
    ----------
    population : Population
        Its model binds the sensor's ligand, or has it as a variable.
    sensor : Sensor

    Raises
    ------
    UserError
        When nothing delivers the ligand to the population, or a name of the sensor's variables is
        taken.
    """
    _check_ligand(population, sensor)
    names = {*read_equations(sensor.equations).names, *sensor.constants}
    taken = names & {*read_equations(population.equations).names, *population.constants}
    if taken:
        raise UserError(
            f"{population.name} has {min(taken)} already: give the sensor {sensor.name} another "
            "name."
        )
    values = sensor.steady(_level(population, sensor.ligand)) | sensor.constants
    return Input(population.name, values, sensor.equations)


def _check_ligand(population: Population, sensor: Sensor) -> None:
    present = {*population.inputs, *read_equations(population.equations).names}
    ligands = [name.removeprefix("conc_") for name in present if name.startswith("conc_")]
    if sensor.ligand not in ligands:
        raise unknown(f"ligand of {population.name}", sensor.ligand, ligands)


def _level(population: Population, ligand: str) -> Quantity:
    """Concentration at the start, shape () or (n,)."""
    name = f"conc_{ligand}"
    given: dict[str, Any] = {**population.model.start, **population.values}
    if name in population.inputs:
        return population.own(name)
    return given.get(name, 0 * umolar)
