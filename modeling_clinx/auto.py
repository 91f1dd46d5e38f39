"""Registers the classes with transformers: where this package is installed, a repo's own code is not needed."""

from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification

from .configuration_clinx import ClinXConfig, ClinXEnsembleConfig
from .ensemble_clinx import ClinXEnsembleForTokenClassification, ClinXEnsembleModel
from .modeling_clinx import ClinXForTokenClassification, ClinXModel


AutoConfig.register(ClinXConfig.model_type, ClinXConfig)
AutoModel.register(ClinXConfig, ClinXModel)
AutoModelForTokenClassification.register(ClinXConfig, ClinXForTokenClassification)
AutoConfig.register(ClinXEnsembleConfig.model_type, ClinXEnsembleConfig)
AutoModel.register(ClinXEnsembleConfig, ClinXEnsembleModel)
AutoModelForTokenClassification.register(ClinXEnsembleConfig, ClinXEnsembleForTokenClassification)
