"""What a heading stands for: by our own list, and by MeSH's files."""

import gzip

import pytest

from clinx.corpora.pubmed.filters import FILTERS
from clinx.corpora.pubmed.mesh import Thesaurus
from clinx.corpora.pubmed.query import compile_query, parse_query
from clinx.corpora.source import corpus_files
from clinx.errors import InputError


def record(kind: str, name: str, numbers: str, terms: str = "", descriptor_class: str = "1") -> str:
    places = "".join(f"<TreeNumber>{number}</TreeNumber>" for number in numbers.split())
    strings = "".join(f"<Term><String>{term}</String></Term>" for term in (name, *filter(None, terms.split("; "))))
    return (
        f'<{kind}Record DescriptorClass="{descriptor_class}"><{kind}Name><String>{name}</String></{kind}Name>'
        f"<TreeNumberList>{places}</TreeNumberList><ConceptList><Concept><TermList>{strings}</TermList></Concept>"
        f"</ConceptList></{kind}Record>"
    )


DESCRIPTORS = "".join(
    [
        '<!DOCTYPE DescriptorRecordSet SYSTEM "desc2026.dtd"><DescriptorRecordSet>',
        record("Descriptor", "Asthma", "C08.127 C20.543.480", "Asthma, Bronchial; Bronchial Asthma"),
        record("Descriptor", "Asthma, Occupational", "C08.127.110"),
        record("Descriptor", "Status Asthmaticus", "C20.543.480.5"),
        record("Descriptor", "Other", "C08.1270"),
        record("Descriptor", "Clinical Trials as Topic", "E05.250"),
        record("Descriptor", "New Trials as Topic", "E05.250.1"),
        record("Descriptor", "Random Allocation", "E05.3"),
        record("Descriptor", "Clinical Trial", "V03.250", descriptor_class="2"),
        record("Descriptor", "Randomized Controlled Trial", "V03.250.5", "RCT", descriptor_class="2"),
        "</DescriptorRecordSet>",
    ]
)
QUALIFIERS = "".join(
    [
        "<QualifierRecordSet>",
        record("Qualifier", "therapeutic use", "Y1"),
        record("Qualifier", "new", "Y1.1"),
        "</QualifierRecordSet>",
    ]
)


@pytest.fixture
def mesh(tmp_path):
    (tmp_path / "desc2026.gz").write_bytes(gzip.compress(DESCRIPTORS.encode()))
    (tmp_path / "qual2026.xml").write_text(QUALIFIERS)

    def mesh(*names: str) -> Thesaurus:
        return Thesaurus(file for name in names for file in corpus_files(tmp_path / name, (".xml",)))

    return mesh


def test_our_list_has_what_the_filters_ask_for():
    thesaurus = Thesaurus()
    topics = thesaurus.names("MeSH Terms", "clinical trials")
    assert topics == thesaurus.names("MeSH Terms", "clinical trials as topic") and len(topics) == 13
    assert thesaurus.names("MeSH Terms", "random allocation") == {"random allocation"}
    assert len(thesaurus.names("Publication Type", "clinical trial")) == 10
    assert thesaurus.names("Publication Type", "clinical trial", is_exploded=False) == {"clinical trial"}
    assert thesaurus.names("MeSH Subheading", "adverse effects") == {"adverse effects", "poisoning", "toxicity"}
    assert "toxicity" not in thesaurus.names("MeSH Subheading", "therapeutic use")


def test_a_name_or_entry_term_stands_for_all_below_it_in_each_of_its_places(mesh):
    thesaurus = mesh("desc2026.gz")
    for term in ("asthma", "bronchial asthma"):
        assert thesaurus.names("MeSH Terms", term) == {"asthma", "asthma, occupational", "status asthmaticus"}
        assert thesaurus.names("MeSH Terms", term, is_exploded=False) == {"asthma"}
    assert thesaurus.names("Publication Type", "rct") == {"randomized controlled trial"}


def test_meshs_file_comes_before_our_list_which_keeps_what_pubmed_translates(mesh):
    thesaurus = mesh("desc2026.gz", "qual2026.xml")
    assert thesaurus.names("MeSH Terms", "clinical trials") == {"clinical trials as topic", "new trials as topic"}
    assert thesaurus.names("MeSH Subheading", "therapeutic use") == {"therapeutic use", "new"}
    assert "poisoning" in mesh("desc2026.gz").names("MeSH Subheading", "therapeutic use")
    for query in FILTERS.values():
        compile_query(parse_query(query), thesaurus)


def test_what_mesh_does_not_have_is_told(mesh):
    with pytest.raises(InputError, match=r'MeSH has no "asthmaa"\[MeSH Terms\]; check its spelling'):
        mesh("desc2026.gz").names("MeSH Terms", "asthmaa", is_exploded=False)


def test_a_file_that_is_not_meshs_is_told(tmp_path):
    (tmp_path / "supp2026.xml").write_text("<SupplementalRecordSet/>")
    with pytest.raises(InputError, match="supp2026.xml: found <SupplementalRecordSet>, expected <DescriptorRecordSet>"):
        Thesaurus(corpus_files(tmp_path, (".xml",)))
