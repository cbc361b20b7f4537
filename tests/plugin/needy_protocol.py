"""A protocol that needs a package nobody has."""

import no_such_package  # noqa: F401


class Needy:
    """Never loaded here."""
