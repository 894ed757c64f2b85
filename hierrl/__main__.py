"""``python -m hierrl`` is the command line."""

import sys

from hierrl.cli import main

if __name__ == "__main__":
    sys.exit(main())
