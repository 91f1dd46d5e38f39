"""XML as i2b2 and MEDDOCAN distribute it, parsed by defusedxml: unescaped & and <, control characters, line ends."""

import codecs
import re
from collections.abc import Callable
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from ...errors import InputError
from ..source import CorpusFile


# Characters that XML has no place for, or normalizes, are carried through the parser as others, one for one.
NO_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
CARRIED = {chr(code): chr(0x10F000 + code % 0x100) for code in (*range(0x20), 0xFFFE, 0xFFFF)}
SHOWN = {carried: character for character, carried in CARRIED.items()}
DEEPEST = 100  # tags within each other; a file may nest millions to fill the memory
ENCODINGS = ("utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252", "utf-16")  # some others take quadratic time
ENCODING = re.compile(rb"""<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w.:-]+)["']""")
STRAY_AMPERSAND = re.compile("&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)")
ATTRIBUTES = r"""(?:\s+[\w:.-]+\s*=\s*(?:"[^"]*"|'[^']*'))*"""


def parse_xml(file: CorpusFile, tags: str = r"[A-Za-z_][\w:.-]*", mend: Callable[[str], str] = str) -> Element:
    """The root element; use `shown` on its texts and attributes.

    What is not well-formed is read once more with each & and < escaped that begins no entity and no tag, and mended.
    Carriage returns stay in a <TEXT>, where offsets may count them.

    Args:
        tags: regular expression for the names of tags.
        mend: what else makes such a file well-formed.

    Raises InputError with line and column for what is no XML even so, and for entity declarations.
    """
    text = NO_XML.sub(lambda match: CARRIED[match[0]], _decoded(file))
    parts = re.split("(<TEXT(?: [^<>]*)?>)", text)
    for index in range(2, len(parts), 2):
        inside, end, after = parts[index].partition("</TEXT>")
        parts[index] = inside.replace("\r", CARRIED["\r"]) + end + after
    text = "".join(parts)
    try:
        return _parse(text, file)
    except ParseError as error:
        fault = error
    try:
        return _parse(mend(escape_strays(text, tags)), file)
    except ParseError:
        (line, column), (reason, *_) = fault.position, str(fault.msg).split(":")
        raise InputError(
            f"{file.where}:{line}: this is not well-formed XML at column {column + 1} ({reason}); mend it."
        ) from None


def _decoded(file: CorpusFile) -> str:
    data = file.read()
    declared = ENCODING.match(data.removeprefix(codecs.BOM_UTF8))
    encoding = declared[1].decode("ascii") if declared else "utf-8"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        encoding = codecs.lookup(encoding).name
        if encoding not in ENCODINGS:
            raise LookupError("an encoding that is not read")
        return data.decode("utf-8-sig" if encoding in ("utf-8", "ascii") else encoding)
    except (LookupError, UnicodeError) as error:
        raise InputError(f"{file.where}: this file is not {encoding} ({error}); convert the file to UTF-8.") from None


def shown(text: str | None) -> str:
    """The text as it stands in the file, carriage returns and control characters too."""
    return re.sub("[\U0010f000-\U0010f0ff]", lambda match: SHOWN.get(match[0], match[0]), text or "")


def _parse(text: str, file: CorpusFile) -> Element:
    try:
        parser = DefusedXMLParser(target=_ShallowBuilder(file))
        parser.feed(text)
        return parser.close()
    except DefusedXmlException as error:
        raise InputError(f"{file.where}: found a declaration of entities ({error}), which may be an attack.") from None
    except InputError:
        raise
    except ValueError as error:  # such as a null character
        raise InputError(f"{file.where}: this is not XML ({error}); mend the file.") from None


class _ShallowBuilder(TreeBuilder):
    def __init__(self, file: CorpusFile):
        super().__init__()
        self.file, self.depth = file, 0

    def start(self, tag, attributes):
        self.depth += 1
        if self.depth > DEEPEST:
            raise InputError(f"{self.file.where}: found more than {DEEPEST} tags within each other, which is no note.")
        return super().start(tag, attributes)

    def end(self, tag):
        self.depth -= 1
        return super().end(tag)


def escape_strays(text: str, tags: str) -> str:
    """Escapes each & and < that begins no entity and no tag, but for those in CDATA sections."""
    tag_or_stray = re.compile(rf"(</?(?:{tags}){ATTRIBUTES}\s*/?>|<\?xml[^<>]*>|<!--(?:(?!--).)*-->)|<", re.DOTALL)

    def escaped(match: re.Match) -> str:
        return "<" + match[1][1:].replace("<", "&lt;") if match[1] else "&lt;"

    outside, *sections = text.split("<![CDATA[")
    parts = [tag_or_stray.sub(escaped, STRAY_AMPERSAND.sub("&amp;", outside))]
    for section in sections:
        inside, end, after = section.partition("]]>")
        parts += ["<![CDATA[", inside, end, tag_or_stray.sub(escaped, STRAY_AMPERSAND.sub("&amp;", after))]
    return "".join(parts)
