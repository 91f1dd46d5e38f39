"""Files of PubMed's dump, written for tests."""

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import quoteattr


HEAD = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2024//EN"
 "https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_240101.dtd">
"""


def article(
    pmid: int | str = 1,
    title: str = "A title.",
    abstract: str | Sequence[tuple[str, str]] = "An abstract.",
    *,
    mesh: Iterable[tuple[str, ...]] = (),
    types: Iterable[str] = ("Journal Article",),
    language: str = "eng",
    keywords: Iterable[str] = (),
    other_abstract: str = "",
    date: str = "<Year>2020</Year>",
) -> str:
    """A <PubmedArticle>: texts are XML, `abstract` may be pairs of label and text, `mesh` is a descriptor and its
    qualifiers each, with a `*` before what is a major topic."""
    sections = [("", abstract)] if isinstance(abstract, str) else abstract
    texts = "".join(
        f"<AbstractText{f' Label={quoteattr(label)}' if label else ''}>{text}</AbstractText>"
        for label, text in sections
    )
    headings = "".join(f"<MeshHeading>{_heading(*names)}</MeshHeading>" for names in mesh)
    return f"""<PubmedArticle>
  <MedlineCitation Status="MEDLINE" Owner="NLM">
    <PMID Version="1">{pmid}</PMID>
    <Article PubModel="Print">
      <Journal><JournalIssue CitedMedium="Print"><PubDate>{date}</PubDate></JournalIssue></Journal>
      <ArticleTitle>{title}</ArticleTitle>
      {f"<Abstract>{texts}<CopyrightInformation>Randomized.</CopyrightInformation></Abstract>" if abstract else ""}
      <Language>{language}</Language>
      <PublicationTypeList>{_all("PublicationType", types)}</PublicationTypeList>
    </Article>
    {f"<MeshHeadingList>{headings}</MeshHeadingList>" if mesh else ""}
    {f"<OtherAbstract><AbstractText>{other_abstract}</AbstractText></OtherAbstract>" if other_abstract else ""}
    <KeywordList Owner="NOTNLM">{_all("Keyword", keywords)}</KeywordList>
  </MedlineCitation>
  <PubmedData><ReferenceList><Reference><Citation>A randomized controlled trial.</Citation>
    <ArticleIdList><ArticleId IdType="pubmed">99</ArticleId></ArticleIdList></Reference></ReferenceList></PubmedData>
</PubmedArticle>
"""


def _heading(descriptor: str, *qualifiers: str) -> str:
    parts = [("DescriptorName", descriptor), *(("QualifierName", qualifier) for qualifier in qualifiers)]
    return "".join(
        f'<{tag} UI="D1" MajorTopicYN="{"Y" if name.startswith("*") else "N"}">{name.lstrip("*")}</{tag}>'
        for tag, name in parts
    )


def _all(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{text}</{tag}>" for text in texts)


def dump(*articles: str, deleted: Iterable[int] = ()) -> bytes:
    """A file of the dump."""
    gone = "".join(f'<PMID Version="1">{pmid}</PMID>' for pmid in deleted)
    end = f"<DeleteCitation>{gone}</DeleteCitation>" if gone else ""
    return f"{HEAD}<PubmedArticleSet>\n{''.join(articles)}{end}</PubmedArticleSet>\n".encode()
