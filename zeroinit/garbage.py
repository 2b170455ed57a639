"""Makes the garbage collector run seldom; every process of the command imports it first.

torch and MLflow make a million objects as they are imported, and none of them is garbage. Searching them again and
again would take a fifth of the time of the imports.
"""

import gc

gc.set_threshold(100_000, 20, 20)
