"""The terminal window: flags made from the settings, progress and results read from events and result files."""
