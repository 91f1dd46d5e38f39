"""What a fine-tuned CLIN-X repo on the Hub carries: configuration, labels, windows, CRF, model, predictor, pipeline."""

from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification

from .configuration_clinx import ClinXConfig, ClinXEnsembleConfig
from .ensemble_clinx import ClinXEnsembleForTokenClassification, ClinXEnsembleModel
from .modeling_clinx import ClinXForTokenClassification, ClinXModel
from .pipeline_clinx import ClinXPipeline
from .prediction_clinx import DocumentPredictor


# Where this package is installed, a repo's own code is not needed, and nobody is asked to trust it.
AutoConfig.register(ClinXConfig.model_type, ClinXConfig)
AutoModel.register(ClinXConfig, ClinXModel)
AutoModelForTokenClassification.register(ClinXConfig, ClinXForTokenClassification)
AutoConfig.register(ClinXEnsembleConfig.model_type, ClinXEnsembleConfig)
AutoModel.register(ClinXEnsembleConfig, ClinXEnsembleModel)
AutoModelForTokenClassification.register(ClinXEnsembleConfig, ClinXEnsembleForTokenClassification)

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
