"""The command line: experiments and reproductions, data, dimension, and runs on disk.

Flags of an experiment derive from the fields of its config. Exit codes: 0 done, 1 failed,
2 bad usage, 130 interrupted by Ctrl-C, 143 by SIGTERM,
129 by SIGHUP.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    The commands are imported inside, so that Ctrl-C gives its exit code from the first moment on.
    """
    try:
        from percolaw.cli.commands import execute

        if arguments is None:
            return execute(sys.argv[1:], last=True)
        return execute(list(arguments))
    except KeyboardInterrupt:
        print("\ninterrupted.", file=sys.stderr)
        return 130
