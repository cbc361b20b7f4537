"""Spiking networks whose plasticity is learned; needs torch (``brian2-neuromod[train]``).

Nothing here is imported by ``import neuromod``.
"""
