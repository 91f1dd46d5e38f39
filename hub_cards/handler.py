"""Serves the model of this repo on Hugging Face Inference Endpoints, or any server that calls an `EndpointHandler`."""

from transformers import pipeline


class EndpointHandler:
    """Called with `{"inputs": note, or list of notes, "parameters": {…}}`, returns what `pipeline("ner")` does.

    Raises ValueError for another body; no message repeats what stands in a note.
    """

    def __init__(self, path: str = ""):
        self.pipeline = pipeline("ner", model=path, trust_remote_code=True)

    def __call__(self, data: dict) -> list:
        notes, parameters = _checked(data)
        self._check(parameters)
        try:
            return self.pipeline(notes, **parameters)
        except Exception as error:  # whatever it says may quote the note
            raise ValueError(f"the notes could not be read: {type(error).__name__}") from None

    def _check(self, parameters: dict) -> None:
        """Raises what the pipeline says of parameters that it does not take, before it sees a note."""
        try:
            self.pipeline("", **parameters)
        except (TypeError, ValueError) as error:
            raise ValueError(f"parameters: {error}") from None


def _checked(data) -> tuple:
    """The notes and the parameters of a request."""
    if not isinstance(data, dict) or "inputs" not in data:
        raise ValueError('expected a body {"inputs": a note, or a list of notes, "parameters": {…}}')
    if unknown := len(data.keys() - {"inputs", "parameters"}):
        raise ValueError(f'the body has {unknown} key(s) besides "inputs" and "parameters"')
    notes, parameters = data["inputs"], data.get("parameters") or {}
    if not isinstance(notes, str) and not (isinstance(notes, list) and all(isinstance(note, str) for note in notes)):
        raise ValueError(f"expected inputs as a string or a list of strings, found {type(notes).__name__}")
    if not isinstance(parameters, dict):
        raise ValueError(f"expected parameters as an object, found {type(parameters).__name__}")
    return notes, parameters
