#!/usr/bin/env python3
"""List a root file system tar as a table, one line a path, to compare file systems with.

Usage: listing.py TAR      (the table goes to stdout)

Columns, separated by tabs: path, type (f d l c b p), permissions in octal, uid, gid, size of a file,
mtime in whole seconds, target of a symbolic link, major:minor of a device, the first path of a hard-link
group if the file has more than one name, hash of the capability, SHA-256 of a file. Lines are sorted by
path. A byte of a name that is not printable ASCII, and a backslash, is written as \\xNN.

Made for what `docker export` writes, so what Docker puts into every container is left out: the files named
below, and the times of the directories that they change.
"""
import hashlib
import sys
import tarfile

ADDED = {'.dockerenv', 'dev/console', 'dev/pts', 'dev/shm', 'etc/hostname', 'etc/hosts', 'etc/mtab', 'etc/resolv.conf'}
TOUCHED = {'dev', 'etc'}
CAPABILITY = 'SCHILY.xattr.security.capability'


def text(name):
    data = name.encode('utf-8', 'surrogateescape')
    return ''.join(chr(c) if 0x20 <= c < 0x7f and c != 0x5c else '\\x%02x' % c for c in data)


def clean(name):
    parts = [p for p in name.split('/') if p not in ('', '.')]
    return '/'.join(parts)


def kind(member):
    if member.isdir():
        return 'd'
    if member.issym():
        return 'l'
    if member.ischr():
        return 'c'
    if member.isblk():
        return 'b'
    if member.isfifo():
        return 'p'
    return 'f'


def main():
    files, names = {}, {}
    with tarfile.open(sys.argv[1], errors='surrogateescape') as tar:
        for member in tar:
            path = clean(member.name)
            if not path:
                continue
            if member.islnk():
                # The target was written before, and is itself no link in what Docker writes.
                names[path] = names[clean(member.linkname)]
                continue
            names[path] = path
            letter = kind(member)
            digest = hashlib.sha256(tar.extractfile(member).read()).hexdigest() if letter == 'f' else ''
            capability = member.pax_headers.get(CAPABILITY, '').encode('utf-8', 'surrogateescape')
            files[path] = [
                letter, '%04o' % (member.mode & 0o7777), str(member.uid), str(member.gid),
                str(member.size) if letter == 'f' else '',
                '*' if path in TOUCHED else str(int(member.mtime // 1)),
                text(member.linkname) if letter == 'l' else '',
                '%d:%d' % (member.devmajor, member.devminor) if letter in 'cb' else '',
                hashlib.sha256(capability).hexdigest()[:16] if capability else '', digest]
    groups = {}
    for path, first in names.items():
        groups.setdefault(first, []).append(path)
    for path in sorted(names):
        if path in ADDED:
            continue
        row, group = files[names[path]], groups[names[path]]
        shared = text(min(group)) if len(group) > 1 else ''
        print('\t'.join([text(path)] + row[:8] + [shared] + row[8:]))


main()
