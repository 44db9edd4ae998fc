#!/usr/bin/env python3
"""A long cable: passes frames between two interfaces, late, and loses or reorders those it is told to.

    wire.py left right --delay-ms 10 --drop left:7 --hold right:12 --repeat left:9

Frames that carry IP are counted from 1 by the side they come from. A held frame is sent after the one that
follows it. (The kernel's own emulator, netem, is a module that small machines lack.)
"""

import argparse
import heapq
import select
import socket
import struct
import time

ETH_P_ALL = 3
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1
PACKET_OUTGOING = 4
IP_ETHERTYPES = (b"\x08\x00", b"\x86\xdd")


def open_port(name):
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    port.bind((name, 0))
    request = struct.pack("iHH8s", socket.if_nametoindex(name), PACKET_MR_PROMISC, 0, b"")
    port.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)
    return port


def rules(values):
    """`left:7,left:8` as a set of (side, number)."""
    pairs = (item.split(":") for value in values for item in value.split(","))
    return {(side, int(number)) for side, number in pairs}


class Wire:
    def __init__(self, sides, delay, drop, hold, repeat):
        self.ports = {side: open_port(side) for side in sides}
        self.other = dict(zip(sides, reversed(sides), strict=True))
        self.delay, self.drop, self.hold, self.repeat = delay, rules(drop), rules(hold), rules(repeat)
        self.count = dict.fromkeys(sides, 0)
        self.held = dict.fromkeys(sides)
        self.queue, self.order = [], 0

    def later(self, side, frame):
        self.order += 1
        heapq.heappush(self.queue, (time.monotonic() + self.delay, self.order, self.other[side], frame))

    def arrived(self, side, frame):
        if frame[12:14] in IP_ETHERTYPES:
            self.count[side] += 1
            place = side, self.count[side]
            if place in self.drop:
                return
            if place in self.hold:
                self.held[side] = frame
                return
            if place in self.repeat:
                self.later(side, frame)
        self.later(side, frame)
        if self.held[side]:
            self.later(side, self.held[side])
            self.held[side] = None

    def run(self):
        sides = {port.fileno(): side for side, port in self.ports.items()}
        while True:
            wait = max(0, self.queue[0][0] - time.monotonic()) if self.queue else None
            for number in select.select(list(sides), [], [], wait)[0]:
                frame, source = self.ports[sides[number]].recvfrom(65535)
                if source[2] != PACKET_OUTGOING:
                    self.arrived(sides[number], frame)
            while self.queue and self.queue[0][0] <= time.monotonic():
                _, _, side, frame = heapq.heappop(self.queue)
                self.ports[side].send(frame)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sides", nargs=2)
    parser.add_argument("--delay-ms", type=float, default=0)
    for rule in ("--drop", "--hold", "--repeat"):
        parser.add_argument(rule, action="append", default=[])
    given = parser.parse_args()
    wire = Wire(given.sides, given.delay_ms / 1000, given.drop, given.hold, given.repeat)
    print("up", flush=True)
    wire.run()


if __name__ == "__main__":
    main()
