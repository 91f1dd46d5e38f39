"""Which files a repo holds: known kinds only, so that no training text, pickle or optimizer state is ever pushed."""

from fnmatch import fnmatch
from pathlib import Path

from .errors import HubError


KNOWN_FILES = {  # patterns of paths by type of repo; `*` never stands for a slash
    "model": (
        "README.md",
        "results.json",
        "precision_recall.json",
        "curves.png",
        ".eval_results/*.yaml",
        "config.json",
        "*_clinx.py",
        "handler.py",
        "requirements.txt",
        "model.safetensors",
        "model-*-of-*.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
        "sentencepiece.bpe.model",
        "spiece.model",
        "spm.model",
    ),
    "dataset": (
        "README.md",
        "data/*.parquet",
    ),
    "space": (
        "README.md",
        "requirements.txt",
        "*.py",
    ),
}
IGNORED = {".git", ".gitattributes", ".cache", "__pycache__"}  # left by a clone, a download, an import


def files_to_push(folder: str | Path, repo_type: str) -> dict[str, Path]:
    """The folder's files by their paths in the repo.

    Raises HubError for a file that is of none of the known kinds.
    """
    paths = (path for path in sorted(Path(folder).rglob("*")) if path.is_file())
    files = {path.relative_to(folder).as_posix(): path for path in paths}
    files = {name: path for name, path in files.items() if not IGNORED.intersection(name.split("/"))}
    unknown = [name for name in files if not is_known(name, repo_type)]
    if unknown:
        raise HubError(
            f"{folder}: found {', '.join(unknown[:5])}{' …' if unknown[5:] else ''}, which a {repo_type} repo does not "
            "hold: it may be training text, a pickle or an optimizer's state; remove it"
        )
    return files


def is_known(name: str, repo_type: str) -> bool:
    """Whether a repo of that type holds files of that path."""
    return any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in KNOWN_FILES[repo_type])
