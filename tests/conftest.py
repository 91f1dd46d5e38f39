"""Fixtures of all rooms: small tokenizers, a tiny encoder, and where real corpora and models lie, if they do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AddedToken, AutoTokenizer, PreTrainedTokenizerFast, XLMRobertaModel

from tests.hub.server import WRITER, Hub
from tests.modeling_clinx.models import tiny_config


SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
NOTES = [
    "Paciente varón de 54 años que acude a urgencias por dolor torácico de 3 horas de evolución.",
    "La Dra. García solicita analítica: hemoglobina 13.5 g/dl, leucocitos 7,200, creatinina 0.9 mg/dl.",
    "Se diagnostica carcinoma ductal infiltrante; se pauta paracetamol 500 mg cada 8 horas.",
    "Antecedentes: hipertensión arterial, diabetes mellitus tipo 2, tabaquismo (20 cigarrillos al día).",
    "Tras la cirugía la evolución fue favorable, sin fiebre ni náuseas. Alta el 12/03/2015.",
    "A 67-year-old woman with metastatic lung cancer was admitted to St. Mary's Hospital with chest pain.",
    "¿Refiere alergias? ¡No! Niega vómitos, cefalea o pérdida de peso durante los últimos meses.",
]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)  # two busy cores can slow small operations a thousandfold


@pytest.fixture
def hub():
    """A loopback Hub."""
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def client(hub, tmp_path):
    return client_of(hub, tmp_path)


@pytest.fixture
def clinx(client):
    return clinx_of(client)


def client_of(hub: Hub, folder: Path):
    """What runs Python in a fresh process with a fresh cache in `folder`, against the loopback Hub."""

    def run(*arguments, token: str | None = WRITER, home: str = "home", **environment) -> subprocess.CompletedProcess:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
            **{"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / home), "HF_HUB_DISABLE_XET": "1"},
            **{"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])},
            **({"HF_TOKEN": token} if token else {}),
            **environment,
        }
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)

    return run


SEVERAL = """
import contextlib, io, json, sys
from clinx.cli import main
results = []
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(command)
    results.append([status, out.getvalue(), err.getvalue()])
print(json.dumps(results))
"""


def clinx_of(client):
    """What runs several `clinx` commands in one process: exit status, standard output and standard error of each."""

    def run(*commands, **options) -> list[tuple[int, str, str]]:
        done = client("-c", SEVERAL, json.dumps([list(map(str, command)) for command in commands]), **options)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def tokenizer():
    """As XLM-R's: Unigram, Metaspace, `<s>` … `</s>`."""
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits()]
    )
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    backend.train_from_iterator(NOTES, trainer)
    ends = [(token, backend.token_to_id(token)) for token in ("<s>", "</s>")]
    backend.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
    )


@pytest.fixture(scope="session")
def byte_tokenizer():
    """As GPT-2's: byte-level BPE, no special tokens around a text; a character may have several pieces."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(NOTES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend)


@pytest.fixture(scope="session")
def wordpiece_tokenizer():
    """As BERT's: cleaned, lower-cased, without accents; `[CLS]` … `[SEP]`."""
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    backend.train_from_iterator(NOTES, trainer)
    ends = [(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ends)
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, **{f"{name}_token": token for name, token in names.items()}
    )


def external(variable: str, default: str) -> Path:
    """A folder beside the project; the test is skipped where it is absent."""
    folder = Path(os.environ.get(variable, Path(__file__).parents[1] / default))
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: set {variable}")
    return folder


@pytest.fixture(scope="session")
def corpora() -> Path:
    return external("CLINX_CORPORA", "../shared/corpora")


@pytest.fixture(scope="session")
def mini_encoder() -> Path:
    """The small language model of Spanish case reports."""
    return external("CLINX_MODELS", "../shared/models") / "clin-x-es-mini"


@pytest.fixture(scope="session")
def spanish_tokenizer(mini_encoder):
    return AutoTokenizer.from_pretrained(mini_encoder)


@pytest.fixture(scope="session", params=["tokenizer", "byte_tokenizer", "wordpiece_tokenizer", "spanish_tokenizer"])
def any_tokenizer(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def tiny_encoder_dir(tokenizer, tmp_path_factory):
    """A folder with a random 2-layer, 32-wide XLM-R encoder and the Unigram tokenizer, as `save_pretrained` writes."""
    folder = tmp_path_factory.mktemp("tiny_encoder")
    torch.manual_seed(0)
    XLMRobertaModel(tiny_config(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
