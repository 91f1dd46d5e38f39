"""The documents of a run: what is refused, what is held apart, and how few can be divided."""

import pytest

from clinx import cli
from clinx.corpora.documents import Document, Entity
from clinx.corpora.formats.brat import write_brat
from clinx.corpora.formats.jsonl import write_jsonl
from clinx.corpora.synthetic import synthetic_notes
from clinx.errors import InputError
from clinx.finetuning.data import MemberData, member_data, read_annotated, unlabelled_notes
from clinx.recipe import Recipe


def recipe_of(folder, **settings):
    return Recipe(encoder="some/encoder", **{"train": str(folder), "split_kind": "all", **settings})


def write_notes(folder, notes):
    for note in notes:
        write_brat(note, folder)
    return folder


def shifted(folder, by):
    """Moves the offsets of all annotations, as a conversion of line ends does."""
    for path in folder.glob("*.ann"):
        lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        for fields in lines:
            label, start, end = fields[1].split()
            fields[1] = f"{label} {max(0, int(start) + by)} {int(end) + by}"
        path.write_text("".join("\t".join(fields) + "\n" for fields in lines), encoding="utf-8")


def test_annotations_that_do_not_fit_their_text_stop_a_training(recipe, notes, tmp_path, capsys):
    folder = write_notes(tmp_path / "notes", synthetic_notes(6, split="train"))
    shifted(folder, -3)
    command = ["finetune", str(recipe), "--train", str(folder), "--output_dir", str(tmp_path / "run")]
    assert cli.main(command) == 2
    error = capsys.readouterr().err
    assert "mention(s) not read exactly: text differs" in error
    assert "annotations say that their mention reads differently" in error and "max_misaligned" in error
    assert cli.main([*command, "--max_misaligned", "1", "--max_steps", "2"]) == 0


def test_problems_of_reading_are_told_where_they_are_few(tmp_path, capsys):
    folder = write_notes(tmp_path / "notes", synthetic_notes(6, split="train"))
    (one,) = list(folder.glob("*.ann"))[:1]
    text = one.read_text(encoding="utf-8")
    one.write_text(text.replace(text.splitlines()[0].split("\t")[2], "otra cosa", 1), encoding="utf-8")
    read_annotated(recipe_of(folder))
    assert f"{folder}: 1 mention(s) not read exactly: text differs" in capsys.readouterr().err


@pytest.mark.parametrize("copy", ["{}\r\n", "\ufeff{}", "{}"])
def test_a_note_that_differs_in_white_space_judges_not_where_it_is_learned_from(tmp_path, copy):
    text = "Paciente varón.\nSin fiebre desde ayer."
    write_jsonl([Document("a", text, [Entity(0, 8, "A")]), Document("b", "")], tmp_path / "train.jsonl")
    twin = copy.format(text.replace("\n", "\r\n"))
    write_jsonl([Document("c", twin), Document("d", " ")], tmp_path / "test.jsonl")
    with pytest.raises(InputError, match="1 notes both judge and are learned from or selected on, as a"):
        read_annotated(recipe_of(tmp_path / "train.jsonl", test=str(tmp_path / "test.jsonl")))
    write_jsonl([Document("d", " ")], tmp_path / "test.jsonl")  # an empty note is no copy of another
    assert len(read_annotated(recipe_of(tmp_path / "train.jsonl", test=str(tmp_path / "test.jsonl"))).test) == 1


def test_a_validation_note_takes_no_training_note_s_name(tmp_path):
    write_jsonl([Document("x", "Uno"), Document("validation/x", "Dos")], tmp_path / "train.jsonl")
    write_jsonl([Document("x", "Tres")], tmp_path / "validation.jsonl")
    recipe = recipe_of(tmp_path / "train.jsonl", validation=str(tmp_path / "validation.jsonl"), split_kind="standard")
    data = read_annotated(recipe)
    assert {d.text: d.id for d in data.documents} == {
        "Uno": "x",
        "Dos": "validation/x",
        "Tres": "validation/validation/x",
    }


