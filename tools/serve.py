"""A command of `chalice` that ends with the program that started it: what `make run` restarts."""

import sys

from chalice.cli import main

from tools.lifetime import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    sys.exit(main())
