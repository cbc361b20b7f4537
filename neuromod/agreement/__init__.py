"""Whether a device does what Brian2's runtime does, repeats itself, and how fast it is."""
