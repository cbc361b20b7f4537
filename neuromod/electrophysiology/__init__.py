"""What others recorded, read to its true value or refused: sweeps, tables, f-I curves."""
