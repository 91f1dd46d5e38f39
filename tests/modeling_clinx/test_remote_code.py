"""A model repo read by plain transformers with `trust_remote_code`, in a process that knows nothing of this project."""

import pytest
import torch
import transformers

from modeling_clinx import ClinXForTokenClassification, ClinXPipeline
from tests.modeling_clinx.models import CODE, in_fresh_process


pytestmark = pytest.mark.compat

TEXT = "La Dra. García pauta ½ comprimido de ibuprofeno  600 mg por ﬁebre;\n\tniega náuseas."


@pytest.fixture(scope="module")
def elsewhere(repo):
    """What plain transformers makes of the repo: loads it, changes it, saves it, and loads that."""
    script = """
text, changed, piped = more
trust = {"trust_remote_code": True}
encoder = AutoModel.from_pretrained(folder, **trust)
model = AutoModelForTokenClassification.from_pretrained(folder, **trust)
tokenizer = AutoTokenizer.from_pretrained(folder)
ner = pipeline("ner", model=folder, **trust)
tagger = pipeline("token-classification", model=folder, **trust)
try:
    pipeline(model=folder, **trust)
    without_task = None
except Exception as error:
    without_task = f"{type(error).__name__}: {error}"
found = ner(text)
ner.model.classifier.bias.data += 1.0
ner.model.save_pretrained(changed)
tokenizer.save_pretrained(changed)
again = pipeline("ner", model=changed, **trust)
tagger.save_pretrained(piped)
print()
print(json.dumps({
    "found": found,
    "tagged": tagger(text),
    "without_task": without_task,
    "classes": [type(x).__name__ for x in (encoder, model, ner, tagger)],
    "encoder": sum(p.double().abs().sum().item() for p in encoder.encoder.parameters()),
    "encoder_keys": sorted(encoder.state_dict())[:2],
    "buffers": [name for name, _ in model.named_buffers() if not name.startswith("encoder.")],
    "dtypes": sorted({str(p.dtype) for p in model.parameters()}),
    "bias": again.model.classifier.bias.tolist(),
    "found_again": again(text),
    "found_piped": pipeline("ner", model=piped, **trust)(text),
    "changed": sorted(os.listdir(changed)),
    "piped": sorted(os.listdir(piped)),
    "tokenizer_class": json.load(open(f"{folder}/tokenizer_config.json"))["tokenizer_class"],
}))
"""
    return in_fresh_process(script, repo, TEXT, repo.with_name("changed-model"), repo.with_name("saved-pipeline"))


def test_both_tasks_find_the_same_where_this_project_does_not_exist(elsewhere, model, tokenizer):
    assert elsewhere["classes"] == ["ClinXModel", "ClinXForTokenClassification", "ClinXPipeline", "ClinXPipeline"]
    assert elsewhere["found"] == elsewhere["tagged"] == ClinXPipeline(model=model, tokenizer=tokenizer)(TEXT)
    assert elsewhere["found"] and all(entity["word"] in TEXT for entity in elsewhere["found"])


def test_a_repo_holds_the_code_that_it_needs(repo):
    assert {path.name for path in repo.glob("*.py")} == CODE


def test_a_pipeline_without_its_task_names_both_tasks(elsewhere):
    assert "ner" in elsewhere["without_task"] and "token-classification" in elsewhere["without_task"]


def test_auto_model_gives_the_encoder(elsewhere, model):
    total = sum(parameter.double().abs().sum().item() for parameter in model.encoder.parameters())
    assert elsewhere["encoder"] == pytest.approx(total)
    assert all(key.startswith("encoder.") for key in elsewhere["encoder_keys"])


def test_a_model_saved_by_plain_transformers_keeps_all_code_with_the_pipeline(elsewhere, model):
    assert set(elsewhere["changed"]) & CODE == set(elsewhere["piped"]) & CODE == CODE
    assert elsewhere["bias"] == pytest.approx((model.classifier.bias + 1.0).tolist())
    assert [entity["start"] for entity in elsewhere["found_again"]] == [e["start"] for e in elsewhere["found"]]
    assert elsewhere["found_piped"] == elsewhere["found"]


def test_the_tokenizer_of_a_repo_loads_in_transformers_4_too(repo, elsewhere):
    assert elsewhere["tokenizer_class"] != "TokenizersBackend"
    assert hasattr(transformers, elsewhere["tokenizer_class"])


def test_there_are_no_buffers_that_a_load_could_leave_as_garbage(model, elsewhere):
    assert not [name for name, _ in model.named_buffers() if not name.startswith("encoder.")]
    assert not elsewhere["buffers"]


def test_a_load_gives_the_weights_and_float32_under_any_default_dtype(repo, model, elsewhere):
    assert elsewhere["dtypes"] == ["torch.float32"]
    again = ClinXForTokenClassification.from_pretrained(repo)
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)
