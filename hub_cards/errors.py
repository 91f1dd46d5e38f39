"""The error of this room."""


class HubError(ValueError):
    """What keeps a folder from being published, and what to do about it."""
