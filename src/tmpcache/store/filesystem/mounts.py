"""Which file system a path is on, by the mount table of Linux."""

from __future__ import annotations

import os

from ...common.handler_exceptions import reraise_from_handler

#: See proc_pid_mountinfo(5). Other systems have none.
_TABLE = "/proc/self/mountinfo"
#: Two machines see each other's maps and locks late or not at all on these.
_NETWORK = ("nfs", "nfs4", "cifs", "smb3")
#: Options of such a mount whose locks no other machine sees.
_LOCAL_LOCKS = ("local_lock=all", "local_lock=flock", "nolock", "nobrl")


def network_file_system(path: str) -> str:
    """Return what network file system a path is on, for an error; "" if it is on none."""
    device = os.stat(path).st_dev
    if os.major(device):  # a disk's; network file systems have none
        return ""
    try:
        with open(_TABLE, errors="surrogateescape") as table:
            lines = table.read().splitlines()
    except OSError as error:
        reraise_from_handler(error)
        return ""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        mount, _, file_system = line.partition(" - ")
        fields, (kind, *options) = mount.split(), [*file_system.split(), ""]
        if fields[2:3] == [number] and kind in _NETWORK:
            is_local = any(one in _LOCAL_LOCKS for one in options[-2].split(","))
            return f"{kind}, with locks that other machines do not see" if is_local else kind
    return ""
