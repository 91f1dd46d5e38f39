"""The trees of MeSH, for terms that stand for all that is below them: a small one of ours, or NLM's files."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from xml.etree.ElementTree import Element

from ...errors import InputError
from ..source import CorpusFile
from .xml_stream import stream_elements, text_of


DESCRIPTORS, PUBLICATION_TYPES, QUALIFIERS = "MeSH Terms", "Publication Type", "MeSH Subheading"
FILES = {DESCRIPTORS: "desc2026.gz", PUBLICATION_TYPES: "desc2026.gz", QUALIFIERS: "qual2026.xml"}  # for messages


@dataclass
class Vocabulary:
    """Names in lower case, and where they are in the tree.

    Attributes:
        preferred: the name of each name and entry term.
        numbers: tree numbers of each name; `A.1.5` is below `A.1`, and a name may stand in several places.
        is_whole: whether a name that is not in it is none.
    """

    preferred: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, list[str]] = field(default_factory=dict)
    is_whole: bool = False

    def add(self, name: str, numbers: list[str], entry_terms: Iterable[str]) -> None:
        name = name.casefold()
        self.numbers[name] = numbers
        for term in entry_terms:
            self.preferred.setdefault(term.casefold(), name)
        self.preferred[name] = name

    def below(self, name: str) -> frozenset[str]:
        """The name and all that stand below it."""
        starts = tuple(f"{number}." for number in self.numbers[name])
        return frozenset({name}) | {
            other for other, numbers in self.numbers.items() if any(number.startswith(starts) for number in numbers)
        }


class Thesaurus:
    """MeSH's descriptors, publication types and qualifiers, each a `Vocabulary`.

    Args:
        files: MeSH's own files of descriptors (`desc2026.xml`, or `desc2026.gz`) and of qualifiers (`qual2026.xml`).
            What none of them holds is our own list, `mesh.txt`, which has what the two Haynes filters ask for.

    Raises InputError for a file that is none of these, or is damaged.
    """

    def __init__(self, files: Iterable[CorpusFile] = ()):
        self.vocabularies = dict(_own_list())
        for file in files:
            self.vocabularies |= _read(file)
        for field_name, own in _own_list().items():
            # PubMed translates some terms that are no entry terms of MeSH, as `clinical trials`.
            self.vocabularies[field_name].preferred = own.preferred | self.vocabularies[field_name].preferred

    def names(self, field_name: str, term: str, is_exploded: bool = True) -> frozenset[str]:
        """The names that a term in lower case stands for: its own and, exploded, those below it in the tree.

        Raises InputError for one that is not in MeSH, or whose place in the tree is not known.
        """
        vocabulary = self.vocabularies[field_name]
        name = vocabulary.preferred.get(term, term)
        if name not in vocabulary.numbers:
            if vocabulary.is_whole:
                raise InputError(f'MeSH has no "{term}"[{field_name}]; check its spelling, or truncate it with *.')
            if is_exploded:
                raise InputError(
                    f'found "{term}"[{field_name}], which stands for all that is below it in MeSH; name MeSH\'s file '
                    f"(--mesh {FILES[field_name]}), or ask for that heading alone (:noexp)."
                )
            return frozenset({name})
        return vocabulary.below(name) if is_exploded else frozenset({name})


@cache
def _own_list() -> dict[str, Vocabulary]:
    """`mesh.txt`: its indents are the tree, and what follows a `=` are entry terms, with `;` between."""
    vocabularies, path = {}, []
    for number, line in enumerate(Path(__file__).with_name("mesh.txt").read_text(encoding="utf-8").splitlines()):
        if line.startswith("["):
            vocabulary = vocabularies[line.strip("[]")] = Vocabulary()
        elif line and not line.startswith("#"):
            depth = (len(line) - len(line.lstrip())) // 2
            path = [*path[:depth], str(number)]
            name, _, terms = line.strip().partition(" = ")
            places = vocabulary.numbers.get(name.casefold(), [])
            vocabulary.add(name, [*places, ".".join(path)], filter(None, terms.split("; ")))
    return vocabularies


def _read(file: CorpusFile) -> dict[str, Vocabulary]:
    kinds = {"DescriptorRecordSet": "Descriptor", "QualifierRecordSet": "Qualifier"}
    vocabularies: dict[str, Vocabulary] = {}
    for record in stream_elements(file, list(kinds), [f"{kind}Record" for kind in kinds.values()]):
        kind = record.tag.removesuffix("Record")
        if kind == "Qualifier":
            field_name = QUALIFIERS
        else:
            field_name = PUBLICATION_TYPES if record.get("DescriptorClass") == "2" else DESCRIPTORS
        vocabulary = vocabularies.setdefault(field_name, Vocabulary(is_whole=True))
        vocabulary.add(
            text_of(record.find(f"{kind}Name/String")),
            _texts(record, "TreeNumberList/TreeNumber"),
            _texts(record, "ConceptList/Concept/TermList/Term/String"),
        )
    return vocabularies


def _texts(record: Element, path: str) -> list[str]:
    return [text_of(element) for element in record.iterfind(path)]
