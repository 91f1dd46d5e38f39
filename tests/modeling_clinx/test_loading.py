"""Models on disk: what is saved, and starting from a pretrained encoder of any family, in any kind of checkpoint."""

import copy
import json
import shutil

import pytest
import torch
import transformers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForTokenClassification,
    BertConfig,
    ByT5Tokenizer,
    CamembertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ModernBertConfig,
    MPNetConfig,
    RobertaConfig,
    T5Config,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXConfig, ClinXForTokenClassification, ClinXModel, ClinXPipeline, DocumentPredictor
from tests.modeling_clinx.models import TYPES, new_model


pytestmark = pytest.mark.compat


@pytest.fixture
def model(tiny_encoder_dir):
    return new_model(tiny_encoder_dir)


@pytest.fixture
def batch(tokenizer):
    return tokenizer(["Toma paracetamol.", "No."], padding=True, return_tensors="pt", return_token_type_ids=False)


# What is saved


def test_a_saved_model_gives_the_same_outputs(model, batch, tmp_path):
    model.save_pretrained(tmp_path / "model")
    again = ClinXForTokenClassification.from_pretrained(tmp_path / "model").eval()
    before, after = model(**batch), again(**batch)
    assert torch.equal(before.emissions, after.emissions) and torch.equal(before.logits, after.logits)
    assert {parameter.dtype for parameter in again.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "setting", [{"segmentation": "sentences"}, {"unit": "words"}, {"context_size": -3}, {"window_length": 4}]
)
def test_a_setting_of_a_load_is_checked_as_that_of_a_new_model(model, tmp_path, setting):
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match=next(iter(setting))):
        ClinXForTokenClassification.from_pretrained(tmp_path / "model", **setting)
    again = ClinXForTokenClassification.from_pretrained(tmp_path / "model", segmentation="sentence", context_size=3)
    assert (again.config.segmentation, again.config.context_size) == ("sentence", 3)


def test_the_checkpoint_holds_the_encoder_the_classifier_and_the_crf(model, tiny_encoder_dir):
    keys = set(model.state_dict())
    assert {key for key in keys if not key.startswith("encoder.")} == {
        "classifier.weight",
        "classifier.bias",
        "crf.transitions",
        "crf.start",
        "crf.end",
    }
    assert {key.removeprefix("encoder.") for key in keys if key.startswith("encoder.")} == set(
        model.encoder.state_dict()
    )
    linear = new_model(tiny_encoder_dir, head="linear")
    assert not [key for key in linear.state_dict() if key.startswith("crf.")]


def test_a_configuration_survives_the_disk(model, tmp_path):
    config = model.config
    config.save_pretrained(tmp_path)
    again = ClinXConfig.from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict() | {"transformers_version": transformers.__version__}
    assert isinstance(again.encoder, XLMRobertaConfig) and again.encoder.hidden_size == 32
    assert again.id2label == {0: "O", 1: "B-FARMACO", 2: "I-FARMACO", 3: "B-DOLENCIA", 4: "I-DOLENCIA"}
    assert again.label2id == {label: i for i, label in again.id2label.items()} and again.num_labels == 5


def test_a_repo_does_not_tell_where_its_encoder_lay(model, tokenizer, tiny_encoder_dir, tmp_path):
    repo = save_model_repo(model, tokenizer, tmp_path / "told_ner")
    for file in repo.glob("*.json"):
        assert str(tiny_encoder_dir) not in file.read_text(encoding="utf-8")


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


def test_a_format_from_the_future_is_refused(model, tmp_path):
    model.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**saved, "format_version": 3}))
    with pytest.raises(ValueError, match="CLIN-X format 3.*formats up to 2.*newer release"):
        ClinXForTokenClassification.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"head": "softmax"}, "head is 'softmax', expected one of crf, linear"),
        ({"scheme": "IOB"}, "scheme is 'IOB'"),
        ({"unit": "letter"}, "unit is 'letter'"),
        ({"segmentation": "page"}, "segmentation is 'page'"),
        ({"context_size": -1}, "context_size -1 must be >= 0"),
        ({"window_length": 3}, "window_length 3 at least 8"),
        ({"entity_types": ["A", "A"]}, r"entity_types has \['A', 'A'\]: each needs a name of its own"),
        ({"entity_types": ["A", "O"]}, r"entity_types has \['O'\]: .* other than O, which means no entity"),
        ({"entity_types": ["A", ""]}, r"entity_types has \[''\]"),
        ({"entity_types": [" "]}, r"entity_types has \[' '\]"),
        ({"entity_types": "AGE"}, "entity_types is 'AGE', expected a list of names"),
        ({"entity_types": ["A"], "num_labels": 5}, "num_labels is 5, but entity_types .'A'. give 3"),
        ({"entity_types": ["A"], "id2label": {0: "O", 1: "A"}}, "id2label is .*, but entity_types .'A'. give"),
        ({"entity_types": ["A"], "label2id": {"A": 0}}, "label2id is .*, but entity_types .'A'. give"),
    ],
)
def test_a_wrong_setting_says_what_was_expected(setting, message):
    with pytest.raises(ValueError, match=message):
        ClinXConfig(**setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"num_labels": 3}, "num_labels is 3, but this model was saved with 5"),
        ({"id2label": {0: "O", 1: "X"}}, "id2label is .*'X'.*, but this model was saved with .*B-FARMACO"),
        ({"label2id": {"O": 0}}, "label2id is .*, but this model was saved with"),
        ({"entity_types": ["FARMACO"]}, r"entity_types is \['FARMACO'\], but this model was saved with .*DOLENCIA"),
        ({"entity_types": ["DOLENCIA", "FARMACO"]}, "entity_types is .*from_encoder"),
        ({"scheme": "BIO"}, "scheme is 'BIO', but this model was saved with 'BIOSE'"),
        ({"head": "linear"}, "head is 'linear', but this model was saved with 'crf'"),
    ],
)
def test_a_load_that_disagrees_with_the_weights_is_refused(model, tmp_path, setting, message):
    model.save_pretrained(tmp_path)
    for load in (ClinXForTokenClassification, ClinXConfig, AutoConfig, AutoModelForTokenClassification):
        with pytest.raises(ValueError, match=message):
            load.from_pretrained(tmp_path, **setting)


