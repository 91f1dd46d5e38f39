"""An ensemble is one model: built from members, saved, loaded, and read with as any other."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForTokenClassification

from hub_cards.repo import save_model_repo
from modeling_clinx import (
    ClinXEnsembleConfig,
    ClinXEnsembleForTokenClassification,
    ClinXForTokenClassification,
    ClinXPipeline,
    DocumentPredictor,
)
from tests.modeling_clinx.models import ENSEMBLE_CODE, in_fresh_process, new_model


pytestmark = pytest.mark.compat

TEXTS = [
    "La Dra. García solicita analítica: hemoglobina 13.5 g/dl, leucocitos 7,200.",
    "Se pauta paracetamol 500 mg.\n\nNiega vómitos 😀, cefalea o pérdida de peso. " * 20,
    "",
    "fiebre",
]


@pytest.fixture(scope="module")
def ensemble(member_folders):
    return ClinXEnsembleForTokenClassification.from_members(member_folders)


@pytest.fixture(scope="module")
def repo(ensemble, tokenizer, tmp_path_factory):
    return save_model_repo(ensemble, tokenizer, tmp_path_factory.mktemp("hub") / "clinical-ensemble")


def read(model, tokenizer, texts=TEXTS, **kwargs):
    return list(DocumentPredictor(model, tokenizer)(texts, **kwargs))


def assert_same(once, twice):
    for a, b in zip(once, twice, strict=True):
        assert a.labels == b.labels
        assert (a.starts == b.starts).all() and (a.ends == b.ends).all()
        if a.agreement is None:  # one model
            assert (b.agreement == 1.0).all()
        else:
            assert (a.agreement == b.agreement).all()
        assert np.allclose(a.scores, b.scores, rtol=0, atol=1e-5)
        assert a.disagreement == pytest.approx(b.disagreement)


# Voting


@pytest.mark.parametrize("subwords", [False, True])
@pytest.mark.parametrize("settings", [{}, {"scheme": "BIO"}, {"head": "linear"}, {"unit": "word"}])
def test_an_ensemble_of_one_is_its_member(tiny_encoder_dir, tokenizer, tmp_path, settings, subwords):
    member = new_model(tiny_encoder_dir, **settings)
    save_model_repo(member, tokenizer, tmp_path / "member")
    ensemble = ClinXEnsembleForTokenClassification.from_members([tmp_path / "member"])
    once, twice = (read(model, tokenizer, subwords=subwords) for model in (member, ensemble))
    assert any(len(prediction.labels) for prediction in once)
    assert_same(once, twice)
    assert all((a.scores == b.scores).all() for a, b in zip(once, twice, strict=True))


def test_the_order_of_members_and_of_documents_does_not_matter(ensemble, member_folders, tokenizer):
    predictions = read(ensemble, tokenizer)
    assert any(0 < agreement < 1 for document in predictions for agreement in document.agreement)
    shuffled = ClinXEnsembleForTokenClassification.from_members([member_folders[i] for i in (3, 1, 4, 0, 2)])
    again = read(shuffled, tokenizer)
    assert_same(predictions, again)
    assert all((a.scores == b.scores).all() for a, b in zip(predictions, again, strict=True))
    assert_same(predictions, read(ensemble, tokenizer, TEXTS[::-1])[::-1])


def test_scores_are_the_mean_posterior_and_agreement_the_share_of_members(ensemble, member_folders, tokenizer):
    members = [ClinXForTokenClassification.from_pretrained(folder) for folder in member_folders]
    by_member = [read(member, tokenizer)[0] for member in members]
    prediction = read(ensemble, tokenizer)[0]
    spans = [set(zip(m.starts.tolist(), m.ends.tolist(), m.labels, strict=True)) for m in by_member]
    for span, agreement in zip(
        zip(prediction.starts, prediction.ends, prediction.labels, strict=True), prediction.agreement, strict=True
    ):
        assert agreement == pytest.approx(sum(span in own for own in spans) / 5)
    for start, end, label, score, agreement in zip(*prediction[:4], prediction.agreement, strict=True):
        here = [(m.starts == start) & (m.ends == end) & (np.array(m.labels) == label) for m in by_member]
        own = [m.scores[at].sum() for m, at in zip(by_member, here, strict=True)]  # 0 where a member does not find it
        assert sum(own) / 5 - 1e-5 <= score <= sum(own) / 5 + (1 - agreement) + 1e-5


def test_rows_of_a_prediction_have_the_agreement_of_an_ensemble(ensemble, tokenizer):
    for prediction in read(ensemble, tokenizer):
        assert [row.agreement for row in prediction.rows()] == prediction.agreement.tolist()


def test_six_members_that_agree_agree_wholly(member_folders, tokenizer):
    twins = ClinXEnsembleForTokenClassification.from_members([member_folders[0]] * 6)
    prediction = read(twins, tokenizer)[0]
    assert len(prediction.agreement) and (prediction.agreement == 1.0).all()


def test_a_span_that_no_member_found_scores_near_nothing(member_folders, tokenizer):
    """Of the paths OBIE, BIEO and BEOS the most votes are for BIIE, a span that is none of the three's."""
    voters = ClinXEnsembleForTokenClassification.from_members(member_folders[:3])
    tags = voters.members[0].crf.tags

    def emitting(roles):
        def compute_emissions(input_ids, attention_mask=None):
            emissions = torch.zeros(*input_ids.shape, len(tags))
            emissions[..., tags.roles.index("O")] = 20.0
            for position, role in enumerate(roles, 1):  # after <s>
                emissions[:, position, tags.roles.index(role)] = 40.0
            return emissions

        return compute_emissions

    for member, roles in zip(voters.members, ("OBIE", "BIEO", "BEOS"), strict=True):
        member.compute_emissions = emitting(roles)
    prediction = read(voters, tokenizer, ["dolor torácico de 3 horas"])[0]
    assert prediction.positions.tolist() == [0] and prediction.labels == ["FARMACO"]
    assert prediction.agreement.tolist() == [0.0] and prediction.scores.max() < 1e-3


