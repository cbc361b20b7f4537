"""Neuromodulatory tuning: images to features to gains. It needs torch (``brian2-neuromod[train]``).

Nothing here is imported by ``import neuromod``.
"""
