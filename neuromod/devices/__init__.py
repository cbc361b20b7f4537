"""Where an experiment runs: Brian2's runtime, C++ standalone, GeNN, and ngspice as a referee."""
