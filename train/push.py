"""Push a model, a dataset, a metric or an app to the Hub: with its card, in one private commit, which is checked."""

import argparse
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig

import modeling_clinx.auto  # noqa: F401  so that AutoConfig knows the models of this project
from hub_cards.push import PushError, Target, push_folder, pushed_files

from .errors import InputError
from .export import Found, Read, export


def push(
    run: str | Path,
    target: Target,
    *,
    with_members: bool = False,
    dry_run: bool = False,
    verify: bool = True,
    message: str | None = None,
    **about,
) -> str:
    """Exports and pushes a folder, and checks that what anybody downloads reads as it does here.

    Args:
        run: as `export` takes it; so is `about`.
        target: its repo's type is that of what the folder holds.
        with_members: push an ensemble's members before it, each to a repo of its own that the ensemble then names.

    Returns the commit's address, or the pull request's; with `dry_run` lists what would be pushed.

    Raises:
        InputError: a folder or a target that cannot be used, or a download that reads differently.
    """
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", target.repo_id):
        raise InputError(f"{target.repo_id!r}: expected the repo's name as ORG/NAME")
    if with_members and target.pull_request:
        raise InputError("found --members with --pr: the ensemble cannot name commits that may never be merged")
    sources = []
    try:
        for number, member in enumerate(_members(Path(run)) if with_members else [], 1):
            name = f"{target.repo_id}-member-{number}"
            commit = _push(member, replace(target, repo_id=name), dry_run, verify, message, **about)
            sources.append(f"{name}@{commit.oid}" if commit else name)
        commit = _push(run, target, dry_run, verify, message, members=sources, **about)
    except InputError:
        raise
    except PushError as error:
        raise InputError(str(error)) from None
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{run}: cannot be read, or written to a temporary folder ({error})") from error
    if commit and target.pull_request and not commit.pr_url:
        return "nothing has changed: no pull request was opened"
    return (commit.pr_url or commit.commit_url) if commit else "nothing was pushed"


def _members(run: Path) -> list[Path]:
    """The runs of an ensemble's members; they hold the weights that it holds."""
    n_members = len(getattr(AutoConfig.from_pretrained(run / "model"), "members", ()))
    members = [run / f"member-{number}" for number in range(1, n_members + 1)]
    if not members:
        raise InputError(f"{run}: found no members there (member-1 …), only a run with splits has them")
    pushed_files(run / "model", "model")  # before any member is pushed
    ours = _weights(run / "model")
    for number, member in enumerate(members):
        theirs = _weights(member / "model")
        whole = {name.removeprefix(f"members.{number}."): get for name, get in ours.items()}
        if any(name not in whole or not torch.equal(get(), whole[name]()) for name, get in theirs.items()):
            raise InputError(f"{member}: found other weights there than in the ensemble, {run / 'model'}")
    return members


def _weights(folder: Path) -> dict[str, Callable[[], torch.Tensor]]:
    """What reads each tensor of a model, by its name."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise OSError(f"found no weights in {folder}")
    opened = [safe_open(file, "pt") for file in files]
    return {name: partial(file.get_tensor, name) for file in opened for name in file.keys()}


def _push(run: str | Path, target: Target, dry_run: bool, verify: bool, message: str | None, **about):
    with TemporaryDirectory() as folder:
        repo_type, here, read = export(run, folder, target.repo_id, target.tag or target.branch, **about)
        target = replace(target, repo_type=repo_type)
        print(target.repo_id)
        files = pushed_files(folder, repo_type)
        for name, path in files.items():
            print(f"{path.stat().st_size:>15,}  {name}")
        print(f"{sum(path.stat().st_size for path in files.values()):>15,}  bytes in {len(files)} files")
        if dry_run:
            return None
        commit = push_folder(folder, target, message or f"{Path(run).resolve().name}, made with CLIN-X")
        if verify:
            _verify(target, commit.oid, here, read)
    return commit


def _verify(target: Target, revision: str, here: Found, read: Read) -> None:
    with TemporaryDirectory() as cache:
        try:
            place = {"repo_type": target.repo_type, "revision": revision, "cache_dir": cache}
            there = read(snapshot_download(target.repo_id, **place))
        except Exception as error:  # of the Hub's client, of its HTTP library, or of whatever the model is read with
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"{target.repo_id}: {revision} was pushed, but cannot be read from there ({reason}): the same command "
                "tries that again"
            ) from error
    if [key for key, _ in here] != [key for key, _ in there] or any(
        abs(a - b) > 1e-3 for (_, a), (_, b) in zip(here, there, strict=True)
    ):
        raise InputError(
            f"{target.repo_id} at {revision} reads differently than what is here: do not use it, and push again"
        )
    what = "mentions or words in a synthetic note" if target.repo_type == "model" else "files"
    print(f"downloaded again: it finds the same {len(here)} {what}")


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="clinx push", description=__doc__.splitlines()[0])
    parser.add_argument(
        "run",
        metavar="DIR",
        help="a run's folder (runs/NAME), a model repo's, a masked language model's, a converted corpus's, or one with "
        "an app.py, for a Space",
    )
    parser.add_argument("repo_id", metavar="ORG/NAME", help="the repo, made if it is not there: private")
    parser.add_argument("--public", action="store_true", help="make it public: only if the training notes could be")
    parser.add_argument(
        "--members", action="store_true", help="also push an ensemble's members, to ORG/NAME-member-1 …, and name them"
    )
    parser.add_argument("--pr", action="store_true", help="open a pull request in a repo that is there")
    parser.add_argument("--branch", default="main", help="made if it is not there, but with --pr (default: main)")
    parser.add_argument("--tag", help="name the commit")
    parser.add_argument("--message", help="of the commit")
    parser.add_argument("--language", help="ISO code, such as es or en, for the card")
    parser.add_argument(
        "--licence", "--license", help="of what is pushed, as the Hub spells it: apache-2.0, cc-by-4.0, other …"
    )
    parser.add_argument(
        "--dataset", action="append", default=[], help="what it learned from; ORG/NAME is linked; repeat"
    )
    parser.add_argument("--model", action="append", default=[], help="that a Space shows: ORG/NAME; repeat")
    parser.add_argument("--dry-run", action="store_true", help="list files and bytes, and push nothing")
    parser.add_argument("--no-verify", action="store_true", help="do not download it again to compare")
    args = parser.parse_args(argv)
    target = Target(args.repo_id, "model", not args.public, args.branch, args.pr, args.tag)
    about = {"language": args.language, "licence": args.licence, "datasets": args.dataset, "models": args.model}
    done = push(
        args.run,
        target,
        with_members=args.members,
        dry_run=args.dry_run,
        verify=not args.no_verify,
        message=args.message,
        **about,
    )
    print(done)