def test_a_load_that_says_what_the_weights_say_is_a_load(model, batch, tmp_path):
    model.save_pretrained(tmp_path)
    labels = ["O", "B-FARMACO", "I-FARMACO", "B-DOLENCIA", "I-DOLENCIA"]
    same = {
        "num_labels": 5,
        "id2label": dict(enumerate(labels)),
        "label2id": {name: i for i, name in enumerate(labels)},
    }
    for settings in (same, {"entity_types": TYPES}, {"window_length": 64, "context_size": 8}):
        again = ClinXForTokenClassification.from_pretrained(tmp_path, **settings).eval()
        assert torch.equal(again(**batch).logits, model(**batch).logits)
        assert again.config.id2label == dict(enumerate(labels)) and again.config.num_labels == 5
    assert again.config.window_length == 64


def test_a_vocabulary_that_was_resized_survives_the_disk(model, batch, tmp_path):
    model.resize_token_embeddings(410)
    expected = model(**batch).emissions
    model.save_pretrained(tmp_path)
    again = ClinXForTokenClassification.from_pretrained(tmp_path).eval()
    assert again.get_input_embeddings().weight.shape[0] == again.config.encoder.vocab_size == 410
    assert torch.equal(again(**batch).emissions, expected)


def test_a_model_without_entity_types_is_refused(tiny_encoder_dir):
    with pytest.raises(ValueError, match="at least one entity type"):
        ClinXForTokenClassification.from_encoder(tiny_encoder_dir, [])


def test_replacing_a_repo_leaves_nothing_of_the_old_one(model, tokenizer, tmp_path):
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "training_args.bin").write_bytes(b"a pickle")
    assert save_model_repo(model, tokenizer, tmp_path / "repo") == tmp_path / "repo"
    files = {path.name for path in (tmp_path / "repo").iterdir()}
    assert files >= {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]
    assert [path.name for path in tmp_path.iterdir()] == ["repo"]


def test_two_folders_of_one_name_are_two_models(tiny_encoder_dir, tokenizer, tmp_path):
    """Transformers 4 would take the code, and so the classes, of the first for both; classes of the project do not."""
    for member, types in (("a", ["FARMACO"]), ("b", ["FARMACO", "DOLENCIA"])):
        save_model_repo(new_model(tiny_encoder_dir, types), tokenizer, tmp_path / member / "best")
    members = [ClinXForTokenClassification.from_pretrained(tmp_path / member / "best") for member in "ab"]
    assert [member.config.entity_types for member in members] == [["FARMACO"], ["FARMACO", "DOLENCIA"]]


@pytest.mark.parametrize("head", ["crf", "linear"])
def test_modules_kept_in_float32_are_there_with_either_head(tiny_encoder_dir, tmp_path, head):
    new_model(tiny_encoder_dir, head=head).save_pretrained(tmp_path)
    for dtype in (torch.bfloat16, torch.float16):
        model = ClinXForTokenClassification.from_pretrained(tmp_path, dtype=dtype)
        kept = {p.dtype for name, p in model.named_parameters() if not name.startswith("encoder.")}
        assert kept == {torch.float32} and model.encoder.dtype == dtype
    assert ClinXModel.from_pretrained(tmp_path, dtype=torch.bfloat16).dtype == torch.bfloat16


def test_a_model_can_be_made_on_the_meta_device(model):
    with torch.device("meta"):
        ghost = ClinXForTokenClassification(model.config)
    assert {parameter.device.type for parameter in ghost.parameters()} == {"meta"}


# Encoders


