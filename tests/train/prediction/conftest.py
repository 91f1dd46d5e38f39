"""Interruptions of the writing of predictions."""

from contextlib import contextmanager

import pytest

from clinx.prediction.writers import WRITERS


@pytest.fixture
def interrupted(monkeypatch):
    """A context in which writing is interrupted, as by Ctrl-C, after so many documents."""

    @contextmanager
    def interrupted(format: str, after: int):
        written = []

        class InterruptedWriter(WRITERS[format]):
            def write(self, document):
                if len(written) == after:
                    raise KeyboardInterrupt
                written.append(document)
                super().write(document)

        with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
            context.setitem(WRITERS, format, InterruptedWriter)
            yield

    return interrupted