def test_averaging_looks_at_marginals_and_not_at_votes(member_folders, tokenizer):
    """Two members barely prefer O, one is sure of S: the majority is O, the mean is S."""
    labels = {}
    for vote in ("majority", "average"):
        voters = ClinXEnsembleForTokenClassification.from_members(member_folders[:3], vote=vote)
        tags = voters.members[0].crf.tags

        def emitting(advantage, tags=tags):
            def compute_emissions(input_ids, attention_mask=None):
                emissions = torch.full((*input_ids.shape, len(tags)), -50.0)
                emissions[..., tags.roles.index("O")] = 0.0
                emissions[:, 1, tags.roles.index("S")] = advantage
                return emissions

            return compute_emissions

        for member, advantage in zip(voters.members, (-0.1, -0.1, 9.0), strict=True):
            member.compute_emissions = emitting(advantage)
        assert voters.config.vote == vote
        labels[vote] = read(voters, tokenizer, ["fiebre alta"])[0].labels
    assert labels == {"majority": [], "average": ["FARMACO"]}
    with pytest.raises(ValueError, match="vote is 'veto', expected one of majority, average"):
        ClinXEnsembleConfig(vote="veto")


def test_disagreement_is_nothing_where_members_agree(ensemble, member_folders, tokenizer):
    twins = ClinXEnsembleForTokenClassification.from_members([member_folders[0]] * 3)
    assert [prediction.disagreement for prediction in read(twins, tokenizer)] == [0.0] * len(TEXTS)
    predictions = read(ensemble, tokenizer)
    assert predictions[0].disagreement > 0 and all(0 <= one.disagreement <= np.log(5) for one in predictions)


def test_forward_gives_the_mean_probabilities_and_loss(ensemble, tokenizer):
    batch = tokenizer(["dolor torácico", "fiebre"], padding=True, return_tensors="pt")
    labels = torch.where(batch["attention_mask"].bool(), 0, -100)
    batch = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        out, members = ensemble(**batch, labels=labels), [member(**batch, labels=labels) for member in ensemble.members]
    assert out.logits.exp().sum(-1).allclose(torch.ones(out.logits.shape[:2]))
    assert out.loss == pytest.approx(np.mean([float(member.loss) for member in members]))
    assert out.logits.exp().allclose(sum(member.logits.exp() for member in members) / 5, atol=1e-6)


# One model repo


def test_a_saved_ensemble_reads_the_same(ensemble, repo, tokenizer):
    assert (repo / "model.safetensors").exists() and ENSEMBLE_CODE == {path.name for path in repo.glob("*.py")}
    loaded = AutoModelForTokenClassification.from_pretrained(repo)
    assert type(loaded) is ClinXEnsembleForTokenClassification and loaded.config.members == ["local"] * 5
    assert_same(read(ensemble, tokenizer), read(loaded, tokenizer))


def test_auto_model_gives_the_first_members_encoder(repo, ensemble):
    encoder = AutoModel.from_pretrained(repo)
    expected = ensemble.members[0].encoder.state_dict()
    actual = encoder.members[0].encoder.state_dict()
    assert actual.keys() == expected.keys() and all(torch.equal(actual[name], expected[name]) for name in actual)
    student = ClinXForTokenClassification.from_encoder(repo, ["OTHER"])
    assert torch.equal(student.encoder.state_dict()[(name := next(iter(expected)))], expected[name])
    ids = torch.tensor([[0, 5, 6, 2]])
    assert encoder.eval()(ids)[0].shape == (1, 4, 32)


