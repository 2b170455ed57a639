"""How a network trains: the loop, stacks of networks, and ties between neurons."""
