"""Where studies come from: the `StudySource` protocol and its kinds."""
