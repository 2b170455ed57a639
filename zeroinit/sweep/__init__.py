"""How the jobs of a sweep train: together in stacks, in several processes, and each only once."""