def encoder_configs():
    """The smallest of each family; all know 70 positions."""
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    small |= {"max_position_embeddings": 70, "pad_token_id": 1, "vocab_size": 400}
    distil = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
    relative = {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 16,
        "type_vocab_size": 0,
    }
    special = {"bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2, "local_attention": 16}
    return {
        "bert": (BertConfig(**small), 70),
        "distilbert": (DistilBertConfig(**distil, max_position_embeddings=70, pad_token_id=1, vocab_size=400), 70),
        "deberta-v2": (DebertaV2Config(**small, **relative), 70),
        "modernbert": (ModernBertConfig(**small, **special), 70),
        "roberta": (RobertaConfig(**small), 68),
        "camembert": (CamembertConfig(**small), 68),
        "mpnet": (MPNetConfig(**small), 68),
        "xlm-roberta": (XLMRobertaConfig(**small), 68),
    }


@pytest.mark.parametrize("kind", encoder_configs())
def test_any_encoder_is_kept_trains_saves_loads_and_predicts(kind, tokenizer, tmp_path, batch):
    config, positions = encoder_configs()[kind]
    torch.manual_seed(0)
    encoder = AutoModel.from_config(config)
    encoder.save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    model = new_model(tmp_path / "encoder", window_length=4000)
    assert model.config.window_length == positions, "as long as the encoder's positions allow, and no longer"
    pretrained = encoder.state_dict()
    assert all(torch.equal(value, pretrained[name]) for name, value in model.encoder.state_dict().items())

    model.train()(**batch, labels=torch.zeros_like(batch["input_ids"])).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.save_pretrained(tmp_path / "model")
    again = ClinXForTokenClassification.from_pretrained(tmp_path / "model")
    assert again.encoder.config._attn_implementation == model.encoder.config._attn_implementation
    long_line = "paracetamol, " * 200  # windows as long as can be
    before, after = (next(DocumentPredictor(m, tokenizer)([long_line])) for m in (model, again))
    assert before.labels and before.labels == after.labels and (before.scores == after.scores).all()


def test_no_encoder_gets_a_pooler_that_would_never_be_trained(model):
    assert not [name for name, _ in model.named_parameters() if "pooler" in name]


def test_the_attention_implementation_reaches_the_encoder(model, batch, tmp_path):
    model.save_pretrained(tmp_path)
    eager = ClinXForTokenClassification.from_pretrained(tmp_path, attn_implementation="eager").eval()
    assert (model.encoder.config._attn_implementation, eager.encoder.config._attn_implementation) == ("sdpa", "eager")
    torch.testing.assert_close(eager(**batch).logits, model(**batch).logits, rtol=1e-4, atol=1e-4)


def test_a_text_that_has_the_name_of_a_special_token_in_it_is_text(model, tokenizer):
    text = "Dolor <s> torácico </s> y <mask> fiebre <pad>"
    prediction = next(DocumentPredictor(model, tokenizer)([text], subwords=True))
    assert "".join(text[start:end] for start, end in zip(prediction.starts, prediction.ends, strict=True)) == "".join(
        text.split()
    )


@pytest.mark.parametrize("form", ["model.safetensors", "pytorch_model.bin", "float16"])
def test_a_masked_language_model_gives_its_encoder(form, tiny_encoder_dir, tmp_path):
    """As the published CLIN-X language models are: `roberta.` and `lm_head.` weights, maybe as `.bin`, maybe halved."""
    shutil.copytree(tiny_encoder_dir, tmp_path, dirs_exist_ok=True)
    torch.manual_seed(2)
    language_model = XLMRobertaForMaskedLM(XLMRobertaConfig.from_pretrained(tiny_encoder_dir))
    if form == "float16":
        language_model.half()
    language_model.save_pretrained(tmp_path)
    if form == "pytorch_model.bin":
        (tmp_path / "model.safetensors").unlink()
        torch.save(language_model.state_dict(), tmp_path / form)
    model = ClinXForTokenClassification.from_encoder(tmp_path, TYPES)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    pretrained = language_model.roberta.state_dict()
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(value, pretrained[name].float()), name


def test_another_token_classifier_gives_its_encoder(model, tokenizer, tmp_path):
    nn.init.normal_(model.encoder.get_input_embeddings().weight)
    source = save_model_repo(model, tokenizer, tmp_path / "source")
    target = ClinXForTokenClassification.from_encoder(source, ["PROFESION"], head="linear")
    assert target.config.entity_types == ["PROFESION"]
    assert not isinstance(target.encoder, ClinXModel)
    torch.testing.assert_close(target.encoder.state_dict(), model.encoder.state_dict(), rtol=0, atol=0)


def test_an_encoder_without_a_fast_tokenizer_is_refused(tmp_path):
    ByT5Tokenizer().save_pretrained(tmp_path)
    T5Config().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no fast tokenizer"):
        ClinXForTokenClassification.from_encoder(tmp_path, TYPES)


@pytest.mark.parametrize("device_map", ["cpu", "auto", {"": "cpu"}])
def test_a_repo_loads_with_a_device_map(model, tokenizer, batch, tmp_path, device_map):
    save_model_repo(model, tokenizer, tmp_path / "mapped_ner")
    loaded = ClinXForTokenClassification.from_pretrained(tmp_path / "mapped_ner", device_map=device_map)
    torch.testing.assert_close(loaded(**batch).emissions, model(**batch).emissions)
