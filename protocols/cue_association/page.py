"""The report of `CueAssociation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromod.protocol import Section, Tables
from neuromod.protocols.families.five_networks import page
from neuromod.support.text import percent

if TYPE_CHECKING:
    from neuromod.protocols.cue_association.protocol import CueAssociation


def report(study: CueAssociation, tables: Tables) -> list[Section]:
    """The report of all comparisons, and what a memory of a single cue would be worth."""
    cues = study.task.cues
    least = cues // 2 + 1
    text = (
        f"The winning side has {least} to {cues} of the {cues} cues, each number equally often. A "
        "network that remembered the side of a single cue, without counting, would be right in "
        f"{percent((least + cues) / (2 * cues), 2)}."
    )
    return [*page.report(study, tables), Section("Remembering and counting", text)]
