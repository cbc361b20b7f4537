"""Volume transmission: releases of modulatory neurons into the tissue, over distance and time."""

from neuromod.protocols.volume.protocol import Volume

__all__ = ["Volume"]
