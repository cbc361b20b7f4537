"""Neuron circuits that have been published, and how this model is driven to stand beside them."""

from __future__ import annotations

import numpy as np
import pandas as pd

# Barton et al. 2022, table 9; the text has "132 nm2" for the core's area, the table um2.
PUBLISHED = pd.DataFrame(
    [
        ("Barton et al. 2022", 28, 598, 132, 3.3, 1.08),
        ("Joubert et al. 2012", 65, 538, np.nan, 1.9, 41),
        ("Cruz-Albrecht et al. 2012", 90, 442, np.nan, 1e-4, 0.4),
        ("Rangan et al. 2010", 90, 897, np.nan, 7e-3, 1),
        ("Jayawan 2008", 350, 2800, np.nan, 1, 9),
    ],
    columns=[
        "design",
        "process_nm",
        "area_um2",
        "core_area_um2",
        "max_rate_MHz",
        "energy_per_spike_pJ",
    ],
)
FEWEST, ALL, PAPER_RATE = "fewest units", "all units", "at 3.3 MHz"
DRIVES = (FEWEST, ALL, PAPER_RATE)
