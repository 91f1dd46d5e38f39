"""Registers the model classes with transformers' Auto classes, and gives them what makes new models.

It stays here, no repo on the Hub carries it.

Where this package is installed, a repo's own code is not needed, and nobody is asked to trust it: after
`import modeling_clinx.auto`, or any public name of `modeling_clinx`, `AutoModel.from_pretrained` knows the classes.
"""

from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification

from .building import from_encoder, from_members
from .configuration_clinx import ClinXConfig, ClinXEnsembleConfig
from .ensemble_clinx import ClinXEnsembleForTokenClassification, ClinXEnsembleModel
from .modeling_clinx import ClinXForTokenClassification, ClinXModel


AutoConfig.register(ClinXConfig.model_type, ClinXConfig)
AutoModel.register(ClinXConfig, ClinXModel)
AutoModelForTokenClassification.register(ClinXConfig, ClinXForTokenClassification)
AutoConfig.register(ClinXEnsembleConfig.model_type, ClinXEnsembleConfig)
AutoModel.register(ClinXEnsembleConfig, ClinXEnsembleModel)
AutoModelForTokenClassification.register(ClinXEnsembleConfig, ClinXEnsembleForTokenClassification)

# A repo on the Hub holds a model that is made already.
ClinXForTokenClassification.from_encoder = classmethod(from_encoder)
ClinXEnsembleForTokenClassification.from_members = classmethod(from_members)
