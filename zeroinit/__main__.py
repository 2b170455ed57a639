"""The command `zeroinit`, which an interruption ends in one line even while torch is still being imported."""

import signal
import sys


def main() -> None:
    """Run the command; an interruption, by Ctrl-C or a scheduler's SIGTERM, is exit code 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from zeroinit import train

        train.main()
    except KeyboardInterrupt:
        sys.stderr.write("zeroinit: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
