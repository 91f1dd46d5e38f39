"""Documents from rows `{"id", "text", "entities": [{"start", "end", "label"}]}`, of JSON Lines and of datasets."""

from collections.abc import Iterable, Iterator
from math import isfinite
from typing import NamedTuple

from ..errors import InputError, brief
from .documents import Document, DocumentBuilder, Reading


class Row(NamedTuple):
    """A row that was read."""

    where: str  # file and line, or dataset and number, for messages
    default_id: str  # the document's id where the row has none
    content: dict


def documents_from_rows(rows: Iterable[Row], reading: Reading) -> Iterator[Document]:
    """Checked documents, one a row. Where an entity also has the "text" that it covers, that is compared.

    Raises InputError, naming the place, for a row of another form, and for a mention outside of its text.
    """
    for row in rows:
        try:
            document = _document(row, reading)
        except InputError as error:
            reading.pass_over(error)
        else:
            yield document


def _document(row: Row, reading: Reading) -> Document:
    where, default_id, content = row
    if not isinstance(content, dict):
        raise InputError(f'{where}: found {brief(content)}, expected an object with "id", "text" and "entities".')
    id = default_id if content.get("id") is None else content["id"]
    text = content.get("text")
    if type(id) in (int, float) and isfinite(id):  # as pandas exports them
        id = str(id)
    if not isinstance(id, str):
        raise InputError(f"{where}: found the id {brief(id)}, expected a string or a number.")
    if not isinstance(text, str):
        raise InputError(f'{where}: found {brief(text)} as the "text" of document {id!r}, expected a string.')
    document = DocumentBuilder(id, text, reading)
    for entity in _entities(content, id, where) if reading.annotated else ():
        span, label, quoted = (entity.get("start"), entity.get("end")), entity.get("label"), entity.get("text")
        figures = {"score": entity.get("score"), "agreement": entity.get("agreement")}
        document.add([span], label, where, quoted=quoted if isinstance(quoted, str) else None, **figures)
    return document.build()


def _entities(row: dict, id: str, where: str) -> Iterator[dict]:
    entities = row.get("entities")
    if not isinstance(entities, list):
        raise InputError(
            f'{where}: found {brief(entities)} as the "entities" of document {id!r}, expected a list of '
            '{"start", "end", "label"}; give an empty list where there are none, or read the texts alone '
            "(annotated=False, `clinx corpus --unannotated`)."
        )
    for entity in entities:
        if not isinstance(entity, dict):
            raise InputError(f'{where}: found {brief(entity)} in "entities", expected {{"start", "end", "label"}}.')
        yield entity
