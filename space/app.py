"""Clinical concepts in a note: see what an ensemble reads, how sure it is, and where its members disagree.

Settings, from the environment:
    CLINX_MODEL, or else CLINX_MODELS: a model, or several with commas: folders, names on the Hub, or NAME@REVISION;
        default: the models that the Space's card names.
    CLINX_MODELS_IN_MEMORY: as many stay loaded (default: 1).
    CLINX_SPACE_SHARE: 1 for a link from outside (default: none).
"""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypedDict

import files


os.environ |= {
    "GRADIO_TEMP_DIR": str(files.uploads_folder()),
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}

import gradio as gr  # noqa: E402
import views  # noqa: E402
from examples import EXAMPLES  # noqa: E402
from gradio.components import Component  # noqa: E402
from huggingface_hub import metadata_load  # noqa: E402
from models import ModelError, Models  # noqa: E402


MAX_CHARACTERS = 50_000  # of a note
SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no file and no answer can hold
ABOUT = """# Clinical concepts in a note
Paste a note, or take an example, and see what the model finds. **This is no medical device. What you paste is read on
the machine that runs this page, and is not stored.**"""
DOWNLOAD = """(name, data) => {
  const a = document.createElement("a");
  a.href = "data:application/octet-stream;base64," + data; a.download = name; a.click();
  return ["", ""];
}"""
SESSIONS = 256  # that are remembered; a call of the API is one, of 130 KB
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

    name: str
    text: str
    model: str
    labels: list[str]
    entities: list[dict]


def fault_of(text: str) -> str | None:
    """Why a note is not read, in words that repeat nothing of it."""
    if not isinstance(text, str):
        return "The note is no text: expected one, and a call for each."
    if len(text) > MAX_CHARACTERS:
        return f"The note has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read."
    return None if text.strip() else "There is no note yet."


def check_note(model: str, text: str) -> list[dict]:
    """Refuses a note before it waits for its turn."""
    fault = fault_of(text)
    return [gr.validate(True, ""), gr.validate(fault is None, fault or "")]


def reason(error: Exception) -> str:
    """Why something was not read, in words that repeat nothing of a note."""
    return str(error) if isinstance(error, ModelError) else f"It could not be read ({type(error).__name__})."


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
    if fault := fault_of(text):
        raise gr.Error(fault, print_exception=False)
    text = SURROGATE.sub("\ufffd", text)
    try:
        entities = MODELS.get(model or MODELS.names[0]).find(text)
        return [{**e, "mention": text[e["start"] : e["end"]]} for e in entities if e["score"] >= float(threshold)]
    except Exception as error:
        raise gr.Error(reason(error), print_exception=False) from None


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
    """Status, what the session keeps of the note, and the filter, which is the legend too, with numbers of mentions."""
    text = SURROGATE.sub("\ufffd", text)
    if not MODELS.is_loaded(model):
        yield views.status(f"Loading {model} …"), None, gr.skip()
    try:
        loaded = MODELS.get(model)
        entities = loaded.find(text)
    except Exception as error:
        yield views.status(reason(error), fault=True), None, gr.CheckboxGroup([], value=[])
        return
    counts = Counter(entity["label"] for entity in entities)
    labels = [label for label in loaded.labels if label in counts]
    of = f"{loaded.n_members} models that vote" if loaded.n_members > 1 else "one model"
    shown = Shown(name="note.txt", text=text, model=model, labels=loaded.labels, entities=entities)
    choices = [(f"{label} ({counts[label]})", label) for label in labels]
    styles = [views.style_of(label, loaded.labels) for label in labels]
    yield (
        views.status(f"{len(entities)} mentions, found by {of}.", styles),
        shown,
        gr.CheckboxGroup(choices, value=labels),
    )


def chosen_entities(shown: Shown | None, threshold: float, labels: list[str]) -> list[dict]:
    """The mentions of a note that pass the threshold and the filter."""
    return [e for e in shown["entities"] if e["score"] >= threshold and e["label"] in labels] if shown else []


