"""The distal reward problem: which of many stimuli did a late dopamine release reward?"""

from neuromod.protocols.reward_learning.protocol import RewardLearning

__all__ = ["RewardLearning"]
