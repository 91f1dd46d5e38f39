"""Notes written for the tests in exactly the layouts of i2b2, and with the defects of the real files."""

import pytest

from clinx.corpora import read_corpus
from clinx.corpora.documents import Document
from clinx.errors import InputError
from tests.train.annotated import problem_counts


def mentions(document: Document) -> list[tuple[str, str]]:
    return [(document.text[entity.start : entity.end], entity.label) for entity in document.entities]


RECORDS = """<?xml version="1.0" encoding="UTF-8"?>
<ROOT>
<RECORD ID="641">
<TEXT>
<PHI TYPE="ID">6410279</PHI>
<PHI TYPE="HOSPITAL">CGH &amp; Sons</PHI>
Discharged <PHI TYPE="DATE">02/19</PHI>, BP < 90 &amp; falling, pO2 &lt; 60 & rising.
Seen by Dr. <PHI TYPE="DOCTOR">Müller-Lüd</PHI>.
[ report_end ]
</TEXT>
</RECORD>
<RECORD ID="642">
<TEXT>
No PHI, AGE > 89 only: <PHI TYPE="AGE">92</PHI><PHI TYPE="DATE">1/2</PHI>
</TEXT>
</RECORD>
</ROOT>
"""
EXPECTED_2006 = [
    [("6410279", "ID"), ("CGH & Sons", "HOSPITAL"), ("02/19", "DATE"), ("Müller-Lüd", "DOCTOR")],
    [("92", "AGE"), ("1/2", "DATE")],
]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_2006_mentions_stand_in_the_text_of_many_records(tmp_path, line_end, mark):
    (tmp_path / "train.xml").write_bytes((mark + RECORDS.replace("\n", line_end)).encode())
    documents = list(read_corpus(tmp_path / "train.xml"))  # the format is guessed
    assert [document.id for document in documents] == ["641", "642"]
    assert [mentions(document) for document in documents] == EXPECTED_2006
    assert documents[0].text.startswith("\n6410279\nCGH & Sons\nDischarged 02/19, BP < 90 & falling, pO2 < 60 & ")
    assert not problem_counts(documents)


def test_2006_a_tag_that_opens_where_one_should_close_closes_it(tmp_path):
    # as on line 25722 of the real training file
    note = 'On <PHI TYPE="DATE">25th of July<PHI TYPE="DOCTOR"> and <PHI TYPE="DATE">26th</PHI>.'
    (tmp_path / "a.xml").write_text(f'<ROOT><RECORD ID="1"><TEXT>{note}</TEXT></RECORD></ROOT>')
    (document,) = read_corpus(tmp_path, "i2b2-2006")
    assert document.text == "On 25th of July and 26th."
    assert mentions(document) == [("25th of July", "DATE"), ("26th", "DATE")]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("<RECORD><TEXT>x</TEXT></RECORD>", "found a <RECORD ID=''>"),
        ('<RECORD ID="1"></RECORD>', "found a <RECORD ID='1'> with 0 <TEXT>"),
        ('<RECORD ID="1"><TEXT><PHI>x</PHI></TEXT></RECORD>', "record '1': found <PHI> without TYPE"),
        ('<RECORD ID="1"><TEXT/></RECORD><RECORD ID="1"><TEXT/></RECORD>', "found the document '1' again"),
        ('\n<RECORD ID="1"><TEXT></RECORD>', r"a\.xml:2: this is not well-formed XML at column 24"),
    ],
)
def test_2006_a_faulty_record_is_refused_with_its_id_or_line(tmp_path, record, message):
    (tmp_path / "a.xml").write_text(f"<ROOT>{record}</ROOT>")
    with pytest.raises(InputError, match=message):
        list(read_corpus(tmp_path, "i2b2-2006"))


