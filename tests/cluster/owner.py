"""Who has this machine's one cluster. Two checkouts see each other here."""

import pathlib

# Also where the sockets of the nodes' first processes are.
RUN = pathlib.Path("/run/mayfly-cluster")
_FILE = RUN / "owner"


def read():
    """The folder of the cluster that has the machine's addresses, as text; None if there is none."""
    try:
        return _FILE.read_text().strip()
    except OSError:
        return None


def write(folder):
    RUN.mkdir(exist_ok=True)
    _FILE.write_text(f"{folder}\n")
