"""The files of the Space, which this package carries and never imports."""

from pathlib import Path


def app_folder() -> Path:
    """Where `app.py` lies: in the installed package, or in the project beside it."""
    installed = Path(__file__).with_name("app")
    return installed if installed.is_dir() else Path(__file__).resolve().parents[1] / "space"
