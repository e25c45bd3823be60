"""`python -m laotie`."""

from laotie.cli import main

if __name__ == "__main__":
    main()
