"""Ports on 127.0.0.1 for programs that cannot be told to take any free one."""

import random
import socket

# Below what the kernel gives to outgoing connections, so nobody takes one by chance between our look and our use.
FIRST, LAST = 20000, 32000


def free(count):
    """`count` ports that nobody listens on now. Another one of us may draw the same: try again with others then."""
    found = []
    while len(found) < count:
        port = random.randint(FIRST, LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
