"""A cortical network that holds an object in mind, under dopamine (Brunel & Wang 2001)."""

from neuromod.protocols.working_memory.protocol import WorkingMemory

__all__ = ["WorkingMemory"]
