"""`python -m zeroinit.train`: the command `zeroinit`."""

from zeroinit.__main__ import command

if __name__ == "__main__":
    command()
