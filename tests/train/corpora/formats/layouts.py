"""Writes Documents in the layouts that are only read: i2b2's XML and its concepts by line and token."""

import re
from xml.sax.saxutils import escape, quoteattr

from clinx.corpora.documents import Document


def inline_xml(documents: list[Document]) -> str:
    """As i2b2 2006; the mentions do not overlap."""
    records = []
    for document in documents:
        parts, at = [], 0
        for entity in document.entities:
            mention = escape(document.text[entity.start : entity.end])
            parts += [escape(document.text[at : entity.start]), f"<PHI TYPE={quoteattr(entity.label)}>{mention}</PHI>"]
            at = entity.end
        text = "".join([*parts, escape(document.text[at:])])
        records.append(f"<RECORD ID={quoteattr(document.id)}>\n<TEXT>{text}</TEXT>\n</RECORD>\n")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<ROOT>\n{"".join(records)}</ROOT>\n'


def standoff_xml(document: Document) -> str:
    """As i2b2 2014 and MEDDOCAN."""
    tags = "".join(
        f'<PHI id="P{i}" start="{e.start}" end="{e.end}" text={quoteattr(document.text[e.start : e.end])} '
        f"TYPE={quoteattr(e.label)} />\n"
        for i, e in enumerate(document.entities)
    )
    text = document.text.replace("]]>", "]]]]><![CDATA[>")
    return f"<deIdi2b2>\n<TEXT><![CDATA[{text}]]></TEXT>\n<TAGS>\n{tags}</TAGS>\n</deIdi2b2>\n"


def concepts(document: Document) -> str:
    """As i2b2 2010; the mentions begin and end with a token."""
    places, begin = {}, 0
    for number, line in enumerate(document.text.split("\n"), 1):
        for token, match in enumerate(re.finditer(r"\S+", line)):
            places[begin + match.start()] = places[begin + match.end(), "end"] = f"{number}:{token}"
        begin += len(line) + 1
    lines = []
    for entity in document.entities:
        quoted = " ".join(document.text[entity.start : entity.end].lower().split())
        place = f"{places[entity.start]} {places[entity.end, 'end']}"
        lines.append(f'c="{quoted}" {place}||t="{entity.label}"\n')
    return "".join(lines)
