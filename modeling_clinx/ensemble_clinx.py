"""Several token classifiers as one model: `DocumentPredictor` and the pipeline let its members vote."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from .configuration_clinx import ClinXEnsembleConfig
from .modeling_clinx import ClinXForTokenClassification, ClinXModel, ClinXOutput, ClinXPreTrainedModel


if TYPE_CHECKING:  # transformers carries along the files that a file itself imports, which it finds by their text
    from .crf_clinx import ClinXCRF  # noqa: F401
    from .decoding_clinx import MemberDecodings  # noqa: F401
    from .labels_clinx import TagSet  # noqa: F401
    from .lattice_clinx import Lattice  # noqa: F401
    from .lora_clinx import LoRALinear  # noqa: F401
    from .pipeline_clinx import ClinXPipeline  # noqa: F401
    from .prediction_clinx import DocumentPredictor  # noqa: F401
    from .viterbi_clinx import viterbi  # noqa: F401
    from .vote_clinx import vote  # noqa: F401
    from .windows_clinx import Window  # noqa: F401


class ClinXEnsembleModel(ClinXModel):
    """The first member's encoder, for `AutoModel`; takes and returns what the encoder does."""

    config_class = ClinXEnsembleConfig
    base_model_prefix = ""
    _keys_to_ignore_on_load_unexpected = [r"^members\.(?!0\.encoder\.)"]

    def __init__(self, config: ClinXEnsembleConfig):
        ClinXPreTrainedModel.__init__(self, config)
        self.members = nn.ModuleList([ClinXModel(config)])
        self.post_init()

    @property
    def encoder(self):
        return self.members[0].encoder


class ClinXEnsembleForTokenClassification(ClinXPreTrainedModel):
    """An ensemble of `ClinXForTokenClassification` (Lange et al. 2022, section 3.3: training on random splits).

    `from_members` (of `building.py`, where this package is installed) puts it together; `from_pretrained` loads what
    `save_pretrained` wrote.
    """

    config_class = ClinXEnsembleConfig
    base_model_prefix = ""
    _no_split_modules = ["ClinXForTokenClassification"]  # a device holds whole members

    def __init__(self, config: ClinXEnsembleConfig):
        super().__init__(config)
        self.members = nn.ModuleList(ClinXForTokenClassification(config) for _ in config.members)
        if config.lora_rank:
            self.share_encoder()
            # A device holds all members; and a layer that is computed again does not know for which one.
            self._no_split_modules, self.supports_gradient_checkpointing = ["ModuleList"], False
        self._keep_in_fp32_modules_strict = ["classifier"] if config.head == "linear" else ["classifier", "crf"]
        self.post_init()

    @classmethod
    def from_pretrained(cls, name_or_path, *args, max_members_in_memory: int | None = None, **kwargs):
        """As `PreTrainedModel.from_pretrained`.

        Args:
            max_members_in_memory: keep no more members than this in memory; the encoders of the others are read from
                disk each time that they are needed, layer by layer, which is slower. `device_map` may then name one
                device, by default the CPU.

        Raises ValueError for `max_members_in_memory` below 1, or with a `device_map` of several devices.
        """
        if max_members_in_memory is not None:
            home = "cpu" if kwargs.get("device_map") is None else kwargs["device_map"]
            several = isinstance(home, dict) or home in ("auto", "balanced", "balanced_low_0", "sequential")
            if max_members_in_memory < 1 or several:
                raise ValueError(f"max_members_in_memory is {max_members_in_memory}: at least 1, on one device")
            config = kwargs.get("config") or cls.config_class.from_pretrained(name_or_path, **kwargs)
            kwargs["device_map"] = {
                f"members.{i}.{part}": "disk" if part == "encoder" and i >= max_members_in_memory else home
                for i in range(len(config.members))
                for part in ("encoder", "dropout", "crf", "classifier")
                if not (i and part == "encoder" and config.lora_rank)
            }
        return super().from_pretrained(name_or_path, *args, **kwargs)

    def share_encoder(self) -> None:
        """Makes all members read with the encoder of the first, which has the adapters of all."""
        for number, member in enumerate(self.members[1:], 1):
            del member.encoder
            member.__dict__.update(encoder=self.members[0].encoder, number=number)  # whose weights are the first's

    def forward(
        self, input_ids, attention_mask=None, token_type_ids=None, core_mask=None, edge_mask=None, labels=None
    ) -> ClinXOutput:
        """The members' mean loss and mean label probabilities for a batch of windows; see the members' `forward`.

        Voting is over whole documents: see `DocumentPredictor`. `emissions` are (N, B, T, K).
        """
        inputs = (input_ids, attention_mask, token_type_ids, core_mask, edge_mask, labels)
        outputs = [(out.loss, out.logits, out.emissions) for out in (member(*inputs) for member in self.members)]
        loss, logits, emissions = (
            None if parts[0] is None else torch.stack([part.to(parts[0].device) for part in parts])
            for parts in zip(*outputs, strict=True)
        )
        return ClinXOutput(loss if loss is None else loss.mean(), logits.exp().mean(0).log(), emissions)


ClinXEnsembleModel.register_for_auto_class("AutoModel")
ClinXEnsembleForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
