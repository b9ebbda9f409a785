"""``python -m tmpcache`` is the command ``tmpcache``."""

from .cli import main

if __name__ == "__main__":
    main()
