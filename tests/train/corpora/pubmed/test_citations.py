"""What is read of a citation, and what is refused as no file of PubMed's dump."""

import gzip

import pytest

from clinx.corpora.pubmed.citations import Deletion, read_citations
from clinx.corpora.source import corpus_files
from clinx.errors import InputError
from tests.train.corpora.pubmed.dump import HEAD, article, dump


def test_a_citation_has_its_texts_without_markup_and_its_headings_in_lower_case(read):
    first, second, deletion = read(
        dump(
            article(
                7,
                "Effects of <i>E.\n coli</i> on H<sub>2</sub>O &amp; µ.",
                [("AIM", "To <b>see</b>."), ("", "Not labelled."), ("RESULTS", ""), ("END", "p&lt;0.05")],
                mesh=[("*Asthma", "drug therapy"), ("Aspirin", "*adverse effects"), ("Humans",)],
                types=["Review"],
                keywords=["<i>key</i> word"],
                other_abstract="Otro.",
                date="<MedlineDate>1998 Dec-1999 Jan</MedlineDate>",
            ),
            "<PubmedBookArticle><BookDocument><PMID>3</PMID></BookDocument></PubmedBookArticle>",
            article("00000008", "", "", date=""),
            deleted=[5, 6],
        )
    )
    assert first.title == "Effects of E. coli on H2O & µ."
    assert first.abstract == "AIM: To see.\nNot labelled.\nEND: p<0.05"
    assert first.further_texts == ["Otro.", "key word"]
    assert first.descriptors == {"asthma", "aspirin", "humans"} and first.major_topics == {"asthma", "aspirin"}
    assert first.qualifiers == {"drug therapy", "adverse effects"} and first.publication_types == {"review"}
    assert (first.pmid, first.languages, first.year) == (7, {"eng"}, 1998)
    assert (second.pmid, second.title, second.abstract, second.year) == (8, "", "", None)
    assert deletion == Deletion((5, 6))


def test_files_are_plain_or_gzipped(tmp_path):
    content = dump(article(1), article(2))
    (tmp_path / "b.xml.gz").write_bytes(gzip.compress(content))
    (tmp_path / "a.xml").write_bytes(content)
    (tmp_path / "b.xml.gz.md5").write_text("MD5(b.xml.gz)= 0")
    files = corpus_files(tmp_path, (".xml",))
    assert [[each.pmid for each in read_citations(file)] for file in files] == [[1, 2], [1, 2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"xml:1: this is not well-formed XML at column 1 \(no element found\)"),
        (b"PMID- 1\n", r"xml:1: this is not well-formed XML at column 1"),
        (dump(article(1))[:-30], r"xml:21: this is not well-formed XML at column 1 \(unclosed token\)"),
        (dump(article(1, "a & b")), r"xml:10: this is not well-formed XML"),
        (dump(article(1)).replace(b"A title", b"\xff"), r"xml:10: this is not well-formed XML"),
        (b"<html><body/></html>", "found <html>, expected <PubmedArticleSet>"),
        (dump("<PubmedArticle><MedlineCitation/></PubmedArticle>"), "found a citation with the PMID ''"),
        (dump("<PubmedArticle/>"), "found a citation with the PMID ''"),
        (dump(article("123456789")), "found a citation with the PMID '123456789', expected up to eight digits"),
        (dump(article("12a")), "found a citation with the PMID '12a'"),
        (
            dump("<PubmedArticle><MedlineCitation><PMID>5</PMID></MedlineCitation></PubmedArticle>"),
            "found the citation 5 without an <Article>",
        ),
        (
            b'<!DOCTYPE PubmedArticleSet [<!ENTITY a "x">]><PubmedArticleSet>&a;</PubmedArticleSet>',
            "declaration of entities",
        ),
        (HEAD.replace("utf-8", "x-none").encode() + b"<PubmedArticleSet/>", "this is no XML in UTF-8"),
    ],
)
def test_what_is_no_dump_or_is_damaged_names_its_place(read, content, message):
    with pytest.raises(InputError, match=message) as error:
        read(content)
    assert "pubmed24n0001.xml" in str(error.value)


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:60] + b"\0" * 9 + data[69:]])
def test_a_damaged_gzip_file_is_named(tmp_path, damage):
    path = tmp_path / "pubmed24n0001.xml.gz"
    path.write_bytes(damage(gzip.compress(dump(article(1)))))
    (file,) = corpus_files(path, (".xml",))
    with pytest.raises(InputError, match="pubmed24n0001.xml.gz: found no readable file"):
        list(read_citations(file))