def test_parts_of_judged_notes_are_not_among_the_unlabelled(tmp_path):
    judged = Document(
        "judged", "La paciente ingresa por dolor torácico de tres horas.\nSe pauta paracetamol cada ocho horas."
    )
    part, whole = judged.text.split("\n")[0] + "\r\n", f"Informe:\n{judged.text}\nFin del informe."
    others = ["Otra nota, sin nada de lo anterior.", "Se pauta", ""]
    write_jsonl([Document(str(i), text) for i, text in enumerate([part, whole, *others])], tmp_path / "more.jsonl")
    data = MemberData([], [], [judged], ["A"], 0)
    kept = unlabelled_notes(recipe_of("notes", distill="teacher", unlabelled=str(tmp_path / "more.jsonl")), data)
    assert [note.text for note in kept] == others


def test_few_sentences_of_long_notes_can_be_divided_too(tmp_path, capsys):
    ages = (" ".join(f"Tiene {200 * i + j} años." for j in range(200)) for i in range(10))
    notes = [Document(f"note-{i}", text, [Entity(6, 7, "AGE")]) for i, text in enumerate(ages)]
    write_jsonl(notes, tmp_path / "notes.jsonl")
    settings = {"split_kind": None, "splits": 5, "test_fraction": 0.2, "max_train_sentences": 250}
    annotated = read_annotated(recipe_of(tmp_path / "notes.jsonl", **settings))
    assert "too few documents to divide" in capsys.readouterr().err
    assert len(annotated.splits.members) == 5 and all(member.validation for member in annotated.splits.members)
    assert sum(document.text.count("años") for document in annotated.documents) == 250
    assert [document.text.count("años") for document in annotated.test] == [200, 200]  # whole notes judge


def test_a_changed_note_is_not_taken_for_the_run_that_learned_from_another(few, notes, tmp_path, capsys):
    """Member 1 is trained, then a note is added: its splits would be drawn anew, and its notes judge."""
    folder = tmp_path / "notes"
    for split in ("train", "validation"):
        for path in (notes / split).iterdir():
            (folder / split).mkdir(parents=True, exist_ok=True)
            (folder / split / path.name).write_bytes(path.read_bytes())
    command = ["finetune", str(few), "--train", str(folder / "train"), "--validation", str(folder / "validation")]
    command += ["--splits", "3", "--max_steps", "2", "--output_dir", str(tmp_path / "run")]
    assert cli.main([*command, "--member", "1"]) == 0
    before = (tmp_path / "run/member-1/model/model.safetensors").read_bytes()
    write_brat(Document("added", "Sin fiebre."), folder / "train")
    for again in ([], ["--member", "2"], ["--member", "1"]):
        status = cli.main([*command, *again])
        if again != ["--member", "2"]:  # nobody knows in member 2's folder what member 1 learned from
            assert status == 2 and "member-1 holds a run with other" in capsys.readouterr().err
    assert not (tmp_path / "run/model").exists()
    assert (tmp_path / "run/member-1/model/model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    "label, fault", [("O", "'O' means that there is no entity"), ("B-AGE", "is a tag rather than")]
)
def test_a_label_that_no_entity_type_can_have_is_refused_before_it_is_trained(tmp_path, label, fault):
    write_jsonl([Document("a", "54 años", [Entity(0, 7, label)])], tmp_path / "notes.jsonl")
    recipe = recipe_of(tmp_path / "notes.jsonl")
    with pytest.raises(InputError, match=f"notes.jsonl: {fault}|notes.jsonl: '{label}' {fault}"):
        member_data(recipe, read_annotated(recipe))


def test_types_that_differ_only_by_case_are_told(tmp_path, capsys):
    entities = [Entity(0, 2, "AGE"), Entity(3, 7, "Age")]
    write_jsonl([Document("a", "54 años", entities)], tmp_path / "notes.jsonl")
    recipe = recipe_of(tmp_path / "notes.jsonl")
    assert member_data(recipe, read_annotated(recipe)).entity_types == ["AGE", "Age"]
    assert "the entity types AGE, Age differ only by case" in capsys.readouterr().err


