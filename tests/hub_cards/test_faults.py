"""A server that fails on the way up or down: it is tried again, nothing is half visible, nothing wrong is accepted."""

import hashlib
import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save

from tests.hub.faults import Fault
from tests.hub_cards.readers import read, read_here
from tests.hub_cards.runs import make_run
from tests.hub_cards.sessions import session


def _push(name: str, *options: str) -> tuple[str, ...]:
    return ("push", "run", f"org/{name}", "--no-verify", *options)


COMMANDS = {
    "whole": _push("whole"),
    "other": ("push", "other", "org/other", "--no-verify"),
    "falters": _push("falters"),
    "stumbles": _push("stumbles", "--tag", "v1"),
    "lost": _push("lost"),
    "refused": _push("refused"),
    "refused, again": _push("refused"),
    "corrupt": ("push", "run", "org/corrupt"),
    "unreadable": ("push", "run", "org/unreadable"),
}


@pytest.fixture(scope="module")
def pushes(tmp_path_factory, tiny_encoder_dir, tokenizer):
    """The Hub after `COMMANDS`; all its faults have struck."""
    folder = tmp_path_factory.mktemp("faults")
    model = make_run(folder / "run", tiny_encoder_dir, tokenizer) / "model"
    make_run(folder / "other", tiny_encoder_dir, tokenizer, seed=7)
    weights = load_file(model / "model.safetensors")
    weights["classifier.weight"].neg_()
    corrupt = save(weights, {"format": "pt"})
    assert len(corrupt) == (model / "model.safetensors").stat().st_size
    code = b"import missing_module\n".ljust((model / "modeling_clinx.py").stat().st_size, b"#")
    faults = [
        Fault("POST /api/repos/create", status=429, headers={"Retry-After": "0"}),
        Fault("GET .*/stumbles/revision/", status=503),
        Fault("POST .*/stumbles/tag/", status=500),
        Fault("POST .*/falters/preupload/", status=500),
        Fault("POST .*/falters.git/", status=503),
        Fault("POST .*/falters/commit/", status=429, headers={"Retry-After": "1"}),
        Fault("POST .*/falters/commit/"),
        Fault("POST .*/lost/commit/", is_done=True),
        Fault("POST .*/refused/commit/", status=400),
        Fault("PUT /large/"),  # whichever comes first
        Fault("GET /large/", status=200, body=corrupt),
        Fault("GET .*/unreadable/resolve/.*/modeling_clinx.py", status=200, body=code),
    ]
    with session(folder, COMMANDS, faults) as pushed:
        yield pushed


def test_a_server_that_falters_is_tried_again(pushes):
    assert pushes.results["whole"].status == pushes.results["falters"].status == 0, pushes.results
    assert not any(fault.times for fault in pushes.hub.faults)
    assert len(pushes.hub.repos["model", "org/falters"].commits) == 2


def test_every_call_is_tried_again(pushes):
    assert pushes.results["stumbles"].status == 0, pushes.results
    repo = pushes.hub.repos["model", "org/stumbles"]
    assert len(repo.commits) == 2 and repo.tags["v1"] == repo.branches["main"]


def test_a_commit_whose_answer_is_lost_is_not_made_twice(pushes):
    repo, result = pushes.hub.repos["model", "org/lost"], pushes.results["lost"]
    assert result.status == 0 and repo.branches["main"] in result.out, result
    assert len(repo.commits) == 2


def test_a_server_that_refuses_leaves_nothing_half_visible_and_the_second_run_finishes(pushes):
    hub, results = pushes.hub, pushes.results
    assert results["refused"].status == 2 and "org/refused" in results["refused"].err
    assert results["refused, again"].status == 0, results
    assert len(hub.repos["model", "org/refused"].commits) == 2
    assert sum(request.startswith("PUT") for request in hub.requests) == len(hub.large) + 1  # none is sent twice


def test_a_download_that_reads_differently_is_reported(pushes):
    result, commit = pushes.results["corrupt"], pushes.hub.repos["model", "org/corrupt"].branches["main"]
    message = f"org/corrupt: what was downloaded at {commit} reads differently from what was pushed: do not use it"
    assert result.status == 2 and message in result.err, result


def test_a_download_that_cannot_be_read_is_reported(pushes):
    result, commit = pushes.results["unreadable"], pushes.hub.repos["model", "org/unreadable"].branches["main"]
    message = f"org/unreadable: {commit} was pushed, but cannot be read from there ("
    assert result.status == 2 and message in result.err and "missing_module" in result.err, result


def test_a_download_that_is_cut_is_gone_on_with(pushes):
    fault = Fault("GET /large/")
    pushes.hub.faults.append(fault)
    (reading,) = read(pushes.client, "org/whole", "main", home="cut")
    assert reading["entities"] == read_here(pushes.folder / "run/model") and not fault.times


FULL_DISK = """
import json, resource, signal, sys
from huggingface_hub import snapshot_download
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    snapshot_download(sys.argv[1])
    outcome = "whole"
except OSError as error:
    outcome = "full"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(json.dumps([outcome, snapshot_download(sys.argv[1])]))
"""


def test_after_a_full_disk_the_second_download_finishes(pushes):
    done = pushes.client("-c", FULL_DISK, "org/whole", home="full")
    assert done.returncode == 0, done.stderr[-3000:]
    outcome, folder = json.loads(done.stdout.splitlines()[-1])
    assert outcome == "full"
    files = {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}
    assert files.items() <= pushes.hub.files("org/whole").items() and "model.safetensors" in files


UPLOAD = """
import sys
from hub_cards.upload import Target, upload_folder
upload_folder(sys.argv[1], Target("org/notes-ner"), "x")
"""


def test_a_large_file_goes_up_in_parts_of_which_one_that_is_cut_is_sent_again(hub, client, run):
    hub.part_size = 50_000
    hub.faults.append(Fault("PUT /large/.*/2$"))
    done = client("-c", UPLOAD, run / "model")
    assert done.returncode == 0, done.stderr[-3000:]
    data = hub.files("org/notes-ner")["model.safetensors"]
    oid, n_parts = hashlib.sha256(data).hexdigest(), -(-len(data) // hub.part_size)
    parts = [f"PUT /large/{oid}/{number}" for number in range(1, n_parts + 1)]
    assert n_parts > 2 and data == (run / "model/model.safetensors").read_bytes()
    assert [request for request in hub.requests if request.startswith(f"PUT /large/{oid}")] == sorted(
        [*parts, parts[1]]
    )
    assert f"POST /large/{oid}" in hub.requests and not hub.parts
