"""Imported first by every process of the command: has the garbage collector look seldom.

torch and MLflow make a million objects as they are imported, none of them garbage; to look through them again and again
would be a fifth of the time that the imports take.
"""

import gc

gc.set_threshold(100_000, 20, 20)
