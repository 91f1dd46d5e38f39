"""`python -m clinx`, and under several processes `accelerate launch -m clinx`."""

import sys

from .cli import main


if __name__ == "__main__":
    sys.exit(main())
