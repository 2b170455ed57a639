"""Keys of a config that can change no number of a run, by their first words."""

OF_SWEEPS = ("size", "published", "claims")  # which a sweep's file has for its own keys to refer to, and no run
# `seed` acts through `seeds` alone
NO_NUMBER = ("tracker", "probe", "sweep", "save", "check", "rerun", "plan", "seed", *OF_SWEEPS)
PLACES = ("root", "cache")  # of a data set: where files lie
