"""``python -m examples.check_scanner`` runs the demo; ``read`` and ``batch`` after it do a part."""

import sys

_USAGE = """\
usage: python -m examples.check_scanner [OPTIONS]             the demo, on a local S3
       python -m examples.check_scanner read [--json] FILE…   read check images from disk
       python -m examples.check_scanner batch [OPTIONS]       process a whole prefix with Dask"""


def main(argv: list[str]) -> int:
    """Run what the first argument names; each imports only what it needs."""
    command = argv[0] if argv else ""
    if command == "read":
        from examples.check_scanner.files import main as read

        return read(argv[1:])
    if command == "batch":
        from examples.check_scanner.batch import main as batch

        return batch(argv[1:])
    if command and not command.startswith("-"):
        print(_USAGE, file=sys.stderr)
        return 2
    from examples.check_scanner.demo import main as demo

    return demo()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
