"""A small annotated note, a configuration with windows that it does not fit in, and problems of reading by kind."""

from collections import Counter
from collections.abc import Iterable

from clinx.corpora.documents import Document, Entity
from modeling_clinx import ClinXConfig


TEXT = "Paciente varón de 54 años con dolor torácico.\nLa Dra. García solicita analítica: hemoglobina 13.5 g/dl. " * 4


def document(*mentions: str, text: str = TEXT, label: str = "A") -> Document:
    spans = [(text.index(mention), text.index(mention) + len(mention)) for mention in mentions]
    return Document("note", text, [Entity(start, end, label) for start, end in spans])


def config(**settings) -> ClinXConfig:
    return ClinXConfig(entity_types=["A", "B"], **{"window_length": 32, "context_size": 4, **settings})


def problem_counts(documents: Iterable[Document]) -> Counter:
    """How often each kind of problem occurs."""
    return Counter(problem.kind for document in documents for problem in document.problems)
