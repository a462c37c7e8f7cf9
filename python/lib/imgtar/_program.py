"""The program ``imgtar``, as the console script starts it."""

from __future__ import annotations

import signal
import sys

from ._imgtar import run_program


def main() -> None:
    """Runs the program with the arguments of this process, and ends it with the program's exit code."""
    # The program answers to Ctrl-C by itself, also where Python has been told to ignore it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    run_program(["imgtar", *sys.argv[1:]])
