"""Which runs of a store are in progress: a run that trains holds a lease, which its process renews.

On the host of the process, the run is in progress as long as the process is alive. On another host it counts as such
until the time in its tag `lease`; the clocks of the hosts must agree to a second.
"""

import time
from collections.abc import Mapping

from zeroinit.process import current_process, is_alive, is_comparable, process_of_tags
from zeroinit.tracker.tags import Tag

LEASE_SECONDS = (
    900  # for which a lease counts on another host; an evaluation of a large net takes minutes, and renews none
)
RENEW_SECONDS = 10  # between two renewals, with the metrics until then


def make_lease() -> dict[str, str]:
    """Return the tag of a lease that begins now, as {name: value}."""
    return {Tag.LEASE: str(int(time.time() + LEASE_SECONDS))}


def is_in_progress(tags: Mapping[str, str]) -> bool | None:
    """Whether a process trains the RUNNING run with these tags; None if this process cannot know."""
    process = process_of_tags(tags)
    if process is None:
        return None
    if is_comparable(process):
        return is_alive(process)
    if Tag.LEASE not in tags:
        return None
    return float(tags[Tag.LEASE]) > time.time()


def is_held(tags: Mapping[str, str]) -> bool:
    """Whether another process trains the RUNNING run with these tags."""
    return is_in_progress(tags) is True and process_of_tags(tags) != current_process()
