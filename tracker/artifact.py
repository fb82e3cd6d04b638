"""The artifact, where it used to be imported from."""

from tracker.artifacts.artifact import Artifact

__all__ = ["Artifact"]
