"""The citations in PubMed's dump (https://www.nlm.nih.gov/databases/download/pubmed_medline.html)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from xml.etree.ElementTree import Element

from ...errors import InputError
from ..source import CorpusFile
from .xml_stream import stream_elements, text_of


LARGEST_PMID = 10**8 - 1  # NLM: one to eight digits
WORD = re.compile(r"[^\W_]+")


@dataclass
class Citation:
    """What PubMed knows of an article.

    Attributes:
        abstract: its sections on lines of their own, each after its label; empty where there is none.
        further_texts: abstracts in other languages or by other hands, and the authors' keywords.
        descriptors, major_topics, qualifiers, publication_types, languages: names in lower case. A qualifier is what
            PubMed's search calls a subheading, and a descriptor is a major topic where it or a qualifier of it is.
    """

    pmid: int
    title: str
    abstract: str
    further_texts: list[str] = field(default_factory=list)
    descriptors: set[str] = field(default_factory=set)
    major_topics: set[str] = field(default_factory=set)
    qualifiers: set[str] = field(default_factory=set)
    publication_types: set[str] = field(default_factory=set)
    languages: set[str] = field(default_factory=set)
    year: int | None = None

    @cached_property
    def title_words(self) -> str:
        return spaced_words(self.title)

    @cached_property
    def title_abstract_words(self) -> str:
        """As PubMed's [Title/Abstract]: title, abstract, other abstracts, keywords; no phrase reaches across two."""
        return "|".join((self.title_words, *map(spaced_words, (self.abstract, *self.further_texts))))


@dataclass(frozen=True)
class Deletion:
    """Citations that a file withdraws."""

    pmids: tuple[int, ...]


def spaced_words(text: str) -> str:
    """The words in lower case, with a space before, between and after; hyphens and all other signs part words."""
    return f" {' '.join(WORD.findall(text.casefold()))} "


def read_citations(file: CorpusFile) -> Iterator[Citation | Deletion]:
    """The citations of a file in their order, and what it deletes; books are passed over.

    Raises InputError, with the file, for what is no file of PubMed's dump, or is damaged.
    """
    for element in stream_elements(
        file, ["PubmedArticleSet"], ("PubmedArticle", "PubmedBookArticle", "DeleteCitation")
    ):
        if element.tag == "PubmedArticle":
            yield _citation(element, file.where)
        elif element.tag == "DeleteCitation":
            yield Deletion(tuple(_pmid(each, file.where) for each in element.findall("PMID")))


def _citation(element: Element, where: str) -> Citation:
    pmid = _pmid(element.find("MedlineCitation/PMID"), where)
    medline = element.find("MedlineCitation")
    if (article := medline.find("Article")) is None:
        raise InputError(f"{where}: found the citation {pmid} without an <Article>; copy the file anew.")
    citation = Citation(
        pmid,
        title=text_of(article.find("ArticleTitle")),
        abstract=_abstract(article.findall("Abstract/AbstractText")),
        further_texts=[
            *filter(None, (_abstract(other.findall("AbstractText")) for other in medline.findall("OtherAbstract"))),
            *map(text_of, medline.iterfind("KeywordList/Keyword")),
        ],
        publication_types=_names(article.iterfind("PublicationTypeList/PublicationType")),
        languages=_names(article.iterfind("Language")),
        year=_year(article.find("Journal/JournalIssue/PubDate")),
    )
    for heading in medline.iterfind("MeshHeadingList/MeshHeading"):
        descriptor = _names(part for part in heading if part.tag == "DescriptorName")
        citation.descriptors |= descriptor
        citation.qualifiers |= _names(part for part in heading if part.tag == "QualifierName")
        if any(part.get("MajorTopicYN") == "Y" for part in heading):
            citation.major_topics |= descriptor
    return citation


def _pmid(element: Element | None, where: str) -> int:
    text = text_of(element)
    if not re.fullmatch("[0-9]{1,8}", text):
        raise InputError(f"{where}: found a citation with the PMID {text!r}, expected up to eight digits.")
    return int(text)


def _abstract(sections: Iterable[Element]) -> str:
    lines = []
    for section in sections:
        if text := text_of(section):
            label = section.get("Label")
            lines.append(f"{label}: {text}" if label else text)
    return "\n".join(lines)


def _names(elements: Iterable[Element]) -> set[str]:
    return {(element.text or "").strip().casefold() for element in elements}


def _year(date: Element | None) -> int | None:
    """Of a PubDate, which has a Year, or a MedlineDate as `1998 Dec-1999 Jan`, of which PubMed takes the first."""
    year = re.search("[0-9]{4}", "" if date is None else date.findtext("Year") or date.findtext("MedlineDate") or "")
    return int(year[0]) if year else None
