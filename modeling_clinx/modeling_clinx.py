"""The CLIN-X token classifier: any encoder, one linear layer, one CRF."""

import inspect
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import AutoModel, PreTrainedModel
from transformers.utils import ModelOutput, logging

from .configuration_clinx import ClinXConfig, PrivateByDefault
from .crf_clinx import ClinXCRF
from .lattice_clinx import with_float64
from .lora_clinx import READING, add_adapters


if TYPE_CHECKING:  # transformers carries along the files that a file itself imports, which it finds by their text
    from .decoding_clinx import MemberDecodings  # noqa: F401
    from .labels_clinx import TagSet  # noqa: F401
    from .pipeline_clinx import ClinXPipeline  # noqa: F401
    from .prediction_clinx import DocumentPredictor  # noqa: F401
    from .viterbi_clinx import viterbi  # noqa: F401
    from .vote_clinx import vote  # noqa: F401
    from .windows_clinx import Window  # noqa: F401

_ONE_WINDOW = (
    "Without `core_mask` a CLIN-X model, as in transformers' own pipeline, labels one window: the rest is lost. Use "
    "pipeline('ner', model=FOLDER, trust_remote_code=True), or ClinXPipeline(model=model, tokenizer=tokenizer)."
)


@dataclass
class ClinXOutput(ModelOutput):
    """What `ClinXForTokenClassification` returns."""

    loss: torch.Tensor | None = None  # with labels: negative log-likelihood, the mean over labelled subwords
    logits: torch.Tensor | None = None  # (B, T, 1 + 2 types) log-probabilities of BIO, no gradient; O off the chain
    emissions: torch.Tensor | None = None  # (B, T, K) float32 scores in the CRF's tag space


def new_encoder(config: ClinXConfig) -> PreTrainedModel:
    """An encoder without weights yet, with the adapters of all members if it has any."""
    encoder = AutoModel.from_config(config.encoder, **without_pooler(config.encoder))
    if config.lora_rank:
        add_adapters(encoder, config.lora_rank, len(getattr(config, "members", [0])))
    return encoder


def without_pooler(config) -> dict:
    """`add_pooling_layer=False` for the encoders that know it: a pooler would never be trained."""
    model_class = AutoModel._model_mapping[type(config)]
    model_class = model_class[0] if isinstance(model_class, (tuple, list)) else model_class
    known = "add_pooling_layer" in inspect.signature(model_class.__init__).parameters
    return {"add_pooling_layer": False} if known else {}


class ClinXPreTrainedModel(PrivateByDefault, PreTrainedModel):
    """What all CLIN-X models have in common: configuration, initial weights, and what the encoder supports."""

    config_class = ClinXConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # the loss is a mean already: the Trainer divides it by the accumulation steps
    _no_split_modules = []
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True

    def resize_token_embeddings(self, *args, **kwargs) -> nn.Embedding:
        """As `PreTrainedModel.resize_token_embeddings`, for the encoders of all members; returns the first one's."""
        parts = getattr(self, "members", [self])
        embeddings = [part.encoder.resize_token_embeddings(*args, **kwargs) for part in parts]
        for config in (self.config, *(part.config for part in parts)):
            config.encoder.vocab_size = embeddings[0].num_embeddings
        return embeddings[0]

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=getattr(self.config.encoder, "initializer_range", 0.02))
            nn.init.zeros_(module.bias)
        elif isinstance(module, ClinXCRF):
            for parameter in module.parameters():
                nn.init.zeros_(parameter)


class ClinXModel(ClinXPreTrainedModel):
    """The encoder alone, for `AutoModel`; takes and returns what the encoder does."""

    _keys_to_ignore_on_load_unexpected = [r"^classifier\.", r"^crf\."]

    def __init__(self, config: ClinXConfig):
        super().__init__(config)
        self.encoder = new_encoder(config)
        self.post_init()

    def forward(self, *args, **kwargs):
        return self.encoder(*args, **kwargs)


