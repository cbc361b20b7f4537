"""Plumbing that knows no science: cache, files, progress, log, figures."""
