"""A reading as HTML and tables: everything that stands in a note is escaped."""

import unicodedata
from collections.abc import Sequence
from html import escape


# Okabe and Ito's colours, which people with any colour vision tell apart; then again with another line below.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A900", "#7F7F7F")
LINES = ("solid", "dashed", "dotted", "double")

CSS = """
body:not(.dark) { --color-accent: var(--primary-700); }
.note { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2.1; font-size: 1.05rem; }
.note mark, .members mark, #types label {
  color: inherit; background: color-mix(in srgb, var(--c) 22%, transparent);
  border-bottom: 3px var(--l) var(--c); border-radius: 3px 3px 0 0; padding: 1px 2px; unicode-bidi: isolate;
}
.note mark sub { font-size: .7rem; margin-left: .35em; vertical-align: baseline; }
.note mark.chosen { outline: 3px solid currentColor; outline-offset: 2px; }
.note .control { font-size: .7rem; border: 1px dashed currentColor; border-radius: 3px; padding: 0 .2em; }
.fault { border-left: 4px solid #D55E00; padding-left: .6rem; font-weight: 600; }
.members { overflow: auto; max-height: 40rem; } .members table { border-collapse: collapse; width: 100%; }
.members th, .members td { text-align: left; padding: .3rem .6rem; }
#members :is(table, thead, tbody, tr, th, td) { border: 0; }
#members :is(th, td) { border-bottom: 1px solid var(--border-color-primary); }
.members th { position: sticky; top: 0; background: var(--body-background-fill); }
.members tr.agreed { opacity: .75; } .members td.no { font-weight: 700; }
"""


def style_of(label: str, labels: Sequence[str]) -> str:
    """The colour and line of a label, the same wherever the model is shown."""
    number = labels.index(label) if label in labels else len(labels)
    line = LINES[number // len(COLOURS) % len(LINES)]
    return f"--c:{COLOURS[number % len(COLOURS)]};--l:{line}"


def shown_text(text: str) -> str:
    """The text as HTML in which it stands as it is, and what would be invisible or turn the order is named."""
    shown = []
    for character in text.replace("\r\n", "\n"):
        category = unicodedata.category(character)
        if character in "\n\t" or category not in ("Cc", "Cf", "Cs", "Co", "Cn"):
            shown.append(escape(character))
        elif character in "\u200d\ufe0f":  # joins emoji
            shown.append(character)
        else:
            shown.append(f'<span class="control">U+{ord(character):04X}</span>')
    return "".join(shown)


def status(text: str, styles: Sequence[str] = (), *, fault: bool = False) -> str:
    """What the app does or did, or why not, and the styles of the boxes of the filter by types, one after the other."""
    rules = (f"#types label:nth-of-type({number}) {{{style}}}" for number, style in enumerate(styles, 1))
    role = 'role="alert" class="fault"' if fault else 'role="status"'
    return f"<p {role}>{shown_text(text)}</p><style>{''.join(rules)}</style>"


def marked(text: str, entities: Sequence[dict], labels: Sequence[str], chosen: int | None = None) -> str:
    """The note with its mentions marked, each with its label behind it; `chosen` is the number of one to point at."""
    parts, end = [], 0
    for number, entity in enumerate(entities):
        parts.append(shown_text(text[end : entity["start"]]))
        css = ' class="chosen" id="chosen"' if number == chosen else ""
        mention = shown_text(text[entity["start"] : entity["end"]])
        style = style_of(entity["label"], labels)
        parts.append(f'<mark{css} style="{style}">{mention}<sub>{shown_text(entity["label"])}</sub></mark>')
        end = entity["end"]
    parts.append(shown_text(text[end:]))
    return f'<div class="note" dir="auto">{"".join(parts)}</div>'


def replaced(text: str, entities: Sequence[dict]) -> str:
    """The note with its mentions replaced by their labels in brackets."""
    parts, end = [], 0
    for entity in entities:
        parts += [text[end : entity["start"]], f"[{entity['label']}]"]
        end = entity["end"]
    return "".join([*parts, text[end:]])


def rows(text: str, entities: Sequence[dict]) -> list[list]:
    """Mention, label, score, agreement, start and end of each, for a table."""
    return [
        [
            text[entity["start"] : entity["end"]],
            entity["label"],
            entity["score"],
            "" if entity["agreement"] is None else f"{entity['agreement']:.0%}",
            entity["start"],
            entity["end"],
        ]
        for entity in entities
    ]


def compared(text: str, entities: Sequence[dict], members: Sequence[Sequence[dict]], labels: Sequence[str]) -> str:
    """Every mention that the vote or a member finds, and who finds it: those on which members differ come first."""
    if not members:
        return "<p>This is a single model: there are no members to compare.</p>"
    keys = [{(e["start"], e["end"], e["label"]) for e in found} for found in (entities, *members)]
    found = sorted(set().union(*keys), key=lambda key: (all(key in of for of in keys[1:]), key))
    heads = ["mention", "type", "vote", *(f"member {number}" for number in range(1, len(members) + 1))]
    lines = [f"<tr>{''.join(f'<th scope=col>{head}</th>' for head in heads)}</tr>"]
    for start, end, label in found:
        who = [(start, end, label) in of for of in keys]
        cells = [f'<td class="{"yes" if yes else "no"}">{"✓ found" if yes else "– not"}</td>' for yes in who]
        mark = f'<mark style="{style_of(label, labels)}">{shown_text(label)}</mark>'
        mention = shown_text(text[start:end])
        agreed = ' class="agreed"' if all(who[1:]) else ""
        lines.append(f'<tr{agreed}><td dir="auto">{mention}</td><td>{mark}</td>{"".join(cells)}</tr>')
    n_differing = sum(not all(key in of for of in keys[1:]) for key in found)
    summary = f"The {len(members)} members differ on {n_differing} of {len(found)} mentions."
    return f'<p>{summary}</p><div class="members" tabindex="0"><table>{"".join(lines)}</table></div>'