def show(shown: Shown | None, threshold: float, labels: list[str], chosen: int | None = None) -> tuple:
    """Marked note, table, the note with its mentions replaced, and the downloads."""
    if not shown:
        return views.status("There is no reading, or no more: find concepts first."), [], "", gr.Row(visible=False)
    text, entities = shown["text"], chosen_entities(shown, threshold, labels)
    return (
        views.marked(text, entities, shown["labels"], chosen),
        views.rows(text, entities),
        views.replaced(text, entities),
        gr.Row(visible=True),
    )


def point_at(shown: Shown | None, threshold: float, labels: list[str], event: gr.SelectData) -> str:
    """The note with the mention of the clicked row pointed at, known by its offsets, however rows are sorted."""
    start = int(event.row_value[4])
    entities = chosen_entities(shown, threshold, labels)
    number = next((i for i, entity in enumerate(entities) if entity["start"] == start), None)
    return show(shown, threshold, labels, number)[0]


def compare_members(shown: Shown | None) -> str:
    """Who of the members finds what."""
    if not shown:
        return ""
    try:
        members = MODELS.get(shown["model"]).find_by_member(shown["text"])
    except Exception as error:
        return views.status(reason(error), fault=True)
    return views.compared(shown["text"], shown["entities"], members, shown["labels"])


def download(kind: str, shown: Shown, threshold: float, labels: list[str]) -> tuple[str, str]:
    """Name and content, base64, of a file with what is shown of a note."""
    return files.packed(kind, [(shown["name"], shown["text"], chosen_entities(shown, threshold, labels))])


def download_all(kind: str, all_shown: list[Shown]) -> tuple[str, str]:
    """The same of all uploaded notes."""
    return files.packed(kind, [(shown["name"], shown["text"], shown["entities"]) for shown in all_shown])


