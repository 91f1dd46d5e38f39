"""`pipeline("ner", model=…, trust_remote_code=True)` for documents of any length."""

from collections.abc import Iterable, Mapping
from itertools import tee

from transformers import Pipeline

from .configuration_clinx import PrivateByDefault
from .crf_clinx import ClinXCRF  # noqa: F401  transformers carries along what a file itself imports: all siblings
from .decoding_clinx import MemberDecodings  # noqa: F401
from .labels_clinx import TagSet  # noqa: F401
from .lattice_clinx import Lattice  # noqa: F401
from .lora_clinx import LoRALinear  # noqa: F401
from .prediction_clinx import DocumentPredictor
from .viterbi_clinx import viterbi  # noqa: F401
from .vote_clinx import vote  # noqa: F401
from .windows_clinx import Window  # noqa: F401


_NOT_USED = {  # arguments of transformers' own pipeline
    "stride": "a document of any length is read in windows with context",
    **dict.fromkeys(("is_split_into_words", "delimiter"), "give each document as one string"),
    "offset_mapping": "the offsets are those of the text",
    **dict.fromkeys(("grouped_entities", "ignore_subwords"), "for subwords, set aggregation_strategy='none'"),
}


class ClinXPipeline(PrivateByDefault, Pipeline):
    """Finds entities in documents; a document may be of any length, and is read with its context.

    `ner(text)` returns a list of `{"entity_group", "score", "word", "start", "end"}`, where `word` is
    `text[start:end]` and `score` the exact posterior probability of the span and its type; of an ensemble the mean of
    its members', and "agreement" is the share of members that find the very same. With `aggregation_strategy="none"`:
    one `{"entity", "score", "index", "word", "start", "end"}` for each subword that is not `O`.

    Args of a call (or of `pipeline(...)`, as defaults):
        inputs: a string; a list of strings; or a generator, a `datasets` dataset or column, which is read lazily.
            Rows that are dicts are read by their key `text`.
        aggregation_strategy: `none` for subwords; the others all mean entities, since the CRF labels whole spans.
        ignore_labels: entity types (or labels of subwords) to leave out, default `["O"]`.
        batch_size: windows that the encoder reads at a time, default 16; on a CPU at most one for each thread.

    Raises ValueError for arguments that are not known or have no meaning here, and for labels that the model has not.
    """

    _load_processor = _load_image_processor = _load_feature_extractor = False
    _load_tokenizer = True

    def _sanitize_parameters(self, aggregation_strategy=None, ignore_labels=None, **others):
        parameters = {}
        for name, value in others.items():
            if value or name not in _NOT_USED:
                reason = _NOT_USED.get(name, "expected aggregation_strategy, ignore_labels or batch_size")
                raise ValueError(f"{name} is not used: {reason}")
        if aggregation_strategy is not None:
            name = getattr(aggregation_strategy, "value", aggregation_strategy)
            if name not in ("none", "simple", "first", "average", "max"):
                raise ValueError(f"aggregation_strategy is {name!r}, expected simple, first, average, max or none")
            parameters["subwords"] = name == "none"
        if ignore_labels is not None:
            parameters["ignore_labels"] = [ignore_labels] if isinstance(ignore_labels, str) else list(ignore_labels)
        return {}, {}, parameters

    def __call__(self, inputs, *, batch_size: int | None = None, num_workers=None, **kwargs):
        parameters = {**self._postprocess_params, **self._sanitize_parameters(**kwargs)[2]}
        sizes = [size for size in (batch_size, self._batch_size, 16) if size is not None]
        predictor = DocumentPredictor(self.model, self.tokenizer, sizes[0])
        self._check_labels(**parameters)
        if not hasattr(inputs, "__getitem__") and not isinstance(inputs, Iterable):
            raise ValueError(f"expected a string, or strings in a list, a generator or a dataset, found {type(inputs)}")
        if isinstance(inputs, (str, bytes, Mapping)):
            return next(self._read([inputs], predictor, **parameters))
        results = self._read(inputs, predictor, **parameters)
        return list(results) if isinstance(inputs, (list, tuple)) else results

    def _check_labels(self, subwords: bool = False, ignore_labels=("O",)) -> None:
        config = self.model.config
        known = ["O", *config.entity_types, *(config.label2id if subwords else [])]
        if unknown := [label for label in ignore_labels if label not in known]:
            raise ValueError(f"ignore_labels has {unknown}, expected some of {', '.join(known)}")

    def _read(self, inputs, predictor, subwords: bool = False, **parameters):
        if hasattr(inputs, "__len__") and not isinstance(inputs, Iterable):  # such as torch's datasets
            inputs = map(inputs.__getitem__, range(len(inputs)))
        ahead, texts = tee(map(self.preprocess, inputs))
        for prediction, text in zip(predictor(ahead, subwords), texts, strict=True):
            yield self.postprocess((text, prediction), subwords, **parameters)

    def preprocess(self, inputs) -> str:
        text = inputs.get("text") if isinstance(inputs, Mapping) else inputs
        if not isinstance(text, str):
            raise ValueError(f"expected a string or a row with a string under 'text', found {type(inputs).__name__}")
        return text

    def _forward(self, text: str):
        return text, next(DocumentPredictor(self.model, self.tokenizer)([text]))

    def postprocess(self, model_outputs, subwords: bool = False, ignore_labels=("O",)) -> list[dict]:
        text, prediction = model_outputs
        return [
            {
                "entity" if subwords else "entity_group": span.label,
                "score": span.score,
                **({} if span.agreement is None else {"agreement": span.agreement}),
                **({"index": span.position} if subwords else {}),
                "word": text[span.start : span.end],
                "start": span.start,
                "end": span.end,
            }
            for span in prediction.rows()
            if span.label not in ignore_labels and not (subwords and span.label[2:] in ignore_labels)
        ]
