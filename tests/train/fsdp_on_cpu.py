"""`clinx` with weights that FSDP divides among processes on a CPU, which torch can and accelerate does not ask for.

Run by `torchrun`; the environment is what `accelerate launch --config_file docs/fsdp.yaml` would set.
"""

import os
import sys

import yaml
from accelerate.state import AcceleratorState, DistributedType, PartialState

from clinx.cli import main
from tests.modeling_clinx.models import PROJECT


initialize = AcceleratorState.__init__


def initialize_with_fsdp(self, *args, fsdp_plugin=None, **kwargs):
    initialize(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
    if fsdp_plugin is not None:
        self.fsdp_plugin = fsdp_plugin
        self.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP


if __name__ == "__main__":
    AcceleratorState.__init__ = initialize_with_fsdp
    config = yaml.safe_load((PROJECT / "docs/fsdp.yaml").read_text(encoding="utf-8"))["fsdp_config"]
    config["fsdp_transformer_cls_to_wrap"] = config.pop("fsdp_transformer_layer_cls_to_wrap")
    os.environ |= {"ACCELERATE_USE_FSDP": "true", **{name.upper(): str(value) for name, value in config.items()}}
    sys.exit(main(sys.argv[1:]))
