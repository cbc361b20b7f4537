"""GeNN, for GPUs and for one CPU core, through Brian2GeNN."""
