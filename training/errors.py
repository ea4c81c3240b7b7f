"""What can go wrong in the trainer, each with a message for the person at the terminal.

TrainingError
├── ConfigError        a setting is wrong, or a resumed run's settings differ from its checkpoint's
├── DataError          the data set cannot be read
├── CheckpointError    no checkpoint of the run can be loaded
├── Diverged           a loss became NaN or infinite; the last good checkpoint is kept
├── ExportError        the exported graphs do not equal the trained networks
└── PackageError       a graph that was made elsewhere cannot be served, or not without being told more
"""


class TrainingError(Exception):
    """The trainer cannot go on; the command line prints the message and exits with 1."""


class ConfigError(TrainingError):
    """A setting is wrong, or differs from the one that the checkpoint was made with."""


class DataError(TrainingError):
    """The data set is missing, corrupt or of a kind that the trainer does not read."""


class CheckpointError(TrainingError):
    """No checkpoint of the run can be loaded."""


class Diverged(TrainingError):  # noqa: N818 -- the field says that a run "diverged"
    """A loss became NaN or infinite."""


class ExportError(TrainingError):
    """The exported graphs do not do what the trained networks do."""


class PackageError(TrainingError):
    """A graph that was made elsewhere cannot be made a bundle; the message says why, and what would help."""
