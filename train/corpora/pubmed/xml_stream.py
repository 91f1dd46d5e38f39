"""XML of any size, one element after the other, in flat memory."""

from collections.abc import Collection, Iterator
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from ...errors import InputError
from ..source import CorpusFile, readable


def stream_elements(file: CorpusFile, roots: Collection[str], tags: Collection[str]) -> Iterator[Element]:
    """The elements with one of `tags`, each whole; all that was read is forgotten when the next one is asked for.

    Args:
        roots: what the root element may be called.

    Raises InputError, with file and line, for what is damaged, no XML, declares entities, or has another root.
    """
    with readable(file.where), file.opened() as stream:
        try:
            events = iterparse(stream, ("start", "end"))
            _, root = next(events)
            if root.tag not in roots:
                raise InputError(
                    f"{file.where}: found <{root.tag}>, expected <{'> or <'.join(roots)}>; check the path."
                )
            for event, element in events:
                if event == "end" and element.tag in tags:
                    yield element
                    root.clear()
        except ParseError as error:
            (line, column), (reason, *_) = error.position, str(error.msg).split(":")
            raise InputError(
                f"{file.where}:{line}: this is not well-formed XML at column {column + 1} ({reason}); copy it anew."
            ) from None
        except LookupError as error:  # of an encoding that Python does not know
            raise InputError(f"{file.where}: this is no XML in UTF-8 ({error}); copy it anew.") from None
        except DefusedXmlException as error:
            raise InputError(
                f"{file.where}: found a declaration of entities ({error}), which may be an attack."
            ) from None


def text_of(element: Element | None) -> str:
    """The text inside of an element and of all markup in it, with single spaces; empty for None."""
    return "" if element is None else " ".join("".join(element.itertext()).split())
