"""Circuit experiments in SPICE: what the model is held against."""
