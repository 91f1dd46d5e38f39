"""What a reading looks like, and that nothing of a note gets out of its place."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st


views = pytest.importorskip("views")
TEXT = "Ana Ruiz toma <b>paracetamol</b>."
ENTITIES = [
    {"start": 0, "end": 8, "label": "NAME", "score": 0.9, "agreement": 1.0},
    {"start": 17, "end": 28, "label": "DRUG", "score": 0.4, "agreement": 0.6},
]
LABELS = ["DRUG", "NAME"]


class Texts(HTMLParser):
    """The text of a page, and the tags in it."""

    def __init__(self, html):
        super().__init__()
        self.text, self.tags = "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_mentions_are_marked_with_their_labels_and_the_rest_stands_as_it_is():
    page = Texts(views.marked(TEXT, ENTITIES, LABELS, chosen=1))
    assert page.text == "Ana RuizNAME toma <b>paracetamolDRUG</b>."
    assert page.tags == ["div", "mark", "sub", "mark", "sub"]
    assert views.marked(TEXT, ENTITIES, LABELS, chosen=1).count('id="chosen"') == 1


@given(st.text(max_size=60), st.data())
def test_no_text_becomes_markup(text, data):
    ends = sorted(data.draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=2))) if len(text) > 1 else [0, 0]
    label = data.draw(st.text(min_size=1, max_size=5))
    entities = [{"start": ends[0], "end": ends[1], "label": label, "score": 1.0, "agreement": None}]
    for html in (
        views.marked(text, entities, [label]),
        views.compared(text, entities, [entities, []], [label]),
        views.status(text, [views.style_of(label, [label])]),
    ):
        assert set(Texts(html).tags) <= {"div", "mark", "sub", "span", "p", "style", "table", "tr", "th", "td"}


def test_what_would_be_invisible_or_turn_the_order_is_named():
    shown = views.shown_text("a\x00b\u202ec\u200dd\n\t<script>")
    assert "U+0000" in shown and "U+202E" in shown and "\u200d" in shown and "&lt;script&gt;" in shown
    assert "\x00" not in shown and "\u202e" not in shown
    assert views.shown_text("a\r\nb\rc").count("U+000D") == 1  # lines that end as in Windows look like all others


def test_a_label_has_its_style_whatever_was_found():
    labels = [f"L{number}" for number in range(20)]
    styles = [views.style_of(label, labels) for label in labels]
    assert len(set(styles)) == 20 and views.style_of("L3", labels) == styles[3]


def test_mentions_on_which_members_differ_come_first():
    html = views.compared(TEXT, ENTITIES, [ENTITIES, ENTITIES[:1]], LABELS)
    assert "differ on 1 of 2 mentions" in html and html.index("paracetamol") < html.index("Ana Ruiz")
    assert "single model" in views.compared(TEXT, ENTITIES, [], LABELS)


def test_mentions_are_replaced_by_their_types():
    assert views.replaced(TEXT, ENTITIES) == "[NAME] toma <b>[DRUG]</b>."
    assert views.rows(TEXT, ENTITIES)[1] == ["paracetamol", "DRUG", 0.4, "60%", 17, 28]
