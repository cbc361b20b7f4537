"""A protocol from settings to a stored run, its report, and what differs between two runs."""
