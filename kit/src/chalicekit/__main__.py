"""`python -m chalicekit`."""

from chalicekit.cli import main

if __name__ == "__main__":
    main()