NOTE_2010 = 'Admission Date :\n2010-01-02\n  Chest  pain , "the big" mass\nof 3 cm ; given aspirin\n'
CONCEPTS_2010 = (
    'c="chest pain" 3:0 3:1||t="problem"\n'
    'c=""the big" mass of 3 cm" 3:3 4:2||t="problem"\n'
    'c="aspirin" 4:5 4:5||t="treatment"\n'
)
EXPECTED_2010 = [("Chest  pain", "problem"), ('"the big" mass\nof 3 cm', "problem"), ("aspirin", "treatment")]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_2010_lines_count_from_1_and_tokens_from_0(tmp_path, line_end, mark):
    for folder, name, content in (("txt", "a.txt", NOTE_2010), ("concept", "a.con", CONCEPTS_2010)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes((mark + content.replace("\n", line_end)).encode())
    (tmp_path / "txt/b.txt").write_text("Nothing here.")
    (tmp_path / "concept/b.con").write_text("")
    documents = list(read_corpus(tmp_path))
    assert [document.id for document in documents] == ["txt/a", "txt/b"]
    assert mentions(documents[0]) == [(text.replace("\n", line_end), label) for text, label in EXPECTED_2010]
    assert mentions(documents[1]) == []
    assert not problem_counts(documents)
    assert mentions(next(read_corpus(tmp_path / "txt/a.txt", annotated=False))) == []


def test_2010_a_byte_order_mark_is_no_part_of_the_first_token(tmp_path):
    (tmp_path / "a.txt").write_text("\ufeffchest pain")
    (tmp_path / "a.con").write_text('c="chest pain" 1:0 1:1||t="problem"')
    (document,) = read_corpus(tmp_path)
    assert mentions(document) == [("chest pain", "problem")] and not document.problems


def test_2010_lines_that_are_off_by_a_leading_one_are_moved(tmp_path):
    (tmp_path / "a.txt").write_text("\n" + NOTE_2010)
    (tmp_path / "a.con").write_text(CONCEPTS_2010)
    (document,) = read_corpus(tmp_path)
    assert mentions(document) == EXPECTED_2010
    assert problem_counts([document]) == {"offsets moved": 3}


@pytest.mark.parametrize(
    "line",
    [
        'c="pain" 3:0||t="problem"',
        'c="pain" 3:0 3:x||t="problem"',
        'c="pain" 3:0 3:1',
        'c="pain" 3:0 3:1||t=""',
        "pain",
        'c="pain" 3:0 3:' + "9" * 5000 + '||t="problem"',
    ],
)
def test_2010_a_malformed_line_is_refused_with_its_file_and_number(tmp_path, line):
    (tmp_path / "a.txt").write_text(NOTE_2010)
    (tmp_path / "a.con").write_text(f"{CONCEPTS_2010}{line}\n")
    with pytest.raises(InputError, match=r"a\.con:4: found '.*expected c=\"TEXT\" LINE:TOKEN"):
        list(read_corpus(tmp_path))


@pytest.mark.parametrize("place", ["0:0 1:0", "3:0 3:99", "99:0 99:1", "3:1 3:0"])
def test_2010_a_place_that_is_not_in_the_text_is_refused_or_counted(tmp_path, place):
    (tmp_path / "a.txt").write_text(NOTE_2010)
    (tmp_path / "a.con").write_text(f'{CONCEPTS_2010}c="pain" {place}||t="problem"\n')
    with pytest.raises(InputError, match=r"a\.con:4: found 'pain' at line, token"):
        list(read_corpus(tmp_path))
    (document,) = read_corpus(tmp_path, outside="drop")
    assert mentions(document) == EXPECTED_2010
    assert problem_counts([document]) == {"outside the text": 1}


def test_2010_texts_and_concepts_find_each_other_by_name_and_nearness(tmp_path):
    for folder in ("beth", "partners"):
        for part, name, content in (("txt", "r.txt", f"{folder} pain"), ("concept", "r.con", None)):
            file = tmp_path / folder / part / name
            file.parent.mkdir(parents=True)
            file.write_text(content or f'c="{folder}" 1:0 1:0||t="problem"')
    assert [mentions(document)[0][0] for document in read_corpus(tmp_path)] == ["beth", "partners"]
    (tmp_path / "beth/concept/s.con").write_text("")
    with pytest.raises(InputError, match=r"s\.con: found concepts without a text"):
        list(read_corpus(tmp_path))
    (tmp_path / "beth/concept/s.con").unlink()
    (tmp_path / "partners/concept/r.con").rename(tmp_path / "partners/concept/q.con")
    (tmp_path / "beth/concept/r.con").rename(tmp_path / "beth/concept/p.con")
    with pytest.raises(InputError, match=r"r\.txt: expected one file of concepts of this name, found none"):
        list(read_corpus(tmp_path))


TEXT_2012 = "\nAdmission Date :\n09/29/1993\nPain & nausea , BP < 90 , was given aspirin twice daily\nfor two days .\n"
TAGS_2012 = """<EVENT id="E0" start="1" end="10" text="Admission" modality="FACTUAL" polarity="POS" type="OCCURRENCE" />
<EVENT id="E1" start="29" end="42" text="Pain & nausea" modality="FACTUAL" polarity="POS" type="PROBLEM" />
<EVENT id="E2" start="45" end="52" text="BP < 90" modality="FACTUAL" polarity="POS" type="TEST" />
<EVENT id="E3" start="65" end="72" text="aspirin" modality="FACTUAL" polarity="POS" type="TREATMENT" />
<TIMEX3 id="T0" start="18" end="28" text="09/29/1993" type="DATE" val="1993-09-29" mod="NA" />
<TIMEX3 id="T1" start="73" end="84" text="twice daily" type="FREQUENCY" val="RP12H" mod="NA" />
<TIMEX3 id="T2" start="85" end="97" text="for two days" type="DURATION" val="P2D" mod="NA" />
<TLINK id="TL0" fromID="E0" fromText="Admission" toID="T0" toText="09/29/1993" type="OVERLAP" />
<SECTIME id="S0" start="18" end="28" text="09/29/1993" type="ADMISSION" dvalue="1993-09-29" />
"""
EXTENT_2012 = """EVENT="Admission" 1:0 1:0||type="OCCURRENCE"||modality="FACTUAL"||polarity="POS"
EVENT="Pain & nausea" 3:0 3:2||type="PROBLEM"||modality="FACTUAL"||polarity="POS"
EVENT="BP < 90" 3:4 3:6||type="TEST"||modality="FACTUAL"||polarity="POS"
EVENT="aspirin" 3:10 3:10||type="TREATMENT"||modality="FACTUAL"||polarity="POS"
TIMEX3="09/29/1993" 2:0 2:0||type="DATE"||val="1993-09-29"||mod="NA"
TIMEX3="twice daily" 3:11 3:12||type="FREQUENCY"||val="RP12H"||mod="NA"
TIMEX3="for two days" 4:0 4:2||type="DURATION"||val="P2D"||mod="NA"
"""
EVENTS = [("Admission", "OCCURRENCE"), ("Pain & nausea", "PROBLEM"), ("BP < 90", "TEST"), ("aspirin", "TREATMENT")]
TIMES = [("09/29/1993", "DATE"), ("twice daily", "FREQUENCY"), ("for two days", "DURATION")]


def xml_2012(text: str = TEXT_2012, tags: str = TAGS_2012) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8" ?>\n<ClinicalNarrativeTemporalAnnotation>\n'
        f"<TEXT><![CDATA[{text}]]></TEXT>\n<TAGS>\n{tags}</TAGS>\n</ClinicalNarrativeTemporalAnnotation>\n"
    )


