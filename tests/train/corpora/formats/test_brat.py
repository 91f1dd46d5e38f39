"""BRAT folders are read exactly, or the fault is named by file and line; what is written can be read by others."""

from collections import Counter

import pytest

from clinx.corpora import read_corpus
from clinx.corpora.documents import Document, Entity
from clinx.corpora.formats.brat import write_brat
from clinx.errors import InputError
from tests.train.annotated import problem_counts


@pytest.fixture
def read(tmp_path):
    """Writes one note and its annotations as bytes, and reads them."""

    def read(text: str | bytes, annotations: str | bytes, **options) -> Document:
        for suffix, content in ((".txt", text), (".ann", annotations)):
            (tmp_path / f"note{suffix}").write_bytes(content if isinstance(content, bytes) else content.encode())
        (document,) = read_corpus(tmp_path, "brat", **options)
        return document

    return read


@pytest.mark.parametrize(
    ("corpus", "notes", "mentions", "differing", "marked"),
    [
        ("meddocan/train", 500, 11333, 0, 15),
        ("meddocan/dev", 250, 5801, 0, 7),
        ("pharmaconer/train", 500, 3822, 5, 0),
        ("pharmaconer/dev", 250, 1926, 0, 0),
        ("cantemist/train", 501, 6396, 0, 0),
        ("cantemist/dev1", 250, 3341, 0, 0),
        ("cantemist/dev2", 250, 2660, 0, 0),
    ],
)
def test_no_mention_of_a_real_corpus_is_lost(corpus, notes, mentions, differing, marked, corpora):
    documents = list(read_corpus(corpora / corpus))
    assert len(documents) == notes
    assert sum(len(document.entities) for document in documents) == mentions
    assert problem_counts(documents) == +Counter({"text differs": differing})
    assert sum(document.text.startswith("\ufeff") for document in documents) == marked


def test_only_mentions_are_read(read):
    annotations = (
        "T1\tDRUG 0 7\taspirin\n\n#1\tAnnotatorNotes T1\t85600001\nR1\tTreats Arg1:T1 Arg2:T2\n"
        "E1\tDRUG:T1\nA1\tNegated T1\nM1\tNegated T1\nN1\tReference T1 ATC:N02\tx\n*\tEquiv T1 T2\n"
        "T2\tPAIN 12 16\tpain\n"
    )
    assert read("aspirin for pain", annotations).entities == [Entity(0, 7, "DRUG"), Entity(12, 16, "PAIN")]


@pytest.mark.parametrize(
    ("text", "mention"),
    [
        ("\ufeffDr. Li", "Li"),
        ("Dr.\r\nLi\r\n", "Li"),
        ("\0Li", "Li"),
        ("👩🏽‍⚕️ Li", "Li"),
        ("الطبيب محمد هنا", "محمد"),
        ("a\u2028b\x85Li", "Li"),
    ],
)
def test_offsets_count_every_character_of_the_file(read, text, mention):
    start = text.index(mention)
    document = read(text, f"T1\tDOCTOR {start} {start + len(mention)}\t{mention}\n")
    assert document.text == text
    assert [text[e.start : e.end] for e in document.entities] == [mention]
    assert not document.problems


def test_windows_line_ends_and_a_byte_order_mark_in_the_annotations_are_no_fault(read):
    document = read("Dr. Li", b"\xef\xbb\xbfT1\tDOCTOR 4 6\tLi\r\n\r\nT2\tTITLE 0 3\tDr.\r\n")
    assert document.entities == [Entity(0, 3, "TITLE"), Entity(4, 6, "DOCTOR")]
    assert not document.problems


def test_overlapping_mentions_are_all_kept_and_doubled_ones_once(read):
    lines = ["T1\tA 0 4\tlung", "T2\tA 0 11\tlung cancer", "T3\tB 0 4\tlung", "T4\tA 0 4\tlung"]
    entities = read("lung cancer", "\n".join(lines)).entities
    assert entities == [Entity(0, 4, "A"), Entity(0, 4, "B"), Entity(0, 11, "A")]


@pytest.mark.parametrize("offsets", ["0 4;10 14", "10 14;0 4"])
def test_a_discontinuous_mention_becomes_its_hull_or_is_dropped_and_is_counted(read, offsets):
    annotations = f"T1\tPAIN {offsets}\tleft knee\n"
    hull = read("left arm, knee", annotations)
    assert hull.entities == [Entity(0, 14, "PAIN")]
    dropped = read("left arm, knee", annotations, discontinuous="drop")
    assert dropped.entities == []
    assert problem_counts([hull]) == problem_counts([dropped]) == {"discontinuous": 1}


@pytest.mark.parametrize("offsets", ["0 4;4 8", "0 4;5 8", "0 8;2 4"])
def test_fragments_with_nothing_but_white_space_between_are_one_mention(read, offsets):
    document = read("left\nkne", f"T1\tPAIN {offsets}\t-\n", discontinuous="drop")
    assert document.entities == [Entity(0, 8, "PAIN")]
    assert not problem_counts([document])["discontinuous"]


def test_a_text_column_that_differs_is_counted_but_line_ends_shown_as_spaces_are_none(read):
    assert not read("left\r\nknee", "T1\tPAIN 0 10\tleft  knee\n").problems
    document = read("left knee", "T1\tPAIN 0 9\tright knee\n")
    ((kind, detail),) = document.problems
    assert kind == "text differs" and "note.ann:1: 'right knee', in the text 'left knee'" in detail
    assert document.entities == [Entity(0, 9, "PAIN")]


