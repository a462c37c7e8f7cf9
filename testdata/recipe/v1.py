#!/usr/bin/env python3
"""Turn an archive of Docker 1.10 to 24 into one as Docker 1.9 and earlier wrote it.

Usage: v1.py IN.tar OUT.tar

The later archives are the earlier ones with manifest.json and one configuration file per image added, so
taking these away is all there is to do. Every other member is copied byte for byte.
"""
import re
import sys
import tarfile


def main():
    with open(sys.argv[1], 'rb') as source, open(sys.argv[2], 'wb') as out:
        members = tarfile.open(fileobj=source).getmembers()
        for member in members:
            if member.name == 'manifest.json' or re.fullmatch('[0-9a-f]{64}[.]json', member.name):
                continue
            source.seek(member.offset)
            size = -(-member.size // 512) * 512 if member.isreg() else 0
            out.write(source.read(member.offset_data - member.offset + size))
        out.write(bytes(1024))


main()