class ClinXForTokenClassification(ClinXPreTrainedModel):
    """Concept extraction with document context and a CRF (Lange et al. 2022, section 3).

    `from_encoder` (of `building.py`, where this package is installed) starts from a pretrained encoder;
    `from_pretrained` loads what `save_pretrained` wrote.
    """

    number = 0  # among the members of an ensemble that share an encoder

    def __init__(self, config: ClinXConfig):
        super().__init__(config)
        self.encoder = new_encoder(config)
        # A linear head has a CRF without parameters, and transformers 4 refuses a name that matches none.
        self._keep_in_fp32_modules_strict = ["classifier"] if config.head == "linear" else ["classifier", "crf"]
        self.dropout = nn.Dropout(config.dropout)
        self.crf = ClinXCRF(len(config.entity_types), config.scheme, linear=config.head == "linear")
        self.classifier = nn.Linear(config.encoder.hidden_size, len(self.crf.tags))
        self.post_init()

    @property
    def members(self) -> list["ClinXForTokenClassification"]:
        """The models that vote, as an ensemble has several of: this one alone."""
        return [self]

    def save_pretrained(self, *args, **kwargs):
        """As `PreTrainedModel.save_pretrained`; raises ValueError for a member of an ensemble that was loaded."""
        if hasattr(self.config, "members"):  # whose encoder may be the first one's
            raise ValueError("a member is no model of its own: save its ensemble, or what building.load_member reads")
        return super().save_pretrained(*args, **kwargs)

    def compute_emissions(self, input_ids, attention_mask=None, token_type_ids=None) -> torch.Tensor:
        """(B, T, K) float32 scores of tags at every subword, of (B, T) inputs as the encoder takes them.

        They lie where the CRF is computed: on the CPU if the model is on Apple's MPS, otherwise beside the model.
        """
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        inputs = {name: values for name, values in inputs.items() if values is not None}
        hidden = copy_context().run(self._encode, inputs) if self.config.lora_rank else self.encoder(**inputs)[0]
        with torch.autocast(hidden.device.type, enabled=False):
            dtype = getattr(self.classifier.weight, "dtype", torch.float32)  # a quantized layer has a method there
            return with_float64(self.classifier(self.dropout(hidden).to(dtype)).float())

    def _encode(self, inputs: dict) -> torch.Tensor:
        """(B, T, D) of the encoder with this member's adapters."""
        READING.set(self.number)
        return self.encoder(**inputs)[0]

    def forward(
        self, input_ids, attention_mask=None, token_type_ids=None, core_mask=None, edge_mask=None, labels=None
    ) -> ClinXOutput:
        """Loss and label probabilities of a batch of windows.

        Args:
            input_ids: (B, T) int64.
            attention_mask: (B, T), 0 at padding.
            token_type_ids: (B, T) int64, for encoders that take it.
            core_mask: (B, T) bool, the chain positions of the window's core. Without it every attended token that is
                no special token is in the chain; outside of training a warning says so once, since documents are read
                by `DocumentPredictor` and `ClinXPipeline`.
            edge_mask: (B, 2) bool, whether the core begins and ends where its document does. Without it: both.
            labels: (B, T) int64 BIO ids; -100 on the chain means not known, and is summed over.

        Raises ValueError for labels that the constraints forbid; names the row of the batch.
        """
        home, emissions = input_ids.device, self.compute_emissions(input_ids, attention_mask, token_type_ids)
        if core_mask is None:
            if labels is None and not (self.training and torch.is_grad_enabled()):
                logging.get_logger(__name__).warning_once(_ONE_WINDOW)
            special = torch.tensor(self.config.special_ids, dtype=input_ids.dtype, device=input_ids.device)
            core_mask = ~torch.isin(input_ids, special)
            if attention_mask is not None:
                core_mask &= attention_mask.bool()
        edge_mask = core_mask.new_ones(len(core_mask), 2) if edge_mask is None else edge_mask
        core_mask, edge_mask = (mask.to(emissions.device, torch.bool) for mask in (core_mask, edge_mask))
        labels = labels if labels is None else labels.to(emissions.device)
        loss, marginals = self.crf(emissions, core_mask, edge_mask, labels)
        probabilities = self.crf.tags.fold(marginals)
        probabilities[..., 0].masked_fill_(~core_mask, 1.0)
        logits = probabilities.clamp_(min=1e-12).log_()
        return ClinXOutput(loss if loss is None else loss.float().to(home), logits.to(home), emissions.to(home))


ClinXModel.register_for_auto_class("AutoModel")
ClinXForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
