"""TFTP with two clients: reads and writes, options, errors, a server that is not there."""

import random

import services


def record(lab):
    alice, bob = lab.pair(ipv6=False)
    choose = random.Random(1)
    files = {"exact.bin": 1024, "odd.bin": 3000, "empty.bin": 0, "large.bin": 30_000}
    for name, size in files.items():
        bob.file(f"tftp/{name}", choose.randbytes(size))
    services.tftpd(bob, {"text.txt": "one\ntwo\n"})
    alice.file("upload.bin", choose.randbytes(2000))
    with lab.capture(alice, "eth0", "tftp.pcap", "read and write, block size, transfer size, timeout and window options, "
                     "a file of whole blocks, an empty file, netascii, missing file, refused write, no server",
                     "atftp", "atftpd", "curl"):
        alice.run("""
            atftp -g -r exact.bin -l /run/1 192.0.2.2
            atftp -g -r empty.bin -l /run/2 192.0.2.2
            atftp --option 'mode netascii' -g -r text.txt -l /run/3 192.0.2.2
            atftp --option 'blksize 1024' --option tsize --option 'timeout 2' -g -r odd.bin -l /run/4 192.0.2.2
            atftp --option 'windowsize 4' -g -r large.bin -l /run/5 192.0.2.2
            curl -sS --tftp-blksize 1400 -o /run/6 tftp://192.0.2.2/large.bin
            curl -sS --tftp-no-options -o /run/7 tftp://192.0.2.2/odd.bin
            atftp -p -l upload.bin -r upload.bin 192.0.2.2
            curl -sS -T upload.bin tftp://192.0.2.2/again.bin
            atftp -g -r missing.bin -l /run/9 192.0.2.2
            atftp -p -l upload.bin -r no/such/folder.bin 192.0.2.2
            curl -sS -m 2 -o /run/10 tftp://192.0.2.2:6969/none.bin
            """, check=False)
