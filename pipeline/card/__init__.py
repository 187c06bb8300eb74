"""What a dataset made by a run says of itself, from the run's own manifests and tables; no clock is asked.

facts      everything that is told, gathered
public     values of a recipe and names of archives, without the paths of the machine
front      the YAML that Hugging Face reads
readme     the dataset card, section by section
handling   its sections on consent, personal data and evaluation sets
croissant  the same for machines, as Croissant metadata
"""

from pipeline.card.croissant import croissant
from pipeline.card.facts import gather
from pipeline.card.readme import readme

__all__ = ["croissant", "gather", "readme"]
