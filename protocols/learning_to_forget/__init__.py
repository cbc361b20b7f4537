"""Digits that a network is shown one class after another, with and without forgetting."""

from neuromod.protocols.learning_to_forget.protocol import LearningToForget

__all__ = ["LearningToForget"]
