"""Runs the Space on this machine: a page that shows what a model reads in notes, an API, and an MCP server."""

import argparse
import os
import runpy
import sys
from pathlib import Path

from ..app_files import app_folder
from ..checks import refuse_no_model
from ..console import help_with_example, quiet_loading
from ..errors import InputError
from ..setting_fields import COUNT, Numbers


EXAMPLE = "clinx space --model runs/my-notes"
PORTS = Numbers(minimum=1, below=2**16)


def main(argv: list[str]) -> None:
    """Runs `clinx space` until it is stopped; raises InputError for what the user has to mend."""
    args = _parser().parse_args(argv)
    if with_comma := [name for name in args.model if "," in name]:
        raise InputError(f"{with_comma[0]}: found a comma, which divides models; name each apart, or rename the folder")
    models = [_model(name) for name in args.model]
    for name, number, numbers in ("port", args.port, PORTS), ("models_in_memory", args.models_in_memory, COUNT):
        if number not in numbers:
            raise InputError(f"--{name} is {number}, expected {numbers}")
    os.environ |= {
        "CLINX_MODEL": ",".join(models),
        "CLINX_MODELS_IN_MEMORY": str(args.models_in_memory),
        "CLINX_SPACE_SHARE": "1" if args.share == "yes" else "0",
        "GRADIO_SERVER_NAME": args.host,
        "GRADIO_SERVER_PORT": str(args.port),
    }
    sys.path.insert(0, str(app_folder()))
    quiet_loading()
    try:
        runpy.run_path(str(app_folder() / "app.py"), run_name="__main__")
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is not installed: pip install 'clin-x[space]'") from error
    except OSError as error:
        raise InputError(str(error)) from error


def _model(name: str) -> str:
    """The folder of a run's model, or the name as it is; raises InputError where there is no model."""
    inside = Path(name, "model")
    if (inside / "config.json").is_file():
        return str(inside.resolve())
    is_folder = Path(name).is_dir()
    refuse_no_model(name if is_folder else name.partition("@")[0])
    return str(Path(name).resolve()) if is_folder else name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clinx space", **help_with_example(__doc__, EXAMPLE))
    parser.add_argument(
        "--model", required=True, nargs="+", help="runs, folders of models, or names on the Hub, NAME or NAME@REVISION"
    )
    parser.add_argument("--port", type=int, default=7860, help="default: 7860")
    parser.add_argument("--host", default="127.0.0.1", help="who may call it: 0.0.0.0 for all (default: 127.0.0.1)")
    parser.add_argument("--share", choices=("yes", "no"), default="no", help="a link from outside (default: no)")
    parser.add_argument(
        "--models_in_memory", type=int, default=1, metavar="N", help="how many stay loaded (default: 1)"
    )
    return parser