@pytest.mark.parametrize(
    "content",
    [
        xml_2012(),
        xml_2012().replace("\n", "\r\n"),
        "\ufeff" + xml_2012(),
        xml_2012(TEXT_2012.replace("given ", "given\x0c")),
        xml_2012().replace("<![CDATA[", "").replace("]]>", ""),  # nothing is escaped anywhere
    ],
)
@pytest.mark.parametrize(("format", "expected"), [("i2b2-2012-c", EVENTS), ("i2b2-2012-t", TIMES)])
def test_2012_events_and_times_are_read_though_nothing_is_escaped(tmp_path, content, format, expected):
    (tmp_path / "23.xml").write_bytes(content.encode())
    (document,) = read_corpus(tmp_path, format)
    assert document.id == "23"
    assert mentions(document) == expected
    assert not document.problems


@pytest.mark.parametrize("leading", ["", "\n\n"])
def test_2012_offsets_that_are_off_by_a_leading_line_end_are_moved(tmp_path, leading):
    (tmp_path / "23.xml").write_text(xml_2012(leading + TEXT_2012[1:]))
    (document,) = read_corpus(tmp_path, "i2b2-2012-c")
    assert mentions(document) == EVENTS
    assert problem_counts([document]) == {"offsets moved": 4}


def test_2012_a_line_end_before_the_mention_is_none_of_it(tmp_path):
    tags = TAGS_2012.replace('start="85"', 'start="84"').replace('start="18" end="28" text', 'start="17" end="28" text')
    (tmp_path / "23.xml").write_text(xml_2012(tags=tags))
    (document,) = read_corpus(tmp_path, "i2b2-2012-t")
    assert mentions(document) == TIMES