def take_files(paths: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """Status, and names and texts of uploaded notes, before they wait for their turn; the uploads are deleted."""
    try:
        notes = files.read_uploads(paths)
        return views.status(f"Reading {len(notes)} notes …"), notes
    except files.UploadError as error:
        return views.status(str(error), fault=True), []
    finally:
        for path in paths:
            Path(path).unlink(missing_ok=True)  # it alone: what lies beside it may be another visitor's


def read_files(model: str, notes: list, progress=gr.Progress()) -> tuple:  # noqa: B008
    """Status, a row for each note, the notes with what was found, nothing left to read, and the downloads."""
    if not notes:
        return gr.skip(), [], None, None, gr.Row(visible=False)
    try:
        loaded = MODELS.get(model)
        all_shown = [
            Shown(name=name, text=text, model=model, labels=loaded.labels, entities=loaded.find(text))
            for name, text in progress.tqdm(notes, desc="Reading", unit="notes")
        ]
    except Exception as error:
        return views.status(reason(error), fault=True), [], None, None, gr.Row(visible=False)
    rows = []
    for shown in all_shown:
        disputed = sum(entity["agreement"] not in (None, 1.0) for entity in shown["entities"])
        rows.append([shown["name"], len(shown["text"]), len(shown["entities"]), disputed])
    status = views.status(f"{len(rows)} {'note was' if len(rows) == 1 else 'notes were'} read.")
    return status, sorted(rows, key=lambda row: -row[3]), all_shown, None, gr.Row(visible=True)


def show_file(all_shown: list[Shown] | None, event: gr.SelectData) -> str:
    """The note of the clicked row, marked."""
    shown = next((shown for shown in all_shown or [] if shown["name"] == event.row_value[0]), None)
    return views.marked(shown["text"], shown["entities"], shown["labels"]) if shown else ""


def page() -> gr.Blocks:
    """The page and the API."""
    with gr.Blocks(title="Clinical concepts", analytics_enabled=False) as demo:
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
    text = gr.Textbox(label="Note", lines=7, max_lines=20, autofocus=True, elem_id="text")
    with gr.Row():
        read = gr.Button("Find concepts", variant="primary")
        for language, example in EXAMPLES.items():
            gr.Button(f"{language} example").click(lambda note=example: note, None, text, queue=False, **OF_PAGE)
    status = gr.HTML(elem_id="status")
    with gr.Row():
        threshold = gr.Slider(0, 1, 0, step=0.01, label="Lowest score", min_width=300)
        labels = gr.CheckboxGroup([], label="Types", min_width=300, elem_id="types")
    with gr.Tab("The note"):
        note = gr.HTML(elem_id="note")
        heads = ["mention", "type", "score", "agreement", "start", "end"]
        table = gr.Dataframe(headers=heads, label="Mentions: click one to see its place", interactive=False, wrap=True)
    with gr.Tab("Members"):
        members = gr.HTML(elem_id="members")
    with gr.Tab("Without mentions"):
        replaced = gr.Textbox(
            label="Every mention by its type", lines=7, buttons=["copy"], interactive=False, elem_id="replaced"
        )
    parts = [note, table, replaced, downloads(download, [shown, threshold, labels])]
    was_read = read.click(read_note, [model, text], [status, shown, labels], validator=check_note, **READING)
    was_read.success(lambda: views.status("Each member reads it …"), None, members, **AT_ONCE)
    was_shown = was_read.success(show, [shown, threshold, labels], parts, **AT_ONCE)
    was_shown.success(compare_members, shown, members, **READING)
    gr.on([threshold.change, labels.change], show, [shown, threshold, labels], parts, **AT_ONCE)
    table.select(point_at, [shown, threshold, labels], note, **AT_ONCE)


def files_tab(model: gr.Dropdown) -> None:
    """Many notes, in files."""
    notes, all_shown = (gr.State(None, time_to_live=STATE_SECONDS) for _ in range(2))
    gr.Markdown(f"Notes as `.txt` (UTF-8), or a `.zip` of them: at most {files.MAX_FILES}. They are read at once.")
    uploads = gr.File(file_count="multiple", file_types=[".txt", ".zip"], label="Files")
    status = gr.HTML()
    label = "Notes, the most disputed first: click one to see it"
    overview = gr.Dataframe(headers=["note", "characters", "mentions", "disputed"], interactive=False, label=label)
    note = gr.HTML(elem_id="file")
    row = downloads(download_all, all_shown)
    taken = uploads.upload(take_files, uploads, [status, notes], queue=False, **OF_PAGE)
    taken.then(lambda: (None, ""), None, [uploads, note], queue=False, **OF_PAGE)
    outputs = [status, overview, all_shown, notes, row]
    taken.then(read_files, [model, notes], outputs, show_progress_on=overview, **READING)
    overview.select(show_file, all_shown, note, **AT_ONCE)


def downloads(fill: Callable, inputs: Component | list[Component]) -> gr.Row:
    """A row, hidden for now, of a button for each kind of file; `fill(kind, …)` gives its name and content."""
    name, data = gr.Textbox(visible="hidden"), gr.Textbox(visible="hidden")
    with gr.Row(visible=False) as row:
        for kind in files.KINDS:
            click = gr.Button(f"Download {kind}").click
            filled = click(partial(fill, kind), inputs, [name, data], queue=False, **OF_PAGE)
            filled.success(None, [name, data], [name, data], js=DOWNLOAD, **OF_PAGE)
    return row


def model_names() -> list[str]:
    """The models that the environment names, or the front matter of the Space's own card."""
    if names := os.environ.get("CLINX_MODEL") or os.environ.get("CLINX_MODELS"):
        return [name.strip() for name in names.split(",") if name.strip()]
    card = Path(__file__).with_name("README.md")
    return (metadata_load(card) or {}).get("models", []) if card.is_file() else []


MODELS = Models(model_names(), int(os.environ.get("CLINX_MODELS_IN_MEMORY", "1")))


def main() -> None:
    """Serves the page until it is stopped."""
    if not MODELS.names:
        sys.exit("Name a model: CLINX_MODEL=org/name, or a folder.")
    page().queue(max_size=64).launch(
        css=views.CSS,
        theme=gr.themes.Default(primary_hue="blue").set(  # for contrast
            body_text_color_subdued="*neutral_500", button_primary_background_fill="*primary_700"
        ),
        footer_links=["api"],
        run_history=False,  # which would keep notes in the browser
        enable_monitoring=False,
        max_file_size=files.MAX_TOTAL,
        state_session_capacity=SESSIONS,
        mcp_server=True,
        share=os.environ.get("CLINX_SPACE_SHARE") == "1",
    )


if __name__ == "__main__":
    main()
