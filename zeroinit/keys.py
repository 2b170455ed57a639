"""Keys of a config that can change no number of a run, by their first words."""

NO_NUMBER = ("tracker", "probe", "sweep", "save", "check", "rerun", "plan", "claims", "seed")  # `seed` acts by `seeds`
PLACES = ("root", "cache")  # of a data set: where files lie