def test_2012_offsets_that_count_windows_line_ends_keep_them(tmp_path):
    text = TEXT_2012.replace("\n", "\r\n")
    tags = "".join(
        f'<EVENT id="E{i}" start="{text.index(mention)}" end="{text.index(mention) + len(mention)}" text="{mention}" '
        f'type="{label}" />'
        for i, (mention, label) in enumerate(EVENTS)
    )
    (tmp_path / "23.xml").write_bytes(xml_2012(text, tags).encode())
    (document,) = read_corpus(tmp_path, "i2b2-2012-c")
    assert mentions(document) == EVENTS
    assert document.text == text and not document.problems


def test_2012_a_text_that_differs_is_kept_where_it_is_and_counted(tmp_path):
    (tmp_path / "23.xml").write_text(xml_2012(tags=TAGS_2012.replace('text="aspirin"', 'text="heparin"')))
    (document,) = read_corpus(tmp_path, "i2b2-2012-c")
    assert mentions(document) == EVENTS
    ((kind, detail),) = document.problems
    assert kind == "text differs" and "23.xml: <EVENT id='E3' start='65'>: 'heparin', in the text 'aspirin'" in detail


@pytest.mark.parametrize(("format", "expected"), [("i2b2-2012-c", EVENTS), ("i2b2-2012-t", TIMES)])
@pytest.mark.parametrize("text_of", ["23.xml", "23.txt", "23.xml.txt"])
def test_2012_extents_give_what_the_xml_gives(tmp_path, format, expected, text_of):
    (tmp_path / "23.xml.extent").write_text(EXTENT_2012)
    (tmp_path / "23.xml.tlink").write_text("")
    (tmp_path / text_of).write_text(xml_2012(TEXT_2012[1:]) if text_of == "23.xml" else TEXT_2012[1:])
    (document,) = read_corpus(tmp_path, format + "-extent")
    assert document.id == "23"
    assert mentions(document) == expected
    assert not document.problems


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("<TAGS>", "<TAGS></TAGS><TAGS>", "found 2 <TAGS>"),
        ("<TEXT>", "<TEXT></TEXT><TEXT>", "found 2 <TEXT>"),
        ("<TEXT>", "<TEXT><b>x</b>", "found tags inside of the <TEXT>"),
    ],
)
def test_2012_a_second_text_is_refused(tmp_path, before, after, message):
    (tmp_path / "23.xml").write_text(xml_2012().replace(before, after))
    with pytest.raises(InputError, match=message):
        list(read_corpus(tmp_path, "i2b2-2012-c"))


