"""A `clinx` command in two processes that train one model."""

import os
import subprocess
import sys

from tests.modeling_clinx.models import PROJECT


def in_two_processes(*arguments, module: str = "clinx") -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", module]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, *map(str, arguments)], env=environment, **pipes) as launcher:
        try:
            _, errors = launcher.communicate(timeout=300)
        finally:
            launcher.terminate()  # which ends its two processes as well; killed it would leave them
    assert launcher.returncode == 0, errors[-3000:]
