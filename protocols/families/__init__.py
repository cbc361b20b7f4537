"""Settings and measures that several protocols share."""
