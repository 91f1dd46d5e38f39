"""Forty gold documents, and systems that miss a share of their mentions."""

import random

from clinx.corpora.documents import Document, Entity


TEXT = "x" * 40


def document(id: str, *spans: tuple[int, int, str]) -> Document:
    return Document(id, TEXT, [Entity(*span) for span in spans])


def noisy(gold: list[Document], kept: float, seed: int) -> list[Document]:
    chance = random.Random(seed)
    return [Document(d.id, d.text, [e for e in d.entities if chance.random() < kept]) for d in gold]


GOLD = [document(str(i), *((s, s + 2, "XYZ"[n % 3]) for n, s in enumerate(range(0, 30, 3)))) for i in range(40)]
