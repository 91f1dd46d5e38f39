"""Push a model, a dataset, a metric or an app to the Hub: with its card, in one private commit, which is checked."""

import argparse
from pathlib import Path

from ..app_files import app_folder
from ..console import help_with_example, quiet_loading
from ..errors import InputError
from ..pretraining.recipe import PretrainingRecipe
from ..recipe import Recipe


EXAMPLE = "clinx push runs/my-notes org/my-model --language es --dataset org/my-notes"
PUBLISHED = tuple(dict.fromkeys((*Recipe.published(), *PretrainingRecipe.published())))
N_SENTENCES = 8  # of the note in which a card shows what a model predicts


def main(argv: list[str]) -> None:
    """Runs `clinx push`; raises InputError for what the user has to mend."""
    args = _parser().parse_args(argv)
    quiet_loading()
    from hub_cards.publish import PublishOptions  # not above: `--help` answers at once
    from hub_cards.upload import Target

    address = push(
        app_folder() if args.folder == "space" and not Path("space").exists() else args.folder,
        Target(args.repo_id, "model", not args.public, args.branch, args.pr, args.tag),
        PublishOptions(args.members, args.revisions, args.dry_run, not args.no_verify, args.message),
        language=args.language,
        license=args.license,
        datasets=args.dataset,
        models=args.model,
    )
    print(address)


def push(folder, target, options=None, **card_fields) -> str:
    """Publishes a folder, and returns the address of the commit or pull request, or why there is none.

    Args:
        folder, target, options: as `hub_cards.publish.publish` takes them.
        card_fields: `language`, `license`, `datasets` and `models`, as in `CardFields`.

    Raises InputError for a folder or a target that cannot be used, or a download that reads differently.
    """
    from hub_cards.card_fields import CardFields  # not above: `--help` answers at once
    from hub_cards.errors import HubError
    from hub_cards.publish import PublishOptions, publish

    note = _example_note(card_fields.get("language"))
    fields = CardFields(**card_fields, note=note, publishable_settings=PUBLISHED)
    try:
        commit = publish(folder, target, fields, options or PublishOptions())
    except HubError as error:
        raise InputError(str(error)) from error
    if commit is None:
        return "nothing was pushed"
    if target.pull_request and not commit.pr_url:
        return "nothing has changed: no pull request was opened"
    return commit.pr_url or commit.commit_url


def _example_note(language: str | None) -> str:
    """The first sentences of a synthetic note, Spanish unless `language` is en."""
    from ..corpora.sentences import cut, sentence_boundaries
    from ..corpora.synthetic import synthetic_notes

    note = synthetic_notes(1, split="validation", language=language if language in ("es", "en") else "es")[0]
    boundaries = [*sentence_boundaries(note), len(note.text)]
    return cut(note, 0, boundaries[: N_SENTENCES + 1][-1]).text.strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clinx push", **help_with_example(__doc__, EXAMPLE))
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="folder to push: a run (runs/NAME), a model repo, a masked language model, a converted corpus, or for a "
        "Space one with an app.py",
    )
    parser.add_argument("repo_id", metavar="ORG/NAME", help="name of the repo; it is made, private, if it is not there")
    _add_push_options(parser)
    _add_card_options(parser)
    return parser


def _add_push_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--public", action="store_true", help="make the repo public: only if the training notes could be"
    )
    parser.add_argument(
        "--members",
        action="store_true",
        help="also push an ensemble's members, to ORG/NAME-member-1 …; the ensemble then names their commits",
    )
    parser.add_argument(
        "--revisions",
        action="store_true",
        help="also push what a pretraining run kept on its way (revision_steps), as the branches step-N",
    )
    parser.add_argument("--pr", action="store_true", help="open a pull request in a repo that exists")
    parser.add_argument(
        "--branch",
        default="main",
        help="branch to push to, made if it is not there; with --pr the branch that the pull request is for (default: "
        "main)",
    )
    parser.add_argument("--tag", help="tag to give to the commit")
    parser.add_argument("--message", help="message of the commit")
    parser.add_argument("--dry-run", action="store_true", help="list files and bytes, and push nothing")
    parser.add_argument("--no-verify", action="store_true", help="do not download the commit again to compare it")


def _add_card_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--language", help="language of the notes: an ISO code, such as es or en")
    parser.add_argument(
        "--license", "--licence", help="license of what is pushed, as the Hub spells it: apache-2.0, cc-by-4.0, other …"
    )
    parser.add_argument(
        "--dataset",
        action="append",
        default=[],
        help="name of a dataset that the model learned from, linked if it is ORG/NAME; may be repeated",
    )
    parser.add_argument(
        "--model", action="append", default=[], help="model on the Hub, ORG/NAME, that a Space shows; may be repeated"
    )
