"""Text that strangers chose, made fit to be shown."""

#: Characters of it that are shown.
MOST = 60


def quoted(text: str, most: int = MOST) -> str:
    r"""Return ``text`` in quotes, in one line of printable characters, cut after ``most``.

    Line breaks, control characters and marks that turn the direction of writing become escapes.

    >>> print(quoted("a\r\nBcc: b"), quoted("\u202egpj"), quoted("abcdef", 3))
    'a\r\nBcc: b' '\u202egpj' 'abc…'
    """
    return repr(text if len(text) <= most else f"{text[:most]}…")


def one_line(text: str, most: int) -> str:
    r"""Return ``text`` in one line of printable characters, cut after ``most``.

    >>> one_line("No.\r\nBcc: all", 9)
    'No. Bcc:…'
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
