#!/usr/bin/env python3
"""Write the root file system of the test images' base, a tar of some 50 KB.

Usage: base.py OUT.tar

It is `docker import`ed, so its bytes are the layer and must come out the same every time: all times are
fixed and Python's own tar writer is told exactly what to write. Among the files is one of everything that
archives handle in a way of its own: links of both kinds, chains of them, setuid and sticky bits, a
capability, devices, a FIFO, names that are not ASCII, not UTF-8, too long for a header or hold a newline.
The directories below /opt and /etc/app are there for the Dockerfile to delete from.
"""
import io
import sys
import tarfile

TIME = 1600000000  # 2020-09-13T12:26:40Z
LONG = 'usr/share/' + '/'.join('a-directory-with-a-long-name-%d' % i for i in range(1, 4))


def main():
    image = io.BytesIO()
    tar = tarfile.open(fileobj=image, mode='w', format=tarfile.PAX_FORMAT, errors='surrogateescape')

    def put(name, kind=tarfile.REGTYPE, data=b'', mode=0o644, owner=(0, 0), time=TIME, link='', device=(0, 0), pax=None):
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.mtime, member.linkname = kind, mode, time, link
        member.uid, member.gid = owner
        member.devmajor, member.devminor = device
        member.size = len(data)
        member.pax_headers = pax or {}
        tar.addfile(member, io.BytesIO(data))

    def directory(name, mode=0o755, owner=(0, 0)):
        put(name + '/', tarfile.DIRTYPE, mode=mode, owner=owner)

    def symlink(name, target):
        put(name, tarfile.SYMTYPE, mode=0o777, link=target)

    for name in ('bin', 'dev', 'etc', 'etc/app', 'etc/app/conf.d', 'home'):
        directory(name)
    directory('home/user', 0o700, (1000, 1000))
    for name in ('lib', 'mnt', 'opt', 'opt/gone', 'opt/gone/below', 'proc', 'srv', 'sys'):
        directory(name)
    directory('tmp', 0o1777)
    for name in ('usr', 'usr/lib', 'usr/share', 'var', 'var/lib'):
        directory(name)
    parts = LONG.split('/')
    for i in range(3, len(parts) + 1):
        directory('/'.join(parts[:i]))

    put('etc/os-release', data=b'ID=imgtar\nNAME="imgtar test image"\n')
    put('etc/passwd', data=b'root:x:0:0::/:\nuser:x:1000:1000::/home/user:\n')
    put('etc/app/app.conf', data=b'level=1\n', mode=0o640, owner=(0, 33))
    put('etc/app/conf.d/10-first.conf', data=b'first\n')
    put('etc/app/conf.d/20-second.conf', data=b'second\n')
    put('bin/tool', data=b'#!/bin/sh\necho tool\n', mode=0o4755)
    put('bin/tool-group', data=b'#!/bin/sh\n', mode=0o2755)
    put('bin/one', data=b'one file, three names\n' * 20, mode=0o755)
    put('bin/two', tarfile.LNKTYPE, mode=0o755, link='bin/one')
    put('usr/lib/three', tarfile.LNKTYPE, mode=0o755, link='bin/one')
    put('lib/libx.so.1.0', data=bytes(range(256)) * 4)
    symlink('lib/libx.so.1', 'libx.so.1.0')
    symlink('lib/libx.so', 'libx.so.1')
    symlink('usr/lib64', 'lib')
    symlink('srv/absolute', '/etc/os-release')
    symlink('srv/dangling', '../nowhere')
    put('opt/gone/a', data=b'a' * 700)
    put('opt/gone/below/b', data=b'b' * 700)
    put('opt/file', data=b'becomes a directory\n')
    put('opt/deleted', data=b'deleted by the next layer\n')
    put('var/lib/data', data=b'0123456789' * 200)
    put('home/user/.profile', data=b'export A=1\n', mode=0o600, owner=(1000, 1000))
    put('home/user/\u00fcn\u00efc\u00f6d\u00e9 \u6587\u4ef6', data=b'not ASCII\n', owner=(1000, 1000))
    put(b'home/user/latin1-\xe9\xff'.decode('utf-8', 'surrogateescape'), data=b'not UTF-8\n')
    put('home/user/two words', data=b'a space\n')
    put('home/user/two\nlines', data=b'a newline\n')
    put('home/user/-dash', data=b'a dash\n')
    put(LONG + '/' + 'f' * 160, data=b'a name of more than 255 bytes\n')
    put('dev/null', tarfile.CHRTYPE, mode=0o666, device=(1, 3))
    put('dev/loop9', tarfile.BLKTYPE, mode=0o660, owner=(0, 6), device=(7, 9))
    put('srv/fifo', tarfile.FIFOTYPE)
    put('srv/empty')
    put('srv/epoch', data=b'1970\n', time=0)
    put('srv/fraction', data=b'half a second\n', time=TIME + 0.5)
    put('srv/large-ids', data=b'ids that do not fit the octal fields\n', owner=(3000000, 4000000))
    put('srv/.wholesale', data=b'looks like a whiteout, is none\n')
    # cap_net_raw, permitted and effective, in the second revision of the kernel's structure
    put('srv/capable', data=b'\x7fELF', mode=0o755,
        pax={'SCHILY.xattr.security.capability': '\x01\x00\x00\x02\x00\x20' + '\x00' * 14})
    # Two blocks of zeros end it. Python would add more, up to a multiple of 10 KiB.
    with open(sys.argv[1], 'wb') as out:
        out.write(image.getvalue() + bytes(1024))


main()
