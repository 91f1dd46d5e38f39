"""A small annotated note, and a configuration with windows that it does not fit in."""

from clinx.corpora.documents import Document, Entity
from modeling_clinx import ClinXConfig


TEXT = "Paciente varón de 54 años con dolor torácico.\nLa Dra. García solicita analítica: hemoglobina 13.5 g/dl. " * 4


def document(*mentions: str, text: str = TEXT, label: str = "A") -> Document:
    spans = [(text.index(mention), text.index(mention) + len(mention)) for mention in mentions]
    return Document("note", text, [Entity(start, end, label) for start, end in spans])


def config(**settings) -> ClinXConfig:
    return ClinXConfig(entity_types=["A", "B"], **{"window_length": 32, "context_size": 4, **settings})
