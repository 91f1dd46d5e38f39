"""The models that the app offers: loaded when first chosen, and what each of their members reads in a note."""

import logging
import threading
from collections import OrderedDict
from pathlib import Path

from transformers import pipeline


class ModelError(Exception):
    """Why a model cannot be loaded, in words that may be shown to anybody."""


class Model:
    """A model repo, read by plain transformers.

    Args:
        name: a folder, a name on the Hub, or NAME@REVISION.

    Attributes:
        labels: the entity types, in the model's order.
        n_members: of an ensemble; 1 of a single model.
    """

    def __init__(self, name: str):
        repo, _, revision = (name, "", "") if Path(name).is_dir() else name.partition("@")
        try:
            self.ner = pipeline("ner", model=repo, revision=revision or None, trust_remote_code=True)
            self.labels = list(self.ner.model.config.entity_types)
            members = list(self.ner.model.members)
        except Exception as error:  # of the Hub's client, of transformers, or of the repo's own code
            logging.warning("%s cannot be loaded: %s", name, error)  # no note has been seen yet
            raise ModelError(f"{name} cannot be loaded ({type(error).__name__}).") from None
        pipelines = (type(self.ner)(model=member, tokenizer=self.ner.tokenizer) for member in members)
        self.members = list(pipelines) if len(members) > 1 else []
        self.n_members = len(members)

    def find(self, text: str) -> list[dict]:
        """A list of `{"start", "end", "label", "score", "agreement"}`.

        `agreement` is the share of an ensemble's members that find the very same, None of a single model.
        """
        return _entities(self.ner(text))

    def find_by_member(self, text: str) -> list[list[dict]]:
        """Such a list for each member of an ensemble; none for a single model."""
        return [_entities(member(text)) for member in self.members]


def _entities(found: list[dict]) -> list[dict]:
    return [
        {
            "start": entity["start"],
            "end": entity["end"],
            "label": entity["entity_group"],
            "score": round(float(entity["score"]), 4),
            "agreement": entity.get("agreement"),
        }
        for entity in found
    ]


class Models:
    """The models by name, at most `in_memory` of them loaded: of more, the one that was not used for longest goes."""

    def __init__(self, names: list[str], in_memory: int = 1):
        self.names, self.in_memory = names, in_memory
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._lock = threading.Lock()

    def is_loaded(self, name: str) -> bool:
        """Whether a note can be read at once."""
        return name in self._loaded

    def get(self, name: str) -> Model:
        """The model, which is loaded if it is not; raises ModelError where that fails, or the name is not offered."""
        if name not in self.names:
            raise ModelError(f"There is no such model; the models are {', '.join(self.names)}.")
        with self._lock:  # one is loaded at a time
            if name not in self._loaded:
                while len(self._loaded) >= self.in_memory:
                    self._loaded.popitem(last=False)
                self._loaded[name] = Model(name)
            self._loaded.move_to_end(name)
            return self._loaded[name]
