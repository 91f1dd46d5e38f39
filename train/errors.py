"""The one error that is the user's to mend, and so is shown without a traceback."""


class InputError(ValueError):
    """A fault in what the user gave; its message says where, what was found, what was expected and what to do."""
