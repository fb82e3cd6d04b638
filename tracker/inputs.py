"""What a context reads for its run: inputs, data items, artifacts of other runs, secrets, parameters of the project."""

from tracker.outputs import Outputs


class Inputs(Outputs):
    """The part of a context that reads."""

    def get_secret(self, key: str) -> str | None:
        """The value of a secret the run was given, None when it was given none of this name."""
        return self.secrets.get(key)
