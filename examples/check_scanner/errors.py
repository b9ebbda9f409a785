"""What is wrong with an upload or an event; whatever else goes wrong is worth a retry."""


class BadEventError(ValueError):
    """The function was called with something that is no S3 event: a mistake in its setup."""


class RejectedCheckError(ValueError):
    """An upload that no retry can turn into a check: recorded, not raised to the platform."""


class BadNameError(RejectedCheckError):
    """The object's name does not say whose check this is and over how much.

    ``email`` is the address in it, if at least that can be used, and ``told`` what to tell there:
    without the name, for whoever chose it may have chosen somebody else's address.
    """

    def __init__(self, message: str, email: str | None = None, told: str = "") -> None:
        super().__init__(message)
        self.email, self.told = email, told


class BadImageError(RejectedCheckError):
    """The object is no image that we are willing to decode."""


class GoneError(RejectedCheckError):
    """The object was deleted or replaced before anybody read it."""


class SettingsError(RuntimeError):
    """The environment lacks a setting, or has one that cannot be used."""


class BusyError(RuntimeError):
    """Another invocation is at it, or died a moment ago: to be tried again in a minute."""
