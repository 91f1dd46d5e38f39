"""Clinical concepts in a note: see what an ensemble reads, how sure it is, and where its members disagree.

Settings, from the environment:
    CLINX_MODEL, CLINX_MODELS: a model, or several with commas: folders, names on the Hub, or NAME@REVISION.
    CLINX_MODELS_IN_MEMORY: as many stay loaded (default: 1).
    CLINX_SPACE_SHARE: 1 for a link from outside (default: none).
"""

import base64
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypedDict


TEMP = Path(tempfile.mkdtemp(prefix="clinx-space-"))  # uploads, which are deleted after use, and it at the end
os.environ.update(GRADIO_TEMP_DIR=str(TEMP), GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")

import files  # noqa: E402
import gradio as gr  # noqa: E402
import views  # noqa: E402
from gradio.components import Component  # noqa: E402
from huggingface_hub import metadata_load  # noqa: E402
from models import ModelError, Models, Reading  # noqa: E402


MAX_CHARACTERS = 50_000  # of a note
ABOUT = """# Clinical concepts in a note
Paste a note, or take an example, and see what the model finds. **This is no medical device. What you paste is read on
the machine that runs this page, and is not stored.**"""
EXAMPLES = {
    "Spanish": "Paciente: Ana Ruiz Moreno, 54 años, natural de Toledo. Ingresa el 3 de mayo de 2021 en el Hospital San "
    "Rafael por dolor torácico opresivo. Antecedentes de hipertensión arterial y diabetes mellitus tipo 2, que trata "
    "con metformina 850 mg. Se pauta paracetamol 1 g. Teléfono de contacto: 612 345 678. Dra. Elena Vidal.",
    "English": "Patient: John Miller, a 67-year-old retired teacher from Leeds, was admitted to St. Mary's Hospital on "
    "12 March 2020 with metastatic lung cancer and chest pain. He was started on morphine 10 mg. Contact: 555-0182. "
    "Dr. Susan Clark.",
}
DOWNLOAD = """(name, data) => {
  if (data) { const a = document.createElement("a"); a.href = "data:application/octet-stream;base64," + data;
    a.download = name; a.click(); }
  return ["", ""];
}"""
KINDS = {
    "BRAT": ("notes.zip", files.as_brat),
    "JSON Lines": ("notes.jsonl", files.as_json_lines),
    "CSV": ("mentions.csv", files.as_csv),
}


STATE_SECONDS = 3600  # that a session keeps a reading
OF_PAGE = {"api_visibility": "private"}  # events that are no endpoints
AT_ONCE = {"queue": False, "show_progress": "hidden", "trigger_mode": "always_last", **OF_PAGE}
READING = {"concurrency_limit": 2, "concurrency_id": "read", **OF_PAGE}


class Concept(TypedDict):
    """A mention that was found: characters `start` to `end` of the note (half-open), and how sure the model is.

    `score` is the posterior probability, of an ensemble the members' mean; `agreement` is the share of members that
    find the very same, null of a single model.
    """

    start: int
    end: int
    mention: str
    label: str
    score: float
    agreement: float | None


class Shown(TypedDict):
    """What a visitor's session holds of a note that was read."""

    text: str
    labels: list[str]
    reading: Reading


def checked(text: str) -> None:
    """Raises gr.Error for a note that is not read, with a text that repeats nothing of it."""
    if len(text) > MAX_CHARACTERS:
        raise gr.Error(
            f"The note has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read.", print_exception=False
        )
    if not text.strip():
        raise gr.Error("There is no note yet.", print_exception=False)


def visible_error(error: Exception) -> gr.Error:
    """What a visitor is told of an error: nothing that could quote a note."""
    known = isinstance(error, (ModelError, files.UploadError))
    text = str(error) if known else f"The note could not be read ({type(error).__name__})."
    return gr.Error(text, print_exception=False)


def list_models() -> list[str]:
    """The names of the models that this server offers."""
    return MODELS.names


def find_concepts_typed(text: str, model: str = "", threshold: float = 0.0) -> list[Concept]:
    """Finds clinical concepts in a note.

    Args:
        text: the note, of at most 50,000 characters.
        model: one of list_models; the first, if it is empty.
        threshold: leave out what has a lower score, from 0 to 1.
    """
    checked(text)
    try:
        entities = MODELS.get(model or MODELS.names[0]).find(text)
    except Exception as error:
        raise visible_error(error) from None
    return [{**e, "mention": text[e["start"] : e["end"]]} for e in entities if e["score"] >= threshold]


def find_concepts(text: str, model: str = "", threshold: float = 0.0) -> str:
    """Finds clinical concepts in a note, and returns a JSON list of {start, end, mention, label, score, agreement}.

    Args:
        text: the note, of at most 50,000 characters.
        model: one of list_models; the first, if it is empty.
        threshold: leave out what has a lower score, from 0 to 1.
    """
    return json.dumps(find_concepts_typed(text, model, threshold), ensure_ascii=False)


find_concepts_typed._mcp_type = "not a tool"  # its result would reach an assistant as Python's repr


def read_note(model: str, text: str) -> Iterator[tuple]:
    """Status, what the session keeps of the note, and the labels that were found."""
    checked(text)
    if not MODELS.is_loaded(model):
        yield f"Loading {model} …", None, gr.skip()
    try:
        loaded = MODELS.get(model)
        reading = loaded.read(text)
    except Exception as error:
        raise visible_error(error) from None
    labels = [label for label in loaded.labels if any(e["label"] == label for e in reading.entities)]
    of = f"{loaded.n_members} models that vote" if loaded.members else "one model"
    status = f"{len(reading.entities)} mentions, found by {of}."
    yield status, {"text": text, "labels": loaded.labels, "reading": reading}, gr.CheckboxGroup(labels, value=labels)


def chosen_entities(shown: Shown | None, threshold: float, labels: list[str]) -> list[dict]:
    """The mentions of a note that pass the threshold and the filter."""
    return [e for e in shown["reading"].entities if e["score"] >= threshold and e["label"] in labels] if shown else []


def show(shown: Shown | None, threshold: float, labels: list[str], chosen: int | None = None) -> tuple:
    """Legend, marked note, table, and the note with its mentions replaced."""
    if not shown:
        return "", "", [], ""
    text, entities = shown["text"], chosen_entities(shown, threshold, labels)
    return (
        views.legend(shown["labels"], entities),
        views.marked(text, entities, shown["labels"], chosen),
        views.rows(text, entities),
        views.replaced(text, entities),
    )


def point_at(shown: Shown | None, threshold: float, labels: list[str], event: gr.SelectData) -> str:
    """The note with the mention of the clicked row pointed at, known by its offsets, however rows are sorted."""
    start = int(event.row_value[4])
    entities = chosen_entities(shown, threshold, labels)
    number = next((i for i, entity in enumerate(entities) if entity["start"] == start), None)
    return show(shown, threshold, labels, number)[1]


def compare_members(shown: Shown | None) -> str:
    """Who of the members finds what."""
    return views.compared(shown["text"], *shown["reading"], shown["labels"]) if shown else ""


def download(kind: str, shown: Shown | None, threshold: float, labels: list[str]) -> tuple[str, str]:
    """Name and content, base64, of a file with what is shown of a note."""
    if not shown:
        raise gr.Error("There is no reading yet.", print_exception=False)
    return packed(kind, [("note.txt", shown["text"], chosen_entities(shown, threshold, labels))])


def download_all(kind: str, notes: list | None) -> tuple[str, str]:
    """The same of all uploaded notes."""
    if not notes:
        raise gr.Error("There is no reading yet.", print_exception=False)
    return packed(kind, notes)


def packed(kind: str, notes: list) -> tuple[str, str]:
    """Name and content, base64, of a file with what was found in notes; it is made in the browser, not stored here."""
    name, write = KINDS[kind]
    return name, base64.b64encode(write(notes)).decode("ascii")


def read_files(model: str, paths: list[str] | None, progress=gr.Progress()) -> tuple[list, list]:  # noqa: B008
    """A row for each uploaded note, and the notes with what was found; the uploads are deleted."""
    try:
        notes = files.read_uploads(paths or [])
        loaded = MODELS.get(model)
        notes = [(name, text, loaded.find(text)) for name, text in progress.tqdm(notes, desc="Reading", unit="notes")]
    except Exception as error:
        raise visible_error(error) from None
    finally:
        for path in paths or []:
            Path(path).unlink(missing_ok=True)  # it alone: what lies beside it may be another visitor's
    rows = []
    for name, text, entities in notes:
        disputed = sum(entity["agreement"] not in (None, 1.0) for entity in entities)
        rows.append([name, len(text), len(entities), disputed])
    return sorted(rows, key=lambda row: -row[3]), notes


def page() -> gr.Blocks:
    """The page and the API."""
    with gr.Blocks(title="Clinical concepts", analytics_enabled=False, delete_cache=(600, 600)) as demo:
        gr.Markdown(ABOUT)
        model = gr.Dropdown(MODELS.names, value=MODELS.names[0], label="Model", visible=len(MODELS.names) > 1)
        with gr.Tab("A note"):
            note_tab(model)
        with gr.Tab("Files"):
            files_tab(model)
        gr.api(find_concepts_typed, api_name="find_concepts", concurrency_limit=2, concurrency_id="read")
        gr.api(find_concepts, api_name="find_concepts_json", concurrency_limit=2, concurrency_id="read")
        gr.api(list_models, api_name="list_models", queue=False)
    return demo


def note_tab(model: gr.Dropdown) -> None:
    """One note: what is found in it, by whom, and how sure that is."""
    shown = gr.State(None, time_to_live=STATE_SECONDS)
    text = gr.Textbox(label="Note", lines=7, max_lines=20, max_length=MAX_CHARACTERS, autofocus=True)
    with gr.Row():
        read = gr.Button("Find concepts", variant="primary")
        for language, example in EXAMPLES.items():
            gr.Button(f"{language} example").click(lambda note=example: note, None, text, queue=False, **OF_PAGE)
    status = gr.Markdown(elem_id="status")
    with gr.Row():
        threshold = gr.Slider(0, 1, 0, step=0.01, label="Lowest score", min_width=300)
        labels = gr.CheckboxGroup([], label="Types", min_width=300)
    with gr.Tab("The note"):
        legend, note = gr.HTML(), gr.HTML(elem_id="note")
        heads = ["mention", "type", "score", "agreement", "start", "end"]
        table = gr.Dataframe(headers=heads, label="Mentions: click one to see its place", interactive=False, wrap=True)
    with gr.Tab("Members"):
        members = gr.HTML(elem_id="members")
    with gr.Tab("Without mentions"):
        replaced = gr.Textbox(
            label="Every mention by its type", lines=7, buttons=["copy"], interactive=False, elem_id="replaced"
        )
    downloads(download, [shown, threshold, labels])
    parts = [legend, note, table, replaced]
    read.click(read_note, [model, text], [status, shown, labels], **READING).success(
        show, [shown, threshold, labels], parts, **AT_ONCE
    ).then(compare_members, shown, members, **AT_ONCE)
    gr.on([threshold.change, labels.change], show, [shown, threshold, labels], parts, **AT_ONCE)
    table.select(point_at, [shown, threshold, labels], note, **AT_ONCE)


def files_tab(model: gr.Dropdown) -> None:
    """Many notes, in files."""
    notes = gr.State(None, time_to_live=STATE_SECONDS)
    gr.Markdown(f"Notes as `.txt` (UTF-8), or a `.zip` of them: at most {files.MAX_FILES}.")
    uploads = gr.File(file_count="multiple", file_types=[".txt", ".zip"], label="Files")
    read = gr.Button("Read the files", variant="primary")
    heads = ["note", "characters", "mentions", "disputed"]
    overview = gr.Dataframe(headers=heads, interactive=False, label="Notes, the most disputed first")
    downloads(download_all, notes)
    read.click(read_files, [model, uploads], [overview, notes], **READING).then(
        lambda: None, None, uploads, queue=False, **OF_PAGE
    )


def downloads(fill: Callable, inputs: Component | list[Component]) -> None:
    """A button for each kind of file; `fill(kind, …)` gives its name and content."""
    name, data = gr.Textbox(visible="hidden"), gr.Textbox(visible="hidden")
    with gr.Row():
        for kind in KINDS:
            click = gr.Button(f"Download {kind}").click
            filled = click(partial(fill, kind), inputs, [name, data], queue=False, **OF_PAGE)
            filled.success(None, [name, data], [name, data], js=DOWNLOAD, **OF_PAGE)


def model_names() -> list[str]:
    """The models that the environment names, or the front matter of the Space's own card."""
    if names := os.environ.get("CLINX_MODELS") or os.environ.get("CLINX_MODEL"):
        return [name.strip() for name in names.split(",") if name.strip()]
    card = Path(__file__).with_name("README.md")
    return (metadata_load(card) or {}).get("models", []) if card.is_file() else []


MODELS = Models(model_names(), int(os.environ.get("CLINX_MODELS_IN_MEMORY", "1")))


def main() -> None:
    """Serves the page until it is stopped."""
    if not MODELS.names:
        sys.exit("Name a model: CLINX_MODEL=org/name, or a folder.")
    try:
        page().queue(max_size=64).launch(
            css=views.CSS,
            footer_links=["api"],
            run_history=False,  # which would keep notes in the browser
            enable_monitoring=False,
            max_file_size=files.MAX_TOTAL,
            mcp_server=True,
            share=os.environ.get("CLINX_SPACE_SHARE") == "1",
        )
    finally:
        shutil.rmtree(TEMP, ignore_errors=True)


if __name__ == "__main__":
    main()
