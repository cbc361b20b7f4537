"""Networks as a chip has them, no two devices of which are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from brian2 import Quantity, farad, ohm, second, volt

from neuromod.chip.conversion import Layer
from neuromod.chip.variation import Deviations, Mismatch, draw, effective_codes, neuron_values
from neuromod.errors import UserError
from neuromod.models.circuit import CircuitNeuron


def draw_layers(
    circuit: CircuitNeuron,
    layers: Sequence[Layer],
    mismatch: Mismatch,
    generator: np.random.Generator,
) -> list[Deviations]:
    """Mismatch of every layer's devices on one chip."""
    return [
        draw(circuit, mismatch, (len(layer.codes),), layer.codes.shape[1] + 1, generator)
        for layer in layers
    ]


def as_made(
    circuit: CircuitNeuron, layers: Sequence[Layer], deviations: Sequence[Deviations]
) -> list[Layer]:
    """A network whose neurons are updated once per image, with deviating devices.

    A synapse's code becomes the current that its transistors conduct at the supply of its group. A
    neuron's own capacitor, leak and threshold are, once from rest, one factor of what a unit of
    code does, and thus of its mirrors' scale. Wider spikes let through more in the next layer.

    Parameters
    ----------
    circuit : CircuitNeuron
    layers : sequence of Layer
        As designed, each code whole.
    deviations : sequence of Deviations
        From `draw_layers`, times any size.

    Returns
    -------
    list of Layer
        With real numbers for codes, and a scale for each neuron.

    Raises
    ------
    UserError
        When devices deviate so far that a threshold lies below rest, or a current is no number.
    """
    found: list[Layer] = []
    wider = np.zeros(layers[0].codes.shape[1])
    for layer, own in zip(layers, deviations, strict=True):
        # What overflows is refused.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            codes = _conducted(circuit, layer, own)
            codes[:, :-1] *= np.exp(wider)
            scale = layer.scale * _weaker(circuit, own, len(codes))
        if not (np.isfinite(codes).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise UserError(
                "Devices deviate so far that a threshold lies below rest or a current is no "
                "number: use a smaller mismatch."
            )
        found.append(replace(layer, codes=codes[:, :-1], bias_codes=codes[:, -1], scale=scale))
        wider = own.t_spike
    return found


def _conducted(circuit: CircuitNeuron, layer: Layer, deviations: Deviations) -> np.ndarray:
    """Currents of synapses, the bias's last, in units of the designed one at the same supply."""
    codes = np.column_stack([layer.codes, layer.bias_codes])
    vdd = np.asarray(layer.vdd / volt)
    at = np.take_along_axis(vdd, layer.supply, 1) if layer.supply is not None else vdd[:, None]
    # Each synapse alone, since the supplies of a neuron's synapses differ.
    alone = Deviations(
        vto=deviations.vto[:, :, None],
        beta=deviations.beta[:, :, None],
        R_S=deviations.R_S[:, :, None],
    )
    each = np.broadcast_to(at, codes.shape) * volt
    return effective_codes(circuit, codes[..., None], each, alone)[0][..., 0]


def _weaker(circuit: CircuitNeuron, deviations: Deviations, neurons: int) -> np.ndarray:
    """How many times less than as designed a current takes each neuron towards its threshold."""
    values = neuron_values(circuit, deviations, (neurons,))
    made = _taken(circuit, values["C"], values["R_leak"], values["v_offset"])
    designed = _taken(circuit, circuit.C, circuit.R_leak, 0 * volt)
    return np.asarray(designed / made)


def _taken(circuit: CircuitNeuron, C: Quantity, R_leak: Quantity, offset: Quantity) -> np.ndarray:
    """What a unit of current leaves on a membrane for the decision, of the way to threshold."""
    R = np.asarray(circuit.warm("R_leak", R_leak) / ohm)
    tau = R * np.asarray(C / farad)
    pulse = float(circuit.t_pulse / second)
    way = np.asarray((circuit.v_th + offset - circuit.v_rest) / volt)
    return np.asarray(-R * np.expm1(-pulse / tau) / way)
