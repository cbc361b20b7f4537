"""From gains to supply voltages, codes, energy, and networks of circuit neurons."""
