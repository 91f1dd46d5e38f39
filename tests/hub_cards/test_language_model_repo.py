"""A masked language model is pushed with a card of its own kind, and holds no code."""

import re

import pytest
from huggingface_hub import ModelCard

from tests.hub.server import READER
from tests.hub_cards.readers import output_of
from tests.hub_cards.runs import make_language_model
from tests.hub_cards.sessions import session


COMMANDS = {"model": ("push", "lm", "org/clin-x-mini", "--language", "es", "--dataset", "Spanish case reports")}
READ = """
encoder = AutoModel.from_pretrained(folder, revision="main")
tokenizer = AutoTokenizer.from_pretrained(folder, revision="main")
(best, *_) = pipeline("fill-mask", model=folder)("dolor <mask>.")
print(json.dumps([type(encoder).__name__, tokenizer("dolor")["input_ids"], best["token_str"]]))
"""


@pytest.fixture(scope="module")
def pushes(tmp_path_factory, tokenizer):
    """The Hub after `COMMANDS`."""
    folder = tmp_path_factory.mktemp("language_model")
    make_language_model(folder / "lm", tokenizer)
    with session(folder, COMMANDS) as pushed:
        yield pushed


def test_a_language_model_is_read_by_plain_transformers(pushes, tokenizer):
    result = pushes.results["model"]
    assert result.status == 0 and "it gives the same 12 predictions in the card's example" in result.out, result
    kind, ids, _ = output_of(pushes.client, READ, "org/clin-x-mini", token=READER, home="reader")
    assert (kind, ids) == ("XLMRobertaModel", tokenizer("dolor")["input_ids"])


def test_a_language_model_card_says_what_it_is(pushes):
    files = pushes.hub.files("org/clin-x-mini")
    card = ModelCard(files["README.md"].decode())
    assert card.data.pipeline_tag == "fill-mask" and card.data.base_model == "FacebookAI/xlm-roberta-large"
    assert [result.metric_value for result in card.data.eval_results] == [5.25, 1.658]
    assert "| perplexity | 42.5 | 5.25 |" in card.content and "Spanish case reports" in card.content
    for fact in (
        "| train documents | 4,182 |",
        "| excluded | 3 |",
        "Decontamination: 3 documents that shared a run of 50 words with one of 250 notes kept for judging models",
        "to 80 % or more (Jaccard)",
        "600 updates of 32 blocks: 1,234,567 subwords, 2,346 a second",
        "Blocks hold up to 128 subwords, and go on with the next document where one ends; 15 %",
        "`block_length: 128`",
    ):
        assert fact in " ".join(card.content.split()), fact
    assert len(re.findall(r"^\| .*<mask>", card.content, re.M)) == 4
    assert "{{" not in card.content and not any(b"secret" in data for data in files.values())
    assert not any("clinx" in name for name in files)
