"""Start of the command line, also as ``python -m neuromod``."""

from __future__ import annotations

import logging
import signal
import sys


def main() -> None:
    """Run the command line; Ctrl-C is quiet while it is still being imported, too."""
    # Brian2 keeps a log among temporary files: a full disk would be told there line by line.
    logging.raiseExceptions = False
    try:
        # Nearly all of the time until the command line is in charge of Ctrl-C goes by here.
        from neuromod import cli

        cli.main()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