def test_a_vocabulary_that_was_resized_survives_the_disk(member_folders, tokenizer, tmp_path):
    member = ClinXForTokenClassification.from_pretrained(member_folders[0])
    member.resize_token_embeddings(410)
    save_model_repo(member, tokenizer, tmp_path / "member")
    ensemble = ClinXEnsembleForTokenClassification.from_members([tmp_path / "member"] * 2)
    ensemble.resize_token_embeddings(420)
    ensemble.save_pretrained(tmp_path / "ensemble")
    loaded = ClinXEnsembleForTokenClassification.from_pretrained(tmp_path / "ensemble")
    assert [one.get_input_embeddings().weight.shape[0] for one in loaded.members] == [420, 420]
    assert_same(read(ensemble, tokenizer), read(loaded, tokenizer))
    with pytest.raises(ValueError, match="they differ in encoder vocab_size: .* and 410"):
        ClinXEnsembleForTokenClassification.from_members([member_folders[0], tmp_path / "member"])


def test_a_large_checkpoint_is_sharded(ensemble, tokenizer, tmp_path):
    ensemble.save_pretrained(tmp_path, max_shard_size="50KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    loaded = ClinXEnsembleForTokenClassification.from_pretrained(tmp_path)
    assert_same(read(ensemble, tokenizer), read(loaded, tokenizer))


def test_half_precision_leaves_classifier_and_crf_in_float32(repo, tokenizer):
    loaded = ClinXEnsembleForTokenClassification.from_pretrained(repo, dtype=torch.bfloat16)
    for member in loaded.members:
        assert member.encoder.dtype == torch.bfloat16
        assert member.classifier.weight.dtype == member.crf.transitions.dtype == torch.float32
    assert len(read(loaded, tokenizer)) == len(TEXTS)


def test_members_on_disk_read_the_same(repo, ensemble, tokenizer):
    loaded = ClinXEnsembleForTokenClassification.from_pretrained(repo, max_members_in_memory=2)
    on_disk = [all(p.device.type == "meta" for p in member.encoder.parameters()) for member in loaded.members]
    assert on_disk == [False, False, True, True, True]
    assert_same(read(ensemble, tokenizer), read(loaded, tokenizer))


@pytest.mark.parametrize(
    "arguments",
    [{"max_members_in_memory": 0}, {"device_map": "auto"}, {"device_map": "balanced"}, {"device_map": {"": "cpu"}}],
)
def test_members_in_memory_need_a_number_and_one_device(repo, arguments):
    with pytest.raises(ValueError, match="at least 1, on one device"):
        ClinXEnsembleForTokenClassification.from_pretrained(repo, **{"max_members_in_memory": 1, **arguments})


def test_members_in_half_precision_make_such_an_ensemble(member_folders, tokenizer, tmp_path):
    halves = ClinXEnsembleForTokenClassification.from_members(member_folders[:2], dtype=torch.bfloat16)
    save_model_repo(halves, tokenizer, tmp_path / "half")
    loaded = ClinXEnsembleForTokenClassification.from_pretrained(tmp_path / "half", dtype=torch.bfloat16)
    for model in (halves, loaded):
        for member in model.members:
            assert member.encoder.dtype == torch.bfloat16 and member.classifier.weight.dtype == torch.float32
    assert_same(read(halves, tokenizer), read(loaded, tokenizer))


def test_an_ensemble_moves_with_a_device_map(repo, ensemble, tokenizer):
    loaded = ClinXEnsembleForTokenClassification.from_pretrained(repo, device_map="cpu")
    assert_same(read(ensemble, tokenizer), read(loaded, tokenizer))


def test_the_pipeline_votes_where_this_project_does_not_exist(repo, ensemble, tokenizer):
    script = """
text, changed = more
trust = {"trust_remote_code": True}
model = AutoModelForTokenClassification.from_pretrained(folder, **trust)
ner = pipeline("ner", model=folder, **trust)
found = ner(text)
ner.model.save_pretrained(changed)
ner.tokenizer.save_pretrained(changed)
encoder = AutoModel.from_pretrained(folder, **trust)
few = pipeline("ner", model=folder, model_kwargs={"max_members_in_memory": 1}, **trust)
print(json.dumps({
    "found": found,
    "again": pipeline("ner", model=changed, **trust)(text),
    "few": few(text, batch_size=1),  # as the others, which one thread reads window by window
    "changed": sorted(os.listdir(changed)),
    "class": type(ner.model).__name__,
    "encoder": type(encoder).__name__,
}))
"""
    elsewhere = in_fresh_process(script, repo, TEXTS[1], repo.with_name("changed-ensemble"))
    expected = ClinXPipeline(model=ensemble, tokenizer=tokenizer)(TEXTS[1])
    assert elsewhere["class"] == "ClinXEnsembleForTokenClassification" and elsewhere["encoder"] == "ClinXEnsembleModel"
    assert elsewhere["found"] == expected == elsewhere["again"] == elsewhere["few"]
    assert {"entity_group", "score", "agreement", "word", "start", "end"} == set(expected[0])
    assert ENSEMBLE_CODE <= set(elsewhere["changed"])
