"""Publishes a folder: export, upload and verification; of an ensemble its members first."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from huggingface_hub import CommitInfo
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig

from .card_fields import CardFields
from .errors import HubError
from .export import export
from .repo_files import files_to_push
from .upload import Target, upload_folder
from .verify import verify


REPO_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")

TensorReaders = dict[str, Callable[[], torch.Tensor]]  # what reads each tensor of a model, by its name


@dataclass(frozen=True)
class PublishOptions:
    """How to publish.

    Attributes:
        with_members: also push an ensemble's members before it, to ORG/NAME-member-1 …, which it then names.
        with_revisions: also push what a pretraining run kept in `revisions/`, each as the branch of its folder's name.
        dry_run: report what would be pushed, and push nothing.
        verify: download the commit again, and compare.
        message: the commit's; by default it names the folder.
    """

    with_members: bool = False
    with_revisions: bool = False
    dry_run: bool = False
    verify: bool = True
    message: str | None = None


def publish(
    folder: str | Path,
    target: Target,
    card_fields: CardFields,
    options: PublishOptions = PublishOptions(),
    report: Callable[[str], None] = print,
) -> CommitInfo | None:
    """Exports and uploads a folder, and verifies that what anybody downloads reads as it does here.

    Args:
        folder: as `export` takes it.
        target: its repo's type is replaced by that of what the folder holds.
        report: takes a line at a time about what is done.

    Returns the commit, which has a `pr_url` if a pull request was opened; None of a dry run.

    Raises HubError for a folder or a target that cannot be used, or a download that reads differently.
    """
    folder = Path(folder)
    if not REPO_ID.fullmatch(target.repo_id):
        raise HubError(f"{target.repo_id!r}: expected the repo's name as ORG/NAME")
    for name in card_fields.models:
        if Path(name).is_dir() or not REPO_ID.fullmatch(name.partition("@")[0]):
            raise HubError(f"--model {name}: expected ORG/NAME of a model on the Hub: push it there, and name that")
    if options.with_members and target.pull_request:
        raise HubError("--members and --pr exclude each other: an ensemble cannot name commits that may not be merged")
    if options.with_revisions and target.pull_request:
        raise HubError("--revisions and --pr exclude each other: revisions are branches")
    sources = []
    try:
        revisions = _revision_folders(folder) if options.with_revisions else []
        for number, member in enumerate(_member_folders(folder) if options.with_members else [], 1):
            repo_id = f"{target.repo_id}-member-{number}"
            commit = _publish_one(member, replace(target, repo_id=repo_id), card_fields, (), options, report)
            sources.append(f"{repo_id}@{commit.oid}" if commit else repo_id)
        commit = _publish_one(folder, target, card_fields, sources, options, report)
        for revision in revisions:
            branch = replace(target, branch=revision.name, tag=None)
            _publish_one(revision, branch, card_fields, (), options, report)
        return commit
    except HubError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise HubError(f"{folder}: cannot be read, or written to a temporary folder ({error})") from error


def _publish_one(
    folder: Path,
    target: Target,
    card_fields: CardFields,
    members: Sequence[str],
    options: PublishOptions,
    report: Callable[[str], None],
) -> CommitInfo | None:
    with TemporaryDirectory() as exported_folder:
        exported = export(
            folder,
            exported_folder,
            target.repo_id,
            card_fields,
            revision=target.tag or target.branch,
            members=members,
            report=report,
        )
        target = replace(target, repo_type=exported.repo_type)
        report(target.repo_id)
        files = files_to_push(exported_folder, target.repo_type)
        for name, path in files.items():
            report(f"{path.stat().st_size:>15,}  {name}")
        report(f"{sum(path.stat().st_size for path in files.values()):>15,}  bytes in {len(files)} files")
        if options.dry_run:
            return None
        message = options.message or f"{folder.resolve().name}, made with CLIN-X"
        commit = upload_folder(exported_folder, target, message)
        if options.verify:
            verify(target, commit.oid, exported.expected, exported.read)
            noun = "predictions in the card's example" if target.repo_type == "model" else "files"
            report(f"downloaded again and compared: it gives the same {len(exported.expected)} {noun}")
    return commit


def _member_folders(run: Path) -> list[Path]:
    """The runs of an ensemble's members, whose weights are checked to be those of the ensemble."""
    is_model = (run / "model").is_dir()
    n_members = len(getattr(AutoConfig.from_pretrained(run / "model"), "members", ())) if is_model else 0
    members = [run / f"member-{number}" for number in range(1, n_members + 1)]
    if not members:
        raise HubError(
            f"{run}: there are no members (member-1 …), only a run with splits has them; leave out --members"
        )
    files_to_push(run / "model", "model")  # before any member is pushed
    ensemble_tensors = _tensor_readers(run / "model")
    for number, member in enumerate(members):
        for name, read in _tensor_readers(member / "model").items():
            expected = _tensor_of_member(ensemble_tensors, number, name)
            if expected is None or not torch.equal(read(), expected):
                raise HubError(f"{member}: its weights are not those in the ensemble, {run / 'model'}: train it again")
    return members


def _tensor_of_member(ensemble_tensors: TensorReaders, number: int, name: str) -> torch.Tensor | None:
    """A tensor of one member, counted from 0; with adapters, out of the first one's encoder, which has those of all."""
    own, shared = (ensemble_tensors.get(f"members.{i}.{name}") for i in (number, 0))
    if own is None and name.startswith("encoder."):
        own = shared
    if own is None or "lora_" not in name:
        return own and own()
    return shared()[number, None]


def _revision_folders(run: Path) -> list[Path]:
    """What a pretraining run kept on its way, from the first to the last."""
    folders = [path for path in (run / "revisions").glob("step-*") if path.name.removeprefix("step-").isdigit()]
    if not folders:
        raise HubError(
            f"{run}: there are no revisions (revisions/step-N), only a pretraining run with revision_steps has them; "
            "leave out --revisions"
        )
    return sorted(folders, key=lambda path: int(path.name.removeprefix("step-")))


def _tensor_readers(folder: Path) -> TensorReaders:
    """What reads each tensor of a model, by its name."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise OSError(f"there are no weights (*.safetensors) in {folder}")
    opened = [safe_open(file, "pt") for file in files]
    return {name: partial(file.get_tensor, name) for file in opened for name in file.keys()}
