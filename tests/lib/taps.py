# SPDX-License-Identifier: BSD-2-Clause
"""Cards that do checksums and segmentation: taps with a virtio-net header on a bridge, in a network namespace of their own. It goes with the last descriptor."""
import ctypes
import fcntl
import os
import struct
import subprocess
import threading

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000


def why_not():
    """None, or why this machine has none."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    if not os.path.exists("/dev/net/tun"):
        return "the kernel has no taps"
    return None


def _tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    return fd


def bridged(n):
    """n descriptors for QEMU's `-netdev tap,fd=`."""
    fds, failed = [], []

    def make():  # the namespace is this thread's, and its children's
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            commands = ["link add name bridge type bridge", "link set bridge up"]
            for i in range(n):
                fds.append(_tap(f"t{i}"))
                commands += [f"link set t{i} master bridge", f"link set t{i} up"]
            subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as e:
            failed.append(e)
    t = threading.Thread(target=make)
    t.start()
    t.join()
    if failed:
        raise failed[0]
    return fds


def cards(fds, first=8, options=""):
    """QEMU's arguments: virtio-net cards at slots `first` and on."""
    return [a for i, fd in enumerate(fds) for a in ("-netdev", f"tap,id=w{i},fd={fd}", "-device",
                                                    f"virtio-net-pci,netdev=w{i},addr={first + i},mac=52:54:00:00:07:0{i}{options}")]