def test_2012_tags_within_tags_and_without_a_text_are_read(tmp_path):
    tags = '<EVENT id="E0" start="2" end="3" type="PROBLEM" /><EVENT start="0" end="2" text="ab" type="TEST" />'
    (tmp_path / "23.xml").write_text(xml_2012("ab cd", f"<GROUP>{tags}</GROUP>"))
    (document,) = read_corpus(tmp_path, "i2b2-2012-c")
    assert mentions(document) == [("ab", "TEST"), (" ", "PROBLEM")]
    assert not document.problems


def test_2012_the_two_tasks_of_one_file_are_not_guessed(tmp_path):
    (tmp_path / "23.xml").write_text(xml_2012())
    with pytest.raises(InputError, match="name it, one of: .*i2b2-2012-c"):
        read_corpus(tmp_path)


XML_2014 = """<?xml version="1.0" encoding="UTF-8" ?>
<deIdi2b2>
<TEXT><![CDATA[

Record date: 2067-05-03

Mr. Ñuñez-O'Neil is 92 & lives in St. 0 < x
]]></TEXT>
<TAGS>
<DATE id="P0" start="15" end="25" text="2067-05-03" TYPE="DATE" comment="" />
<NAME id="P1" start="31" end="43" text="Ñuñez-O'Neil" TYPE="PATIENT" comment="" />
<AGE id="P2" start="47" end="49" text="92" TYPE="AGE" comment="" />
<LOCATION id="P3" start="61" end="64" text="St." TYPE="LOCATION-OTHER" comment="" />
</TAGS>
</deIdi2b2>
"""
EXPECTED_2014 = [("2067-05-03", "DATE"), ("Ñuñez-O'Neil", "PATIENT"), ("92", "AGE"), ("St.", "LOCATION-OTHER")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "iso-8859-1", "utf-16"])
def test_2014_the_label_is_the_type_whatever_the_tag(tmp_path, encoding):
    (tmp_path / "220-01.xml").write_bytes(XML_2014.replace("UTF-8", encoding.removesuffix("-sig")).encode(encoding))
    (document,) = read_corpus(tmp_path)
    assert mentions(document) == EXPECTED_2014
    assert document.text.startswith("\n\nRecord date")
    assert not document.problems


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('start="15"', "", "<DATE id='P0' start=None>: found start='' and end='25'"),
        ('start="15"', 'start="1.5"', "<DATE id='P0' start='1.5'>: found start='1.5'"),
        ('start="15"', 'start="' + "9" * 5000 + '"', "<DATE id='P0' start='9+'>: found start='9999"),
        ('start="15"', 'start="99"', "<DATE id='P0' start='99'>: found a mention from 99 to 25"),
        ('TYPE="DATE"', 'TYPE=""', "<DATE id='P0' start='15'>: found the label ''"),
        ("<TAGS>", "<TAG>", r"220-01\.xml:14: this is not well-formed XML"),
        ("TEXT>", "TXT>", "found no <TEXT>"),
        ("TAGS>", "TAG>", "found no <TAGS>"),
        ("<deIdi2b2>", '<!DOCTYPE x [<!ENTITY a "b">]>\n<deIdi2b2>', "found a declaration of entities"),
        ("UTF-8", "klingon", "this file is not klingon"),
    ],
)
def test_2014_a_fault_is_refused_with_its_file_and_tag(tmp_path, before, after, message):
    (tmp_path / "220-01.xml").write_text(XML_2014.replace(before, after))
    with pytest.raises(InputError, match=rf"220-01\.xml.*{message}|{message}"):
        list(read_corpus(tmp_path, "i2b2-2014"))
