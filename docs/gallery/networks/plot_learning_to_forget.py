"""
Must a network forget in order to learn?
========================================

A layer of cells learns digits by spike-timing-dependent plasticity, first zeros, then ones. With
plain STDP cells that have learned the first class may be overwritten or stay in the way. With
adaptive plasticity (Panda et al. 2018) weights leak, the less the more significant they are. The
figure shows what each cell's weights do: their mean after learning under the two rules. The table
says how many test images are recalled after both stages. With a few dozen images recall is rough;
the default run, with ten classes, is in :doc:`/explanation/learning-to-forget`.
"""

import matplotlib.pyplot as plt
from brian2 import kHz, ms

import neuromod

run = neuromod.run(
    "learning-to-forget",
    conditions=("stdp", "asp"),
    networks=2,
    classes=(0, 1),
    n=10,
    learning=25,
    labelled=6,
    tested=10,
    presentation=100 * ms,
    rest=25 * ms,
    drive=3.2 * kHz,
)

print(run.table.to_string(), run.tables["recall"].to_string(), run.tables["cells"].to_string())
