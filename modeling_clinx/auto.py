"""Registers the model classes with transformers' Auto classes, and gives the ensemble its `from_members`.

It stays here, no repo on the Hub carries it.

Where this package is installed, a repo's own code is not needed, and nobody is asked to trust it: after
`import modeling_clinx.auto`, or any public name of `modeling_clinx`, `AutoModel.from_pretrained` knows the classes.
"""

from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification

from .configuration_clinx import ClinXConfig, ClinXEnsembleConfig
from .ensemble_clinx import ClinXEnsembleForTokenClassification, ClinXEnsembleModel
from .members import from_members
from .modeling_clinx import ClinXForTokenClassification, ClinXModel


AutoConfig.register(ClinXConfig.model_type, ClinXConfig)
AutoModel.register(ClinXConfig, ClinXModel)
AutoModelForTokenClassification.register(ClinXConfig, ClinXForTokenClassification)
AutoConfig.register(ClinXEnsembleConfig.model_type, ClinXEnsembleConfig)
AutoModel.register(ClinXEnsembleConfig, ClinXEnsembleModel)
AutoModelForTokenClassification.register(ClinXEnsembleConfig, ClinXEnsembleForTokenClassification)

ClinXEnsembleForTokenClassification.from_members = classmethod(from_members)  # a repo on the Hub needs it no more
