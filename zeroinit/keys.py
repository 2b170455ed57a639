"""Keys of a config that can change no number of a run, by their first words."""

NO_NUMBER = ("tracker", "probe", "sweep", "save", "check", "claims", "seed")  # `seed` acts through `seeds` alone
PLACES = ("root", "cache")  # of a data set: where files lie
