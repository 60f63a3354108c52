"""Named places where a test may end the process as a power cut would: `ZHENGZHAO_FAILPOINT=name[:n]`.

The n-th time (default: the first) that the place is passed, the process is killed with SIGKILL: nothing is
cleaned up. Without the variable nothing happens. The names stand here, so that a test can walk them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal

NAMES = (
    "submit-before-commit",  # events checked and routed, nothing written
    "submit-after-commit",  # written, not reported
    "drain-before-commit",  # decided and numbered, nothing written
    "drain-after-commit",  # written, no issue job sent
    "issue-before-store",  # a worker has signed, the object is not stored
    "issue-after-store",  # the object is stored, nobody knows of it
    "issued-before-commit",  # workers answered, their answers are not written
    "publish-before-store",  # an edition is recorded, not stored
    "publish-between",  # the reasons are stored, the list is not
    "publish-after-store",  # both are stored, not recorded as such
)
OF_FILINGS = (
    "deliver-before-file",  # decided, not in the department's folder
    "deliver-after-file",  # in the folder, not recorded as waiting for the webhook
    "deliver-after-record",  # recorded, nothing sent
    "deliver-after-answer",  # the department has taken it, that is not recorded
)
OF_LOG = (
    "log-before-tiles",  # the order is recorded, no tile of it written
    "log-between-tiles",  # some tiles are written
    "log-before-checkpoint",  # all tiles are written, witnesses have signed, nothing is published
    "log-before-archive",  # published, not kept for proofs of the past
)
OF_IMPORT = (
    "import-among-files",  # some files are in the data folder, others not
    "import-before-data",  # everything but the data file is in its place
)
OF_KAFKA_IMPORT = (
    "import-among-records",  # some records are on the broker
    "import-before-offsets",  # all of them are, and nothing says that they are decided
)
_passed: dict[str, int] = {}


def failpoint(name: str) -> None:
    """End the process here if the environment asks for it."""
    wanted = os.environ.get("ZHENGZHAO_FAILPOINT")
    if wanted is None:
        return
    place, _, times = wanted.partition(":")
    if place == name:
        _passed[name] = _passed.get(name, 0) + 1
        if _passed[name] >= int(times or 1):
            main = multiprocessing.parent_process()
            if main is not None and main.pid is not None:  # a power cut takes the main process too
                os.kill(main.pid, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
