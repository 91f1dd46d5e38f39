"""The card of a dataset of annotated notes: its metadata survive."""

from huggingface_hub import DatasetCard, DatasetCardData

from hub_cards.card_fields import plain
from hub_cards.dataset_card import Provenance, save_dataset_card


def test_the_metadata_survive_a_round_trip(tmp_path):
    save_dataset_card(
        tmp_path,
        name="Notes: “ñ” & others",
        splits={"train": {"documents": 2, "characters": 9, "entities": 1}},
        labels={"A|B": 1},
        problems={"overlapping": 2},
        example={"id": "x", "text": "y", "entities": []},
        provenance=Provenance(language="es", license="CC BY 4.0"),
    )
    card = DatasetCard.load(tmp_path / "README.md")
    assert (card.data.pretty_name, card.data.license, card.data.language) == ("Notes: “ñ” & others", "cc-by-4.0", "es")
    assert DatasetCardData(**card.data.to_dict()).to_dict() == card.data.to_dict()
    assert "- 2: overlapping" in card.text and "| A\\|B | 1 |" in card.text


def test_a_label_is_shown_as_it_is_on_one_line():
    assert plain("FAMILY_HISTORY") == "FAMILY_HISTORY"
    assert plain("a|b\n<b>*[x](y)") == r"a\|b\\n\<b\>\*\[x\](y)"
