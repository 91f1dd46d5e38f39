from ..push import main  # noqa: F401
