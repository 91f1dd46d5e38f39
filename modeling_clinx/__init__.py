"""What a fine-tuned CLIN-X repo on the Hub carries: configuration, labels, windows, CRF, model, predictor, pipeline.

Public names are imported when they are first used (PEP 562), so that `modeling_clinx.windows_clinx`, which needs numpy
alone, does not wait for torch and transformers. The first of them registers the classes with transformers.

A repo carries the files called `…_clinx.py`; what registers the classes (`auto.py`) and makes new models
(`building.py`) stays where this package is installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from .configuration_clinx import ClinXConfig, ClinXEnsembleConfig
    from .ensemble_clinx import ClinXEnsembleForTokenClassification, ClinXEnsembleModel
    from .modeling_clinx import ClinXForTokenClassification, ClinXModel
    from .pipeline_clinx import ClinXPipeline
    from .prediction_clinx import DocumentPredictor

_MODULES = {
    "ClinXConfig": "configuration_clinx",
    "ClinXEnsembleConfig": "configuration_clinx",
    "ClinXEnsembleForTokenClassification": "ensemble_clinx",
    "ClinXEnsembleModel": "ensemble_clinx",
    "ClinXForTokenClassification": "modeling_clinx",
    "ClinXModel": "modeling_clinx",
    "ClinXPipeline": "pipeline_clinx",
    "DocumentPredictor": "prediction_clinx",
}

__all__ = [
    "ClinXConfig",
    "ClinXEnsembleConfig",
    "ClinXEnsembleForTokenClassification",
    "ClinXEnsembleModel",
    "ClinXForTokenClassification",
    "ClinXModel",
    "ClinXPipeline",
    "DocumentPredictor",
]


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_module(f"{__name__}.auto")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
