"""The command `zeroinit`, which an interruption ends in one line even while torch is still being imported."""

import signal
import sys

from zeroinit.signals import interrupt_for_certain


def main() -> None:
    """Run the command; an interruption, by Ctrl-C or a scheduler's SIGTERM, is exit code 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    interrupt_for_certain()
    try:
        if {"-sc", "--shell-completion"} & set(sys.argv):
            complete()
        else:
            from zeroinit import train

            train.main()
    except KeyboardInterrupt:
        sys.stderr.write("zeroinit: interrupted\n")
        sys.exit(130)


def complete() -> None:
    """Hydra's completion of what is typed, without the seconds that importing torch takes."""
    import hydra

    from zeroinit import CONF

    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(lambda cfg: None)()


if __name__ == "__main__":
    main()
