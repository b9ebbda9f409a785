"""What is wrong with an upload or an event; whatever else goes wrong is worth a retry."""


class BadEventError(ValueError):
    """The function was called with something that is no S3 event: a mistake in its setup."""


class RejectedCheckError(ValueError):
    """An upload that no retry can turn into a check: reported, not raised to the platform."""


class BadNameError(RejectedCheckError):
    """The object's name does not say whose check this is and over how much."""


class BadImageError(RejectedCheckError):
    """The object is no image that we are willing to decode."""
