"""What a fine-tuned CLIN-X repo on the Hub carries: configuration, labels, windows, CRF, model, predictor, pipeline.

The classes are imported, and registered with transformers, when the first of them is asked for: so whoever only divides
text into sentences does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING


if TYPE_CHECKING:  # for editors and type checkers
    from .configuration_clinx import ClinXConfig, ClinXEnsembleConfig
    from .ensemble_clinx import ClinXEnsembleForTokenClassification, ClinXEnsembleModel
    from .modeling_clinx import ClinXForTokenClassification, ClinXModel
    from .pipeline_clinx import ClinXPipeline
    from .prediction_clinx import DocumentPredictor

_MODULES = {  # of each public class
    "ClinXConfig": "configuration_clinx",
    "ClinXEnsembleConfig": "configuration_clinx",
    "ClinXEnsembleForTokenClassification": "ensemble_clinx",
    "ClinXEnsembleModel": "ensemble_clinx",
    "ClinXForTokenClassification": "modeling_clinx",
    "ClinXModel": "modeling_clinx",
    "ClinXPipeline": "pipeline_clinx",
    "DocumentPredictor": "prediction_clinx",
}


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_module(".auto", __name__)
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
