"""``python -m imgtar`` is the program."""

from ._program import main

main()
