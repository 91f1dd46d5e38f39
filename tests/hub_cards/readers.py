"""What others read in a pushed repo: through plain transformers, in processes that know nothing of this project."""

import json

from transformers import pipeline

from tests.modeling_clinx.models import PROJECT, WITHOUT_PROJECT


TEXT = "Paciente: Ana Ruiz, 54 años. 👩🏽‍⚕️ Ingresa por dolor torácico; se pauta paracetamol 500 mg."
COMPAT = PROJECT / ".compat" / "transformers-4.57"
READ = """
text, *revisions = more
readings = []
for revision in revisions:
    trusted = {"trust_remote_code": True, "revision": revision}
    ner = pipeline("ner", model=folder, **trusted)
    autos = (AutoModelForTokenClassification, AutoModel)
    classes = [type(auto.from_pretrained(folder, **trusted)).__name__ for auto in autos]
    AutoTokenizer.from_pretrained(folder, **trusted)
    entities = [[e["entity_group"], e["start"], e["end"], round(e["score"], 4)] for e in ner(text)]
    readings.append({"entities": entities, "classes": classes})
print(json.dumps(readings))
"""


def output_of(client, script: str, *arguments, **options):
    """The JSON that a script prints last, in a fresh process where this project does not exist."""
    done = client("-c", WITHOUT_PROJECT + script, *arguments, **{"PYTHONPATH": "", **options})
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None


def read(client, repo_id: str, *revisions: str, script: str = READ, **options) -> list[dict]:
    """The `entities` of `TEXT` and the `classes` of the models at each revision of a repo."""
    return output_of(client, script, repo_id, TEXT, *revisions, **options)


def read_here(folder) -> list[list]:
    """The entities of `TEXT` as `read` gives them, found by the model in a folder."""
    ner = pipeline("ner", model=str(folder), trust_remote_code=True)
    return [[e["entity_group"], e["start"], e["end"], round(e["score"], 4)] for e in ner(TEXT)]
