"""Synthetic Spanish and English clinical notes with exact gold annotations, for demonstrations, tests and cards.

A note is written by a small grammar, `grammar/layout.txt` and that of its language: `{rule}` is one of the rule's
alternatives, `{LABEL:rule}` a mention with that label (`{LABEL}` where rule and label share a name), `{rule=}` reads
the same all through a note, `{^rule}` begins with a capital, `[o/a]` follows the patient's sex, `<es|en>` the language,
`###` is a three-digit number, `↵` a line break.
`rule = a | b` is a closed class, one or more alternatives a line; a line that begins with `↵` continues the one above.
`rule ~ a b` is an open class: its words belong by turns to training and to validation, so that training never sees
validation's names, drugs, diseases, streets, hospitals, dates (by day) and numbers (by last digit). Where words are
composed, as names, it is their beginnings that are divided.
"""

import random
import re
from functools import lru_cache
from pathlib import Path

from .documents import Document, Entity


ENTITY_TYPES = (
    "PATIENT",
    "DOCTOR",
    "HOSPITAL",
    "LOCATION",
    "DATE",
    "BIRTHDATE",
    "AGE",
    "ID",
    "PHONE",
    "PROBLEM",
    "FAMILY_HISTORY",
    "TEST",
    "DRUG",
    "DOSE",
)

_GRAMMAR = Path(__file__).with_name("grammar")
_LANGUAGES = ("es", "en")
_SPLITS = ("train", "validation")
_SLOT = re.compile(r"\{(\^?)(\w+)(?::(\w+))?(=?)\}|\[(.*?)/(.*?)\]|(#+)")


def synthetic_notes(n: int, *, seed: int = 0, split: str = "train", language: str = "both") -> list[Document]:
    """Return `n` annotated notes in "es", "en" or, by turns, "both"; the texts alone serve masked-LM pretraining.

    The same arguments give the same notes in any process, and a larger `n` begins with the notes of a smaller one.
    Raises ValueError for a split other than "train" and "validation", or any other language.
    """
    for name, value, known in ("split", split, _SPLITS), ("language", language, (*_LANGUAGES, "both")):
        if value not in known:
            raise ValueError(f"No synthetic notes for {name} {value!r}: choose one of {known}.")
    languages = _LANGUAGES if language == "both" else (language,)
    return [_note(split, languages[i % len(languages)], i, seed) for i in range(n)]


def _note(split: str, language: str, number: int, seed: int) -> Document:
    id = f"{split}-{language}-{number:04d}"
    draft = _Draft(_grammar(language, split), random.Random(f"{seed} {id}"))
    text = draft.write("{note}")
    return Document(id, _wrap(text, draft.entities, draft.random.choice((72, 80, 100, len(text)))), draft.entities)


@lru_cache
def _grammar(language: str, split: str) -> dict[str, list[str]]:
    source = "".join((_GRAMMAR / f"{part}.txt").read_text(encoding="utf-8") for part in ("layout", language))
    source = re.sub(r"<([^|>]*)\|([^>]*)>", r"\1" if language == "es" else r"\2", source)
    rules = {}
    for rule in re.findall(r"^\w.*(?:\n  .*)*", source.replace("\n  ↵", "↵"), re.MULTILINE):
        name, kind, body = rule.split(" ", 2)
        texts = body.split()[_SPLITS.index(split) :: 2] if kind == "~" else re.split(r" \| |\n  ", body)
        rules[name] = [text.replace("~", " ").replace("↵", "\n") for text in texts]
    return rules


class _Draft:
    """A note being written: what reads the same all through it, and where its mentions are."""

    def __init__(self, rules: dict[str, list[str]], rng: random.Random):
        self.rules, self.random, self.entities = rules, rng, []
        self.unused = {}  # alternatives of each rule in random order: none comes again before all have come
        self.sex = rng.randrange(2)
        age, year, (month, birth) = rng.randrange(58, 95), rng.randrange(2020, 2026), rng.sample(range(12), 2)
        born = year - age - (birth > month)
        self.fixed = {"age": str(age), "year": str(year), "yy": str(year)[2:], "born": str(born)}
        self.fixed |= {"month": rules["months"][month], "birth_month": rules["months"][birth]}
        self.fixed |= {"mm": f"{month + 1:02d}", "birth_mm": f"{birth + 1:02d}"}

    def write(self, template: str, start: int = 0) -> str:
        """Resolve the template's slots; `start` is the offset at which the text will stand in the note."""
        text, done = "", 0
        for slot in _SLOT.finditer(template):
            text += template[done : slot.start()]
            text += self.resolve(*slot.groups(), start=start + len(text))
            done = slot.end()
        return text + template[done:]

    def resolve(self, capital, name, rule, same, male, female, digits, *, start: int) -> str:
        if digits:
            return str(self.random.randrange(10 ** (len(digits) - 1), 10 ** len(digits)))
        if not name:
            return self.write((male, female)[self.sex], start)
        rule = rule or name
        text = self.fixed[rule] if same and rule in self.fixed else self.write(self.draw(rule), start)
        if same:
            self.fixed[rule] = text
        if name in ENTITY_TYPES:
            self.entities.append(Entity(start, start + len(text), name))
        return text[0].upper() + text[1:] if capital else text

    def draw(self, rule: str) -> str:
        if not self.unused.get(rule):
            self.unused[rule] = self.random.sample(self.rules[rule], len(self.rules[rule]))
        return self.unused[rule].pop()


def _wrap(text: str, entities: list[Entity], width: int) -> str:
    """Break lines at `width` by turning spaces outside mentions into line breaks, so that offsets stay."""
    characters = list(text)
    for entity in entities:
        characters[entity.start : entity.end] = "x" * (entity.end - entity.start)
    wrapped = re.sub(rf"(?=[^\n]{{{width + 1}}})([^\n]{{40,{width}}}) (?=\S)", r"\1\n", "".join(characters))
    return "".join("\n" if mark == "\n" else character for mark, character in zip(wrapped, text, strict=True))
