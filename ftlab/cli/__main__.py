"""`python -m ftlab.cli`."""

from ftlab.cli import main

if __name__ == "__main__":
    main()
