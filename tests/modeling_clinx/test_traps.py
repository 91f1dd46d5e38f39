"""Traps of transformers 4 and 5 that a model repo must not fall into; fresh processes know nothing of this project."""

import copy
import json
import sys

import huggingface_hub
import pytest
import torch
import transformers

from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXConfig, ClinXForTokenClassification, ClinXModel, ClinXPipeline, DocumentPredictor
from tests.modeling_clinx.models import CODE, in_fresh_process, new_model


pytestmark = pytest.mark.compat

TEXT = "La Dra. García pauta ½ comprimido de ibuprofeno  600 mg por ﬁebre;\n\tniega náuseas."


@pytest.fixture(scope="module")
def model(tiny_encoder_dir):
    return new_model(tiny_encoder_dir)


@pytest.fixture(scope="module")
def repo(model, tokenizer, tmp_path_factory):
    return save_model_repo(model, tokenizer, tmp_path_factory.mktemp("hub") / "clinical-ner")


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


# Remote code


def test_both_tasks_find_the_same_where_this_project_does_not_exist(elsewhere, model, tokenizer):
    assert elsewhere["classes"] == ["ClinXModel", "ClinXForTokenClassification", "ClinXPipeline", "ClinXPipeline"]
    assert elsewhere["found"] == elsewhere["tagged"] == ClinXPipeline(model=model, tokenizer=tokenizer)(TEXT)
    assert elsewhere["found"] and all(entity["word"] in TEXT for entity in elsewhere["found"])


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


def test_code_that_is_carried_imports_only_what_a_plain_environment_has(repo):
    assert {path.name for path in repo.glob("*.py")} == CODE
    allowed = {"torch", "numpy", "transformers", *sys.stdlib_module_names}
    for path in repo.glob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                room = words[1].split(".")[0]
                assert room in allowed if room else words[1].lstrip(".") + ".py" in CODE, f"{path.name}: {line}"


def test_the_tokenizer_of_a_repo_loads_in_transformers_4_too(repo, elsewhere):
    assert elsewhere["tokenizer_class"] != "TokenizersBackend"
    assert hasattr(transformers, elsewhere["tokenizer_class"])


def test_a_configuration_serializes_after_a_pipeline_put_classes_into_it(model, tmp_path):
    config = copy.deepcopy(model.config)
    for entry in config.custom_pipelines.values():
        entry["pt"] = (ClinXForTokenClassification,)
        entry["impl"] = ClinXPipeline
    config.save_pretrained(tmp_path)
    assert json.loads(config.to_json_string())["custom_pipelines"] == ClinXConfig().custom_pipelines
    assert ClinXConfig.from_pretrained(tmp_path).custom_pipelines == ClinXConfig().custom_pipelines


def test_a_saved_configuration_names_the_code_beside_it_not_that_of_another_repo(model, tmp_path):
    config = copy.deepcopy(model.config)
    config.auto_map = {"AutoConfig": "somebody/else--configuration_clinx.ClinXConfig"}
    config.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["auto_map"]["AutoConfig"] == "configuration_clinx.ClinXConfig"


def test_two_folders_of_one_name_are_two_models(tiny_encoder_dir, tokenizer, tmp_path):
    """Transformers 4 would take the code, and so the classes, of the first for both; classes of the project do not."""
    for member, types in (("a", ["FARMACO"]), ("b", ["FARMACO", "DOLENCIA"])):
        save_model_repo(new_model(tiny_encoder_dir, types), tokenizer, tmp_path / member / "best")
    members = [ClinXForTokenClassification.from_pretrained(tmp_path / member / "best") for member in "ab"]
    assert [member.config.entity_types for member in members] == [["FARMACO"], ["FARMACO", "DOLENCIA"]]


# Weights


def test_there_are_no_buffers_that_a_load_could_leave_as_garbage(model, elsewhere):
    assert not [name for name, _ in model.named_buffers() if not name.startswith("encoder.")]
    assert not elsewhere["buffers"]


def test_a_load_gives_the_weights_and_float32_under_any_default_dtype(repo, model, elsewhere):
    assert elsewhere["dtypes"] == ["torch.float32"]
    again = ClinXForTokenClassification.from_pretrained(repo)
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("head", ["crf", "linear"])
def test_modules_kept_in_float32_are_there_with_either_head(tiny_encoder_dir, tmp_path, head):
    new_model(tiny_encoder_dir, head=head).save_pretrained(tmp_path)
    for dtype in (torch.bfloat16, torch.float16):
        model = ClinXForTokenClassification.from_pretrained(tmp_path, dtype=dtype)
        kept = {p.dtype for name, p in model.named_parameters() if not name.startswith("encoder.")}
        assert kept == {torch.float32} and model.encoder.dtype == dtype
    assert ClinXModel.from_pretrained(tmp_path, dtype=torch.bfloat16).dtype == torch.bfloat16


def test_no_encoder_gets_a_pooler_that_would_never_be_trained(model):
    assert not [name for name, _ in model.named_parameters() if "pooler" in name]


def test_a_model_can_be_made_on_the_meta_device(model):
    with torch.device("meta"):
        ghost = ClinXForTokenClassification(model.config)
    assert {parameter.device.type for parameter in ghost.parameters()} == {"meta"}


def test_prefix_and_suffix_come_from_encoding_not_from_methods_that_transformers_5_lacks(model, tokenizer):
    class Modern:
        is_fast = True

        def __call__(self, *args, **kwargs):
            return tokenizer(*args, **kwargs)

        def __getattr__(self, name):
            lacking = ("build_inputs_with_special_tokens", "prepare_for_model", "create_token_type_ids_from_sequences")
            assert name not in lacking
            return getattr(tokenizer, name)

    predictor = DocumentPredictor(model, Modern())
    assert (predictor.prefix, predictor.suffix) == ([tokenizer.bos_token_id], [tokenizer.eos_token_id])
    assert next(predictor([TEXT])).labels


# Pushing


@pytest.fixture
def created(monkeypatch):
    """The `private` of each repo that a push wants to create; nothing is sent."""
    asked = []

    def create_repo(*args, private=None, **kwargs):
        asked.append(private)
        raise ConnectionAbortedError("as far as a test may go")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr("transformers.utils.hub.create_repo", create_repo, raising=False)  # transformers 4 asks it
    return asked


@pytest.mark.parametrize("kind", ["model", "encoder", "configuration", "pipeline"])
def test_a_push_is_private_unless_told_otherwise(kind, model, tokenizer, repo, created, tmp_path):
    pushed = {
        "model": lambda: model,
        "encoder": lambda: ClinXModel.from_pretrained(repo),
        "configuration": lambda: model.config,
        "pipeline": lambda: ClinXPipeline(model=model, tokenizer=tokenizer),
    }[kind]()
    for private in ({}, {"private": True}, {"private": False}):
        with pytest.raises(ConnectionAbortedError):
            pushed.push_to_hub("somebody/notes", **private)
        with pytest.raises(ConnectionAbortedError):
            pushed.save_pretrained(str(tmp_path / "notes"), push_to_hub=True, **private)
    assert created == [True, True, True, True, False, False]
