"""Cues, a delay, a choice: what learned plasticity remembers and fixed synapses do not."""

from neuromod.protocols.cue_association.protocol import CueAssociation

__all__ = ["CueAssociation"]
