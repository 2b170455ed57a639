"""The names of the tags of a run. Their values are text."""

from enum import StrEnum

MAX_TAG = 8000  # characters of a tag, beyond which MLflow cuts it


class Kind(StrEnum):
    """The values of the tag `kind`."""

    RUN = "run"
    SUMMARY = "summary"  # the run that holds the summary of a sweep


class Tag:
    """The tags that this package writes, apart from those of versions (`version.torch`) and of the process."""

    KIND = "kind"  # `run`, or `summary` for the run that holds the summary of a sweep
    SWEEP = "sweep"  # the name of the sweep
    LEASE = "lease"  # of a run that trains: until when it counts as alive for other hosts, in seconds since the epoch
    SPOOL_ID = "spool_id"  # on a server, which chooses the id of a run: the id that the run had before it was sent
    SIZE = "size"  # the option of `size`, and what differs from it
    COMMAND = "command"  # the command that trained the run, as it was typed, without passwords
    IDENTITY = "identity"  # config hash, data hash, version of the training code and hash of the user's code
    CONFIG_HASH = "config_hash"  # a hash of all keys that can change a number
    CELL_HASH = "cell_hash"  # a hash of the same keys without the seeds
    INIT_HASH = "init_hash"  # a hash of the model's parameters and buffers before it trains
    ARITHMETIC = "arithmetic"  # what the training does with neurons that are copies of one another
    QUOTIENT = "quotient"  # how many neurons each layer has after copies became one
    STACK_SIZE = "stack_size"  # the number of runs that trained together
    STACK_REASON = "stack_reason"  # why they trained together, or why the run trained alone
    STEPS_PER_EPOCH = "steps_per_epoch"  # the number of steps in a pass over the training set
    TEST_CLASS_COUNTS = "test_class_counts"  # the number of examples of each class in the test set, as JSON
    LINT_FINDINGS = "lint_findings"  # what the checks before the training found
    SKIPPED_PROBES = "skipped_probes"  # which probes do not apply, or failed
    OUTCOME = "outcome"  # a word for how the training ended, such as `learned`
    OUTCOME_REASON = "outcome_reason"  # the numbers behind that word
    ERROR = "error"  # why the run failed
    STOPPED_AT = "stopped_at"  # the step after which it stopped early
    DIVERGED_AT = "diverged_at"  # the step at which the loss was not finite
    RESUMED_AT = "resumed_at"  # the step of the checkpoint from which it went on last
    CHECKPOINT = "checkpoint"  # why it has no checkpoint, or did not go on from one
    LAST_STEP = "last_step"  # the step after which it ended
    TRAIN_SECONDS = "train_seconds"  # the seconds until its end, in which all runs of its stack trained
    SAMPLES_PER_SECOND = "samples_per_second"  # the training examples of this run in that time
    TRACKING_SECONDS = "tracking_seconds"  # the seconds that its probes and its writes took
    ARTIFACTS = "artifacts"  # the names of its files, as sorted JSON
    DEVICE = "device"  # the device and its model
    CPU = "cpu"  # the model of the processor
    CPU_CAPABILITY = "cpu_capability"  # the instructions that torch uses
    KERNELS = "kernels"  # the settings of the libraries for matrix products
    TORCH_VERSION = "version.torch"  # the version of torch
    GIT_COMMIT = "git.commit"  # the commit of the repository in which the command was typed
    GIT_DIRTY = "git.dirty"  # whether that repository had changes that were not committed