@pytest.mark.parametrize("settings", [{"split_kind": None, "splits": 2}, {"max_train_sentences": 3}])
def test_a_note_that_judges_is_not_learned_from_in_parts_either(tmp_path, settings):
    text = " ".join(f"Tiene {i} años." for i in range(60))
    notes = [Document(f"n{i}", f"Nota {i}. {text}", [Entity(0, 4, "A")]) for i in range(3)]
    write_jsonl(notes, tmp_path / "train.jsonl")
    write_jsonl([Document("t", notes[1].text)], tmp_path / "test.jsonl")
    with pytest.raises(InputError, match="1 notes both judge and are learned from or selected on, as n1"):
        read_annotated(recipe_of(tmp_path / "train.jsonl", test=str(tmp_path / "test.jsonl"), **settings))


def test_notes_that_train_and_select_are_told(tmp_path, capsys):
    note = Document("a", "54 años", [Entity(0, 7, "A")])
    write_jsonl([note, Document("b", "Sin fiebre.")], tmp_path / "train.jsonl")
    write_jsonl([Document("c", "54  años\n"), Document("d", "")], tmp_path / "dev.jsonl")
    read_annotated(recipe_of(tmp_path / "train.jsonl", validation=str(tmp_path / "dev.jsonl"), split_kind="standard"))
    assert "1 validation notes are training notes too, as c" in capsys.readouterr().err


def test_copies_among_the_unlabelled_are_read_once(tmp_path, capsys):
    write_jsonl([Document("a", "Sin fiebre."), Document("b", "Sin  fiebre.\n")], tmp_path / "more.jsonl")
    recipe = recipe_of("notes", distill="teacher", unlabelled=str(tmp_path / "more.jsonl"))
    assert [note.id for note in unlabelled_notes(recipe, MemberData([], [], [], ["A"], 0))] == ["a"]
    assert unlabelled_notes(recipe, MemberData([Document("x", "Sin fiebre.")], [], [], ["A"], 0)) == []
    assert "holds no note that is not known already" in capsys.readouterr().err


def test_what_shares_text_with_held_out_documents_is_not_learned_from(tmp_path, capsys):
    """Also where the rest of the note is another, and in a corpus that is one document: only the blocks that share."""
    notes = list(synthetic_notes(8, split="train"))
    passage = " ".join(f"palabra{number}" for number in range(60))
    shared = [Document(f"shared{i}", f"{note.text}\n{passage}", note.entities) for i, note in enumerate(notes[:2])]
    write_notes(tmp_path / "train", [*shared, *notes[2:]])
    write_jsonl([Document("held", f"Otra cosa. {passage}. Fin.", ())], tmp_path / "held.jsonl")
    held_out = [str(tmp_path / "held.jsonl")]
    kept = member_data(r := recipe_of(tmp_path / "train", held_out=held_out), read_annotated(r)).train
    assert {document.id for document in kept} == {note.id for note in notes[2:]}
    assert "2 documents share text with 1 held-out ones and are left out" in capsys.readouterr().err

    text, entities = "", []
    for note in [*notes[2:], shared[0]] * 4:
        entities += [Entity(e.start + len(text), e.end + len(text), e.label) for e in note.entities]
        text += f"{note.text}\n\n"
    write_jsonl([Document("all", text, tuple(entities))], tmp_path / "one.jsonl")
    recipe = recipe_of(tmp_path / "one.jsonl", held_out=held_out)
    kept = member_data(recipe, read_annotated(recipe)).train
    assert len(kept) > 1 and not any("palabra30" in document.text for document in kept)


def test_fewer_test_documents_are_the_first_ones_or_blocks_of_sentences(tmp_path):
    notes = list(synthetic_notes(12, split="train"))
    write_notes(tmp_path / "train", notes[:4])
    write_jsonl(notes[4:], tmp_path / "test.jsonl")
    recipe = recipe_of(tmp_path / "train", test=str(tmp_path / "test.jsonl"), max_test_documents=3)
    assert [document.id for document in read_annotated(recipe).test] == [note.id for note in notes[4:7]]
    text = "\n\n".join(note.text for note in notes[4:])
    write_jsonl([Document("all", text, ())], tmp_path / "test.jsonl")
    assert 1 < len(read_annotated(recipe.changed(max_test_documents=2)).test) == 2
