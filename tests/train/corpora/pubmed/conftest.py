"""Citations out of XML that a test writes."""

import pytest

from clinx.corpora.pubmed.citations import read_citations
from clinx.corpora.source import corpus_files
from tests.train.corpora.pubmed.dump import article, dump


@pytest.fixture
def read(tmp_path):
    """Reads a file of the dump."""

    def read(content: bytes) -> list:
        path = tmp_path / "pubmed24n0001.xml"
        path.write_bytes(content)
        (file,) = corpus_files(path, (".xml",))
        return list(read_citations(file))

    return read


@pytest.fixture
def citation(read):
    """A citation as it is read from `article(…)`."""

    def citation(*args, **fields):
        (only,) = read(dump(article(1, *args, **fields)))
        return only

    return citation
