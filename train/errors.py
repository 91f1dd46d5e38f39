"""The one error that is the user's to mend, and so is shown without a traceback."""


class InputError(ValueError):
    """A fault in what the user gave; its message says where, what was found, what was expected and what to do."""


def brief(value: object) -> str:
    """A value as messages show it: its `repr`, at most 60 characters."""
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
