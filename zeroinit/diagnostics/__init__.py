"""What can be said of a run before it trains: checks of its config, its init, its first batch and its random draws."""