@pytest.mark.parametrize(
    "line",
    [
        "T1",
        "T1\tA",
        "T1\tA 0 2",
        "T1 A 0 2\tDr",
        "T1\tA\t0 2\tDr",
        "T1\tA 0\tDr",
        "T1\tA 0 2;\tDr",
        "T1\tA 0 x\tDr",
        "T1\tA 0 " + "9" * 5000 + "\tDr",
        "T1\tA 0.0 2\tDr",
        "T1\tA -1 2\tDr",
        "T1\tA B 0 2\tDr",
        "T1\t0 2\tDr",
        "T1\tA ٠ ٢\tDr",
        "Dr 0 2",
    ],
)
def test_a_malformed_line_is_refused_with_its_file_and_number(read, line):
    with pytest.raises(InputError, match=r"note\.ann:2: found .*, expected an identifier, a tab, a label"):
        read("Dr. Li", f"T9\tA 0 2\tDr\n{line}\n")


@pytest.mark.parametrize("offsets", ["0 0", "2 0", "0 7", "7 9", "0 2;6 9"])
def test_a_mention_outside_of_its_text_is_refused_with_its_file_and_number(read, offsets):
    with pytest.raises(InputError, match=r"note\.ann:1: found a mention from .* expected 0 <= start < end <= 6"):
        read("Dr. Li", f"T1\tA {offsets}\tDr\n")


@pytest.mark.parametrize("annotations", ["", "\n", "\ufeff"])
def test_an_empty_annotation_file_means_no_mentions(read, annotations):
    assert read("Dr. Li", annotations) == Document("note", "Dr. Li")


def test_what_is_no_utf8_is_refused_with_its_byte_offset(read):
    with pytest.raises(InputError, match=r"note\.txt: found the byte 0xf1 at byte offset 4, expected UTF-8; .*iconv"):
        read("España".encode("latin-1"), "")
    with pytest.raises(InputError, match=r"note\.ann: found the byte 0xf1 at byte offset 16"):
        read("España", "T1\tPAIS 0 6\tEspaña".encode("latin-1"))


def test_a_note_without_annotations_is_refused_unless_texts_alone_are_wanted(tmp_path):
    (tmp_path / "a.txt").write_text("Dr. Li")
    with pytest.raises(InputError, match=r"a\.ann: found no such file .*annotated=False"):
        list(read_corpus(tmp_path, "brat"))
    (tmp_path / "b.txt").write_text("x")
    (tmp_path / "b.ann").write_text("no annotation")
    assert list(read_corpus(tmp_path, "brat", annotated=False)) == [Document("a", "Dr. Li"), Document("b", "x")]


def test_annotations_without_a_note_are_refused(tmp_path):
    (tmp_path / "a.ann").write_text("")
    with pytest.raises(InputError, match=r"a\.ann: found annotations without a\.txt"):
        list(read_corpus(tmp_path, "brat"))


def test_ids_are_paths_in_sorted_order_and_hidden_files_are_passed_over(tmp_path):
    for name in ("b/note", "a.1", "b/.hidden", "__MACOSX/._a"):
        for suffix in (".txt", ".ann"):
            (tmp_path / (name + suffix)).parent.mkdir(exist_ok=True)
            (tmp_path / (name + suffix)).touch()
    assert [document.id for document in read_corpus(tmp_path, "brat")] == ["a.1", "b/note"]
    assert [document.id for document in read_corpus(tmp_path / "b" / "note.txt", "brat")] == ["note"]


def test_a_path_that_is_no_corpus_and_an_unknown_option_are_refused(tmp_path):
    with pytest.raises(InputError, match="found no such file or folder"):
        list(read_corpus(tmp_path / "absent", "brat"))
    with pytest.raises(InputError, match="expected 'hull' or 'drop'"):
        list(read_corpus(tmp_path, "brat", discontinuous="split"))


def test_predictions_are_written_with_their_scores_as_notes(tmp_path):
    document = Document("in/note", "Dr.\r\nLi\tJr", [Entity(0, 10, "DOCTOR", 0.98712), Entity(0, 3, "TITLE")])
    write_brat(document, tmp_path)
    assert (tmp_path / "in/note.txt").read_bytes() == b"Dr.\r\nLi\tJr"
    assert (tmp_path / "in/note.ann").read_text() == (
        "T1\tDOCTOR 0 10\tDr.  Li Jr\n#1\tAnnotatorNotes T1\tscore 0.987\nT2\tTITLE 0 3\tDr.\n"
    )
    assert sorted(file.name for file in (tmp_path / "in").iterdir()) == ["note.ann", "note.txt"]


def test_lone_surrogates_are_written_one_for_one(tmp_path):
    write_brat(Document("a", "\ud800Li", [Entity(0, 3, "DOCTOR")]), tmp_path)
    assert list(read_corpus(tmp_path, "brat")) == [Document("a", "\ufffdLi", [Entity(0, 3, "DOCTOR")])]


@pytest.mark.parametrize(
    "id", ["", ".", "..", "../x", "a/../../x", "/tmp/x", "a//b", "a/", ".a", "..\\x", "a\0", "\ud800"]
)
def test_an_id_that_leads_out_of_the_folder_is_refused(tmp_path, id):
    with pytest.raises(InputError, match="found an id that is no path inside of"):
        write_brat(Document(id, "x"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("label", ["TWO WORDS", "A\tB", "A\n"])
def test_a_label_that_the_format_cannot_hold_is_refused(tmp_path, label):
    with pytest.raises(InputError, match="document 'a': found the label"):
        write_brat(Document("a", "x", [Entity(0, 1, label)]), tmp_path)
    assert not list(tmp_path.iterdir())
