"""Queries as PubMed reads them: what is a term, what comes first, and where a fault is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinx.corpora.pubmed.citations import Citation
from clinx.corpora.pubmed.filters import FILTERS
from clinx.corpora.pubmed.mesh import Thesaurus
from clinx.corpora.pubmed.query import (
    HEADINGS,
    WORDS,
    Combination,
    Term,
    compile_query,
    parse_query,
)
from clinx.errors import InputError


def answers(query: str, citation: Citation) -> bool:
    return compile_query(parse_query(query), Thesaurus())(citation)


@pytest.mark.parametrize(
    ("query", "term"),
    [
        ("Heart  attack[Title/Abstract]", Term("heart attack", "Title/Abstract")),
        ('"heart-attack" [TIAB]', Term("heart attack", "Title/Abstract")),
        ("random*[ti]", Term("random", "Title", is_truncated=True)),
        ("clinical trial[Publication Type]", Term("clinical trial", "Publication Type", is_exploded=True)),
        ("Clinical Trial [pt:noexp]", Term("clinical trial", "Publication Type")),
        ("neoplasm*[mh]", Term("neoplasm", "MeSH Terms", is_truncated=True)),
        ("head and neck neoplasms[majr]", Term("head and neck neoplasms", "MeSH Major Topic", is_exploded=True)),
        ('"Receptors (TNF)"[mesh]', Term("receptors (tnf)", "MeSH Terms", is_exploded=True)),
        ("2000:2024[dp]", Term("2000:2024", "Publication Date")),
        ("((english[la]))", Term("english", "Language")),
    ],
)
def test_words_up_to_a_tag_are_one_term(query, term):
    assert parse_query(query) == term


def test_operators_are_evaluated_from_left_to_right_and_parentheses_first():
    a, b, c, d = (Term(name, "Title") for name in "abcd")
    assert parse_query("a[ti] OR b[ti] AND c[ti] NOT d[ti]") == Combination(a, (("OR", b), ("AND", c), ("NOT", d)))
    assert parse_query("a[ti] b[ti]") == Combination(a, (("AND", b),))
    inner = Combination(b, (("AND", c),))
    assert parse_query("a[ti] OR (b[ti] AND c[ti])") == Combination(a, (("OR", inner),))
    only_a = Citation(1, "a", "")
    assert not answers("a[ti] OR b[ti] AND c[ti]", only_a)
    assert answers("a[ti] OR (b[ti] AND c[ti])", only_a)
    assert answers("b[ti] NOT c[ti] OR a[ti]", only_a)
    assert not answers("a[ti] OR b[ti] NOT a[ti]", only_a)


def test_a_filter_may_stand_in_a_query_by_pubmeds_name_of_it():
    narrow = parse_query(FILTERS["therapy-narrow"])
    assert parse_query("asthma[ti] AND Therapy/Narrow[filter]") == Combination(
        Term("asthma", "Title"), (("AND", narrow),)
    )


def test_a_query_of_many_terms_is_no_deep_tree():
    query = " OR ".join(f"w{number}[ti]" for number in range(5000))
    assert str(parse_query(str(parse_query(query)))) == str(parse_query(query))
    assert answers(query, Citation(1, "w4999", ""))


def test_a_phrase_is_whole_words_in_order_within_one_text():
    citation = Citation(1, "The Heart: attack!", "of panic", further_texts=["attacks of the heart"])
    for query in ("heart attack[ti]", '"the heart"[tiab]', "attack*[ti]", "of pan*[tiab]", '"ATTACKS of"[tiab]'):
        assert answers(query, citation)
    for query in ("attack heart[ti]", "attacks[ti]", "attack of[tiab]", "panic attacks[tiab]", "eart attack[ti]"):
        assert not answers(query, citation)


def test_language_year_and_headings():
    citation = Citation(
        1, "t", "a", descriptors={"asthma", "humans"}, major_topics={"asthma"}, languages={"jpn", "eng"}, year=2003
    )
    for query in (
        *("japanese[la]", "eng[la]", "English[Language]", "2003[dp]", "2000:2003[dp]", "2003:3000[pdat]"),
        *("asthma[majr:noexp]", "human*[mh]", "asth*[majr]"),
    ):
        assert answers(query, citation)
    for query in ("spanish[la]", "2004:3000[dp]", "2002[dp]", "humans[majr:noexp]", "human[mh:noexp]"):
        assert not answers(query, citation)
    assert not answers("2000:3000[dp]", Citation(1, "t", "a"))


@pytest.mark.parametrize(
    "name, code", [("croatian", "hrv"), ("romanian", "rum"), ("slovenian", "slv"), ("slovak", "slo"), ("latin", "lat")]
)
def test_languages_have_the_codes_of_the_dump(name, code):
    assert answers(f"{name}[la]", Citation(1, "t", "a", languages={code}))
    assert not answers(f"{name}[la]", Citation(1, "t", "a", languages={"slv", "lav", "eng"} - {code}))


def test_truncated_headings_and_headings_without_their_tree_need_no_mesh():
    with pytest.raises(InputError, match=r'"asthma"\[MeSH Terms\].*--mesh desc2026.gz.*:noexp'):
        answers("asthma[mh]", Citation(1, "", ""))
    with pytest.raises(InputError, match=r"--mesh qual2026.xml"):
        answers("drug therapy[sh]", Citation(1, "", ""))


@pytest.mark.parametrize(
    ("query", "message", "character"),
    [
        ("", "found the end, expected a term", 1),
        ("  ", "found the end, expected a term", 3),
        ("a[ti] AND", "found the end, expected a term", 10),
        ("a[ti] AND OR b[ti]", "found OR, expected a term", 11),
        ("NOT a[ti]", "found NOT, expected a term", 1),
        ("()", r"found \), expected a term", 2),
        ("[ti]", r"found \[ti\], expected a term", 2),
        ("asthma", 'found "asthma" without a field tag', 1),
        ("a[ti] AND big asthma OR b[ti]", 'found "big asthma" without a field tag', 11),
        ("(a[ti] OR (b[ti])", r"found a \( that is never closed", 1),
        ("(a[ti]))", r"found a \) that closes nothing", 8),
        ('a[ti] "b[ti]', 'found " without its counterpart', 7),
        ("a[ti", r"found \[ without its counterpart", 2),
        ("a[ti]]", r"found \] without its counterpart", 6),
        ("a[au]", r"found the field tag \[au\], expected one of \[Title\], \[ti\]", 3),
        ("a[ti:noexp]", r"found the field tag \[ti:noexp\]", 3),
        ("a[mh:exp]", r"found the field tag \[mh:exp\]", 3),
        ("a*b[ti]", r"found a \* that is not the end of a word", 1),
        ("a-*[ti]", r"found a \* that is not the end of a word", 1),
        ("*[mh]", r"found a \* that is not the end of a word", 1),
        ('"--"[ti]', "found a term without a word", 2),
        ('""[mh]', "found a term without a word", 2),
        ("a[ti] or b[ti]", "found 'or', expected a term; write operators in capitals", 7),
        ("20[dp]", "found the date '20', expected a year", 1),
        ("200*[dp]", r"found the date '200', expected a year", 1),
        ("spansih[la]", r"found the language 'spansih', expected a code, as eng, or one of afrikaans, ", 1),
        ("x[sb]", "found the filter 'x', expected one of therapy-narrow, therapy-broad", 1),
        ("(" * 51 + "a[ti]" + ")" * 51, "found more than 50 parentheses", 51),
    ],
)
def test_a_fault_shows_its_place(query, message, character):
    with pytest.raises(InputError, match=f"^the query, character {character}: {message}") as error:
        parse_query(query)
    _, shown, caret = str(error.value).split("\n")
    assert shown.strip() == query[max(0, character - 51) :][:100].strip()
    assert re.fullmatch(r" *\^", caret) and len(caret) == 3 + min(character - 1, 50)


words = st.text("abcäß1", min_size=1, max_size=6).map(str.casefold)
texts = st.lists(words, min_size=1, max_size=3).map(" ".join)
headings = st.lists(st.text("aé,()&-[]/1", min_size=1, max_size=5).map(str.casefold), min_size=1, max_size=3)
text_terms = st.builds(Term, texts, st.sampled_from(sorted(WORDS)), st.booleans())
heading_terms = st.builds(
    Term, headings.map(" ".join), st.sampled_from(sorted(HEADINGS)), st.just(False), st.booleans()
) | st.builds(Term, texts, st.sampled_from(sorted(HEADINGS)), st.just(True))
terms = (
    text_terms | heading_terms | st.builds(Term, st.sampled_from(["2000", "1999:2024"]), st.just("Publication Date"))
)
queries = st.recursive(
    terms,
    lambda parts: st.builds(
        Combination,
        parts,
        st.lists(st.tuples(st.sampled_from(["AND", "OR", "NOT"]), parts), min_size=1, max_size=3).map(tuple),
    ),
    max_leaves=12,
)


@given(queries)
def test_what_is_printed_is_parsed_to_the_same_tree(query):
    assert parse_query(str(query)) == query


@given(st.text('ab*"()[] :-\nANDORT', max_size=40) | st.text(max_size=20))
def test_any_text_is_a_query_or_refused(text):
    try:
        query = parse_query(text)
    except InputError as error:
        assert str(error).startswith("the query, character ")
    else:
        assert parse_query(str(query)) == query


@given(queries, st.sets(words), st.sets(words))
def test_a_query_is_true_where_the_sets_of_its_terms_say_so(query, title, abstract):
    """Results are sets, and operators are their union, intersection and difference."""
    citations = [Citation(1, " ".join(sorted(title)), ""), Citation(2, "", " ".join(sorted(abstract)))]

    def results(part) -> set[int]:
        if isinstance(part, Term):
            return {citation.pmid for citation in citations if of_term(part, citation)}
        found = results(part.first)
        for operator, other in part.steps:
            found = {"AND": set.__and__, "OR": set.__or__, "NOT": set.__sub__}[operator](found, results(other))
        return found

    def of_term(term: Term, citation: Citation) -> bool:
        fields = [citation.title] if term.field == "Title" else [citation.title, citation.abstract]
        end = "" if term.is_truncated else " "
        return term.field in WORDS and any(f" {term.text}{end}" in f" {field} " for field in fields)

    class NoTree(Thesaurus):
        def names(self, field_name, term, is_exploded=True):
            return frozenset({term})

    matches = compile_query(query, NoTree())
    assert {citation.pmid for citation in citations if matches(citation)} == results(query)
