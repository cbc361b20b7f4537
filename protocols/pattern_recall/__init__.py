"""Patterns seen once: whether learned plasticity associates them with their answers."""

from neuromod.protocols.pattern_recall.protocol import PatternRecall

__all__ = ["PatternRecall"]
