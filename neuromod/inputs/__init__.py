"""What reaches a neuron: spikes, modulators, supplies, noise."""
