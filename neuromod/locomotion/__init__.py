"""Bodies in MuJoCo that spiking networks move, evolved; needs ``brian2-neuromod[locomotion]``.

Nothing here is imported by ``import neuromod``.
"""
