"""What a fine-tuned CLIN-X repo on the Hub carries: configuration, labels, windows, CRF, model, predictor, pipeline."""

from .configuration_clinx import ClinXConfig
from .modeling_clinx import ClinXForTokenClassification, ClinXModel
from .pipeline_clinx import ClinXPipeline
from .prediction_clinx import DocumentPredictor


__all__ = ["ClinXConfig", "ClinXForTokenClassification", "ClinXModel", "ClinXPipeline", "DocumentPredictor"]
