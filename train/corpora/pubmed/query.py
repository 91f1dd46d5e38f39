"""PubMed's query language, as far as its dump can answer it; https://pubmed.ncbi.nlm.nih.gov/help/ describes it.

A term is words, in quotes or not, and a field tag: `clinical trial[Publication Type]`, `"heart attack"[ti]`. Words are
compared whole and without case, in the same order, and `random*` stands for all that begin so. AND, OR and NOT are
evaluated from left to right, as PubMed does; parentheses come first, and where no operator stands AND is meant. MeSH
terms, publication types and subheadings stand for all that is below them, without `:noexp` in their tag.

PubMed translates terms without a tag in ways of its own and looks for them everywhere; here they are refused.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ...errors import InputError
from .citations import Citation, spaced_words
from .filters import FILTERS
from .mesh import DESCRIPTORS, PUBLICATION_TYPES, QUALIFIERS, Thesaurus


MAJOR_TOPICS = "MeSH Major Topic"
WORDS = {"Title": "title_words", "Title/Abstract": "title_abstract_words"}  # attributes of a Citation
HEADINGS = {
    DESCRIPTORS: "descriptors",
    MAJOR_TOPICS: "major_topics",
    QUALIFIERS: "qualifiers",
    PUBLICATION_TYPES: "publication_types",
}
TAGS = {
    "Title": ("ti",),
    "Title/Abstract": ("tiab",),
    DESCRIPTORS: ("mh", "mesh"),
    MAJOR_TOPICS: ("majr",),
    QUALIFIERS: ("sh", "subheading"),
    PUBLICATION_TYPES: ("pt", "ptyp"),
    "Language": ("la", "lang"),
    "Publication Date": ("dp", "pdat"),
    "Filter": ("sb",),
}
FIELDS = {name.casefold(): field_name for field_name, tags in TAGS.items() for name in (field_name, *tags)}
LANGUAGES = (  # of NLM; the codes, of ISO 639-2/B, are their first three letters, but for those that name one
    "afrikaans albanian amharic arabic armenian azerbaijani bengali bosnian bulgarian catalan chinese croatian=hrv "
    "czech danish dutch english esperanto=epo estonian finnish french georgian german greek hebrew hindi hungarian "
    "icelandic indonesian italian japanese=jpn kinyarwanda korean latin latvian=lav lithuanian macedonian malay=may "
    "malayalam maori norwegian persian polish portuguese pushto romanian=rum russian sanskrit serbian=srp slovak "
    "slovenian=slv spanish swedish thai turkish ukrainian undetermined urdu vietnamese welsh"
)
CODES = {name: code or name[:3] for name, _, code in (entry.partition("=") for entry in LANGUAGES.split())}
OPERATORS = ("AND", "OR", "NOT")
DEEPEST = 50  # parentheses within each other
TOKEN = re.compile(
    r'\s*(?:(?P<sign>[()])|"(?P<quoted>[^"]*)"|\[(?P<tag>[^\[\]]*)\]|(?P<word>[^\s()\[\]"]+)|(?P<end>$))'
)


@dataclass(frozen=True, slots=True)
class Term:
    """Words in lower case that a field is searched for; its `str` is a query again.

    Attributes:
        field: one of `TAGS`.
        is_truncated: whether the last word may go on.
        is_exploded: whether all that is below it in MeSH is meant too.
    """

    text: str
    field: str
    is_truncated: bool = False
    is_exploded: bool = False

    def __str__(self) -> str:
        exact = ":noexp" if self.field in HEADINGS and not self.is_exploded and not self.is_truncated else ""
        return f'"{self.text}{"*" if self.is_truncated else ""}"[{self.field}{exact}]'


@dataclass(frozen=True, slots=True)
class Combination:
    """Queries that are evaluated from left to right: `steps` are pairs of an operator and a query."""

    first: "Query"
    steps: tuple[tuple[str, "Query"], ...]

    def __str__(self) -> str:
        def part(query: Query) -> str:
            return f"({query})" if isinstance(query, Combination) else str(query)

        return " ".join([part(self.first), *(f"{operator} {part(query)}" for operator, query in self.steps)])


Query = Term | Combination


def parse_query(text: str) -> Query:
    """The tree of a query.

    Raises InputError, which shows the place, for what is no query or asks for what the dump cannot answer.
    """
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str):
        self.text = re.sub(r"\s", " ", text)
        self.depth = 0
        self.end = 0
        self.advance()

    def advance(self) -> None:
        """Reads a token: its kind, its value, and where it begins."""
        match = TOKEN.match(self.text, self.end)
        if match is None:
            start = len(self.text) - len(self.text[self.end :].lstrip())
            raise self.fault(f"found {self.text[start]} without its counterpart", start)
        self.kind, self.value = match.lastgroup, match[match.lastgroup]
        self.start, self.end = match.start(match.lastgroup), match.end()

    def fault(self, message: str, start: int) -> InputError:
        first = max(0, start - 50)
        shown, caret = self.text[first : start + 50], " " * (start - first) + "^"
        return InputError(f"the query, character {start + 1}: {message}\n  {shown}\n  {caret}")

    def query(self) -> Query:
        query = self.combination()
        if self.kind != "end":
            raise self.fault("found a ) that closes nothing", self.start)
        return query

    def combination(self) -> Query:
        first, steps = self.operand(), []
        while self.kind != "end" and self.value != ")":
            operator = "AND"
            if self.kind == "word" and self.value in OPERATORS:
                operator = self.value
                self.advance()
            steps.append((operator, self.operand()))
        return Combination(first, tuple(steps)) if steps else first

    def operand(self) -> Query:
        if self.value != "(" or self.kind != "sign":
            return self.term()
        opened, self.depth = self.start, self.depth + 1
        if self.depth > DEEPEST:
            raise self.fault(f"found more than {DEEPEST} parentheses within each other", opened)
        self.advance()
        query = self.combination()
        if self.kind == "end":
            raise self.fault("found a ( that is never closed", opened)
        self.advance()
        self.depth -= 1
        return query

    def term(self) -> Query:
        start, text = self.start, self.value
        if self.kind == "word" and text not in OPERATORS:
            words = []
            while self.kind == "word" and self.value not in OPERATORS:
                words.append(self.value)
                self.advance()
            if words[0].upper() in OPERATORS:
                raise self.fault(f"found {words[0]!r}, expected a term; write operators in capitals", start)
            text = " ".join(words)
        elif self.kind == "quoted":
            self.advance()
        else:
            found = "the end" if self.kind == "end" else f"[{text}]" if self.kind == "tag" else text
            raise self.fault(f"found {found}, expected a term as trial[Title/Abstract]", start)
        if self.kind != "tag":
            raise self.fault(f'found "{text}" without a field tag, as [Title/Abstract] or [MeSH Terms]', start)
        tag, tag_start = self.value, self.start
        self.advance()
        return self.tagged(text, start, tag, tag_start)

    def tagged(self, text: str, start: int, tag: str, tag_start: int) -> Query:
        name, colon, option = " ".join(tag.casefold().split()).partition(":")
        field = FIELDS.get(name)
        if field is None or (colon and (option != "noexp" or field not in HEADINGS)):
            known = ", ".join(f"[{name}]" for names in TAGS.items() for name in (names[0], *names[1]))
            raise self.fault(f"found the field tag [{tag}], expected one of {known}", tag_start)
        text, star, after = " ".join(text.casefold().split()).partition("*")
        if star and (after or not text[-1:].isalnum()):
            raise self.fault("found a * that is not the end of a word", start)
        text = spaced_words(text).strip() if field in WORDS else text
        if not text:
            raise self.fault("found a term without a word", start)
        if field == "Filter":
            if text.replace("/", "-") not in FILTERS or star:
                raise self.fault(f"found the filter {text!r}, expected one of {', '.join(FILTERS)}", start)
            return parse_query(FILTERS[text.replace("/", "-")])
        if field == "Publication Date" and (star or not re.fullmatch("[0-9]{4}(:[0-9]{4})?", text)):
            raise self.fault(f"found the date {text!r}, expected a year, or two as 2000:2024", start)
        if field == "Language" and (star or text not in CODES and not re.fullmatch("[a-z]{3}", text)):
            raise self.fault(
                f"found the language {text!r}, expected a code, as eng, or one of {', '.join(CODES)}", start
            )
        return Term(text, field, bool(star), field in HEADINGS and not colon and not star)


def compile_query(query: Query, thesaurus: Thesaurus) -> Callable[[Citation], bool]:
    """A function that tells whether a citation answers the query.

    Raises InputError for a term that is not in the thesaurus.
    """
    if isinstance(query, Term):
        return _compile_term(query, thesaurus)
    first = compile_query(query.first, thesaurus)
    steps = [(operator, compile_query(each, thesaurus)) for operator, each in query.steps]

    def matches(citation: Citation) -> bool:
        result = first(citation)
        for operator, test in steps:
            if operator == "OR":
                result = result or test(citation)
            else:
                result = result and test(citation) == (operator == "AND")
        return result

    return matches


def _compile_term(term: Term, thesaurus: Thesaurus) -> Callable[[Citation], bool]:
    text = term.text
    if term.field in WORDS:
        attribute, wanted = WORDS[term.field], f" {text}" if term.is_truncated else f" {text} "
        return lambda citation: wanted in getattr(citation, attribute)
    if term.field == "Publication Date":
        first, _, last = text.partition(":")
        years = range(int(first), int(last or first) + 1)
        return lambda citation: citation.year in years
    if term.field == "Language":
        code = CODES.get(text, text)
        return lambda citation: code in citation.languages
    attribute = HEADINGS[term.field]
    if term.is_truncated:
        return lambda citation: any(name.startswith(text) for name in getattr(citation, attribute))
    vocabulary = DESCRIPTORS if term.field == MAJOR_TOPICS else term.field
    names = thesaurus.names(vocabulary, text, term.is_exploded)
    return lambda citation: not names.isdisjoint(getattr(citation, attribute))
