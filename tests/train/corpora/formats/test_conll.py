"""Column files in any scheme give the mentions that were meant, in a readable text; what is written comes back."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinx.corpora import read_corpus
from clinx.corpora.documents import Document, Entity
from clinx.corpora.formats.conll import detokenized, spans_from_tags, write_conll
from clinx.errors import InputError
from tests.train.corpora.test_documents import UTF8_CHARACTER, documents


@pytest.fixture
def read(tmp_path):
    def read(content: str | bytes, **options) -> list[Document]:
        file = tmp_path / "notes.conll"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(read_corpus(file, **options))

    return read


def mentions(document: Document) -> list[tuple[str, str]]:
    return [(document.text[entity.start : entity.end], entity.label) for entity in document.entities]


@pytest.mark.parametrize(
    "tags",
    [
        "O B-P I-P B-P O B-T",  # BIO
        "O I-P I-P B-P O I-T",  # IOB1
        "O B-P E-P S-P O S-T",  # BIOES
        "O B-P L-P U-P O U-T",  # BILOU
        "O B-P M-P S-P O S-T",  # BMES, an end left out
        "O I-P E-P I-P O E-T",
    ],
)
def test_every_scheme_gives_the_same_mentions(tags):
    assert list(spans_from_tags(tags.split())) == [(1, 2, "P"), (3, 3, "P"), (5, 5, "T")]


def test_a_change_of_label_ends_a_mention_and_a_hyphen_belongs_to_the_label():
    assert list(spans_from_tags(["B-A", "I-B", "I-B-1", "I-B-1"])) == [(0, 0, "A"), (1, 1, "B"), (2, 3, "B-1")]


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("( no ) : 12 % ; fin .", "(no): 12%; fin."),
        ("¿ Dolor ? ¡ No !", "¿Dolor? ¡No!"),
        ("Parkinson ' s disease", "Parkinson's disease"),
        ("IL - 2", "IL - 2"),
        ("", ""),
    ],
)
def test_tokens_become_a_text_that_reads_as_one(tokens, text):
    found, offsets = detokenized(tokens.split())
    assert found == text
    assert [found[start:end] for start, end in offsets] == tokens.split()


def test_a_file_without_markers_is_one_document_called_after_it(read):
    (document,) = read("Dr.\tO\nLi\tB-DOCTOR\n\nOn\tO\n1/2\tB-DATE\n.\tO\n")
    assert document.id == "notes"
    assert document.text == "Dr. Li\nOn 1/2."
    assert mentions(document) == [("Li", "DOCTOR"), ("1/2", "DATE")]


@pytest.mark.parametrize("marker", ["-DOCSTART- -X- O O", "-DOCSTART-\tO", "-DOCSTART-", "# newdoc"])
def test_documents_without_ids_are_numbered(read, marker):
    documents = read(f"{marker}\n\nLi\tO\n\n{marker}\n\nAna\tB-P\n")
    assert [(document.id, document.text) for document in documents] == [("notes-1", "Li"), ("notes-2", "Ana")]


@pytest.mark.parametrize("marker", ["-DOCSTART- (n{}) O", "-DOCSTART- n{}", "# newdoc id = n{}", '# newdoc id = "n{}"'])
def test_documents_are_called_by_their_markers(read, marker):
    documents = read(f"{marker.format(1)}\nLi O\n{marker.format(2)}\nAna B-P\n")
    assert [(document.id, document.text) for document in documents] == [("n1", "Li"), ("n2", "Ana")]


def test_columns_by_tabs_or_spaces_with_line_ends_of_windows_and_a_byte_order_mark(read):
    content = "\ufeffDr. NN O\r\nLi NN B-P\r\n \r\n# sent_id = 2\r\n#\tNN\tO\r\nnon breaking\tNN\tB-P\r\n"
    (document,) = read(content)
    assert document.text == "Dr. Li\n# non breaking"
    assert mentions(document) == [("Li", "P"), ("non breaking", "P")]


def test_columns_may_be_chosen(read):
    (document,) = read("1\tLi\tB-P\tNN\n", token_column=1, label_column=2)
    assert (document.text, mentions(document)) == ("Li", [("Li", "P")])


@pytest.mark.parametrize(
    "marker", ["-DOCSTART- NN B-NP O", "-DOCSTART-\t_\t_\tO", " -docstart- : NN O", "-DOCSTART- O"]
)
def test_what_follows_a_marker_is_no_id_unless_it_is_meant_as_one(read, marker):
    assert [document.id for document in read(f"{marker}\n\nLi O\n\n{marker}\n\nAna O\n")] == ["notes-1", "notes-2"]


def test_files_as_they_are_found(read):
    (document,) = read("# a comment\n# id 12\tdomain=en\nDr.\tO\t\nLi\tB-P \n\n10\xa0000 O\n#pain=bad B-X\n")
    assert mentions(document) == [("Li", "P"), ("#pain=bad", "X")]
    assert document.text == "Dr. Li\n10\xa0000 #pain=bad"
    (document,) = read("###MEDLINE:95369245\n\nLi\tB-P\n")
    assert document.id == "MEDLINE:95369245"
    (document,) = read(
        "-DOCSTART- O\n# newdoc id = 1\n# text = del\n\n1-2\tdel\t_\n1\tde\tO\n2\tl\tO\n", token_column=1
    )
    assert (document.id, document.text) == ("1", "del")
    with pytest.raises(InputError, match="notes.conll:1: found a carriage return in a line"):
        read("Pain\tB-X\rin\tO\r")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Li", "found 1 columns in 'Li', expected a token in column 0 and a tag in column -1"),
        ("\tO", "found 2 columns"),
        ("Li\tNN", "found the tag 'NN', expected O or B-"),
        ("Li\tB-", "found the tag 'B-'"),
        ("Li\tX-P", "found the tag 'X-P'"),
        (b"Espa\xf1a\tO", "found the byte 0xf1"),
    ],
)
def test_a_faulty_line_is_refused_with_its_file_and_number(read, line, message):
    with pytest.raises(InputError, match=rf"notes\.conll:2: {message}"):
        read(b"Dr.\tO\n" + (line if isinstance(line, bytes) else line.encode()))


def test_the_text_of_a_sentence_is_taken_where_it_is_given(read):
    content = (
        '# text = Dr.  Li (Jr) .\nDr.\tO\nLi\tB-P\n(\tO\nJr\tO\n)\tO\n.\tO\n\n# text = "Li"\n"\tO\nLi\tB-P\n"\tO\n'
    )
    (document,) = read(content)
    assert document.text == 'Dr.  Li (Jr) .\n"Li"'
    assert mentions(document) == [("Li", "P"), ("Li", "P")]
    with pytest.raises(InputError, match=r"notes\.conll:3: found the token 'Ana', which does not come next"):
        read("# text = Dr. Li Ana\nDr.\tO\nAna\tO\n")


@given(st.lists(documents(UTF8_CHARACTER), max_size=3))
@settings(deadline=None)
def test_documents_survive_but_for_what_tags_cannot_hold(notes):
    for number, note in enumerate(notes):
        note.id = f"{number}-{note.id}"
    with tempfile.TemporaryDirectory() as folder:
        lost = write_conll(notes, Path(folder, "x.conll"))
        read = list(read_corpus(Path(folder, "x.conll"))) if notes else []
    assert [(note.id, note.text) for note in read] == [(note.id, note.text) for note in notes]
    n_kept = sum(len(note.entities) for note in read)
    n_lost = sum(problem.kind != "white space at its edge" for problem in lost)
    assert n_kept + n_lost == sum(len(note.entities) for note in notes)
    if not lost:
        assert read == notes


@pytest.mark.parametrize("id", ["a b", ' "', '"x"', "a\nb", "", "ñ/1", "\ufeff", "O", "= x", "\ud800"])
def test_any_id_survives(tmp_path, id):
    note = Document(id, "Li. Ana", [Entity(0, 2, "P"), Entity(4, 7, "P")])
    write_conll([note, Document("z", "")], tmp_path / "x.conll")
    assert list(read_corpus(tmp_path / "x.conll")) == [note, Document("z", "")]


def test_the_longest_of_overlapping_mentions_is_kept_and_the_others_are_reported(tmp_path):
    note = Document("a", "left lung  cancer", [Entity(0, 9, "A"), Entity(5, 17, "B"), Entity(9, 11, "C")])
    lost = write_conll([note], tmp_path / "x.conll")
    (read,) = read_corpus(tmp_path / "x.conll")
    assert read.entities == [Entity(5, 17, "B")]
    assert [(problem.kind, problem.detail) for problem in lost] == [
        ("overlapping", "a: A 0–9 'left lung'"),
        ("white space only", "a: C 9–11 '  '"),
    ]


@pytest.mark.parametrize("label", ["A\tB", "A\n", " A"])
def test_a_label_that_a_column_cannot_hold_is_refused(tmp_path, label):
    with pytest.raises(InputError, match="document 'a': found the label"):
        write_conll([Document("a", "x", [Entity(0, 1, label)])], tmp_path / "x.conll")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("corpus", "n_documents", "n_mentions", "labels"),
    [
        ("meddoprof", 2, 3210, {"PROFESION", "SITUACION_LABORAL", "ACTIVIDAD"}),
        ("bc5cdr", 2, 18978, {"Chemical", "Disease"}),
        ("ncbi-disease", 2, 5921, {"Disease"}),
    ],
)
def test_no_mention_of_a_real_corpus_is_lost(corpus, n_documents, n_mentions, labels, corpora):
    found = list(read_corpus(corpora / corpus))
    assert len(found) == n_documents
    assert sum(len(document.entities) for document in found) == n_mentions
    assert {entity.label for document in found for entity in document.entities} == labels
