#!/usr/bin/env python3
"""Remake testdata/hostile: archives that are made to hurt whoever reads them.

Usage: make-hostile.py      (no arguments; Python 3 and the program zstd)

Each is small as a file and large, deep or contradictory inside. tests/it/hostile.rs runs every command on each
of them, held to 5 seconds and 256 MB, and makes itself what is too large to be kept here. HOSTILE.tsv says
what each comes to. Its columns:
  file
  verify    what `verify` exits with
  images    what `images` exits with
  flatten   what `flatten` exits with
  says      words that must stand in what one of the three says on standard error or standard output;
            empty where everything is in order
  threat    what it is made to do
The same input gives the same bytes (with one version of zstd).
"""
import bz2
import gzip
import hashlib
import json
import lzma
import os
import struct
import subprocess
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, 'hostile')
END = bytes(1024)
MIB = 1 << 20
GIB = 1 << 30
ROWS = []


def sha(data):
    return hashlib.sha256(data).hexdigest()


def js(value):
    return json.dumps(value, separators=(',', ':')).encode()


def zstd(data, level='-19'):
    return subprocess.run(['zstd', '-q', '-c', level, '--no-progress', '-T1'], input=data, check=True,
                          stdout=subprocess.PIPE).stdout


def gz(data):
    return gzip.compress(data, 9, mtime=0)


# --- tars -------------------------------------------------------------------------------------------------

def number(value, width):
    """Octal, or base 256 where that is too short or the value is negative."""
    text = b'%0*o\0' % (width - 1, value) if value >= 0 else b''
    if value >= 0 and len(text) <= width:
        return text
    return (value & ((1 << 8 * width) - 1) | 1 << 8 * width - 1).to_bytes(width, 'big')


def header(name, size=0, kind=b'0', link=b'', mode=0o644, raw_size=None, magic=b'ustar\x0000', prefix=b'',
           tail=None):
    name, link = (n.encode() if isinstance(n, str) else n for n in (name, link))
    size = number(size, 12) if raw_size is None else raw_size
    block = bytearray(512)
    block[0:len(name[:100])] = name[:100]
    block[100:108] = number(mode, 8)
    block[108:116] = block[116:124] = number(0, 8)
    block[124:136] = size
    block[136:148] = number(1600000000, 12)
    block[148:156] = b' ' * 8
    block[156:157] = kind
    block[157:157 + len(link[:100])] = link[:100]
    block[257:265] = magic
    if tail is not None:
        block[345:345 + len(tail)] = tail
    else:
        block[329:337] = block[337:345] = number(0, 8)
        block[345:345 + len(prefix)] = prefix
    block[148:156] = b'%06o\0 ' % sum(block)
    return bytes(block)


def pad(data):
    return data + bytes(-len(data) % 512)


def file(name, data=b'', **more):
    return header(name, len(data), **more) + pad(data)


def directory(name):
    return header(name.rstrip('/') + '/', kind=b'5', mode=0o755)


def symlink(name, target):
    if len(target) > 100 or len(name) > 100:
        return pax({'path': name, 'linkpath': target}) + header('link', kind=b'2', link=b'x', mode=0o777)
    return header(name, kind=b'2', link=target, mode=0o777)


def hardlink(name, target):
    return header(name, kind=b'1', link=target)


def record(key, value):
    key, value = (v.encode() if isinstance(v, str) else v for v in (key, value))
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    while length != rest + len(str(length)):
        length = rest + len(str(length))
    return b'%d %s=%s\n' % (length, key, value)


def pax(records, kind=b'x'):
    records = records.items() if isinstance(records, dict) else records
    return file('pax', b''.join(record(k, v) for k, v in records), kind=kind)


def long_name(name, kind=b'L'):
    return file('././@LongLink', name + b'\0', kind=kind, magic=b'ustar  \0')


# --- images -----------------------------------------------------------------------------------------------

def config(diff_ids, **more):
    value = {'architecture': 'amd64', 'os': 'linux', 'created': '2020-01-01T00:00:00Z', 'config': {},
             'history': [{'created_by': 'layer %d' % i} for i in range(len(diff_ids))],
             'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + d for d in diff_ids]}}
    value.update(more)
    return js(value)


def archive(layers, conf=None, tags=('hostile:1',), order=None, extra=b''):
    """A docker archive of one image. Layers are (stored bytes, diff ID); `order` may repeat them."""
    order = range(len(layers)) if order is None else order
    conf = config([layers[i][1] for i in order]) if conf is None else conf
    manifest = js([{'Config': sha(conf) + '.json', 'RepoTags': list(tags),
                    'Layers': ['%d/layer.tar' % i for i in order]}])
    parts = [file('%d/layer.tar' % i, stored) for i, (stored, _) in enumerate(layers)]
    return b''.join(parts) + file(sha(conf) + '.json', conf) + file('manifest.json', manifest) + extra + END


def plain(layer):
    layer += END
    return layer, sha(layer)


def one(layer, **more):
    return archive([plain(layer)], **more)


def emit(name, data, verify, images, flatten, says, threat):
    for suffix, compress in (('.zst', zstd), ('.gz', gz)):
        if name.endswith('.tar' + suffix):
            data = compress(data)
    write(name, data, verify, images, flatten, says, threat)


def write(name, data, verify, images, flatten, says, threat):
    with open(os.path.join(OUT, name), 'wb') as out:
        out.write(data)
    ROWS.append((name, verify, images, flatten, says, threat))
    # A line a file, as it is made.
    print('%8d %s' % (len(data), name))


for old in os.listdir(OUT):
    os.remove(os.path.join(OUT, old))

EMPTY = plain(b'')


# --- compression ------------------------------------------------------------------------------------------

def bz2_zeros(gib):
    """bzip2 gives 45 MB of zeros for 40 bytes; streams may follow each other."""
    return bz2.compress(bytes(256 * MIB), 9) * (4 * gib)


def zstd_zeros(gib):
    """A frame of RLE blocks, 128 KiB for 4 bytes each, without a checksum."""
    block = struct.pack('<I', (128 << 10) << 3 | 1 << 1)[:3] + b'\0'
    last = struct.pack('<I', (128 << 10) << 3 | 1 << 1 | 1)[:3] + b'\0'
    return b'\x28\xb5\x2f\xfd\x00\x58' + block * (8192 * gib - 1) + last


HEAD = file('a', b'x')
LIMITED = 'expanded'
write('bomb-bzip2.tar.bz2', bz2.compress(HEAD) + bz2_zeros(32), 3, 3, 3, LIMITED,
      'an archive of 27 KB that expands to 32 GiB')
write('bomb-zstd.tar.zst', zstd(HEAD) + zstd_zeros(2), 3, 3, 3, LIMITED, 'an archive of 65 KB that expands to 2 GiB')
emit('layer-bomb-bzip2.tar.zst', archive([(bz2.compress(HEAD) + bz2_zeros(32), '0' * 64)]), 1, 0, 3, LIMITED,
      'a layer of 27 KB that expands to 32 GiB')
emit('layer-bomb-zstd.tar.zst', archive([(zstd(HEAD) + zstd_zeros(2), '0' * 64)]), 1, 0, 3, LIMITED,
      'a layer of 65 KB that expands to 2 GiB')
SMALL = bz2.compress(bytes(256 * MIB - 1), 9)
emit('layer-bombs-many.tar.zst',
     archive([(SMALL + bz2.compress(b'%d' % i), '0' * 64) for i in range(100)]), 1, 0, 3, LIMITED,
     'a hundred layers that expand to 256 MiB each, none of them too far alone')
write('nested.tar.gz', gz(gz(gz(one(b'')))), 3, 3, 3, 'compressed twice', 'an archive that is compressed three times')
write('layer-nested.tar', archive([(gz(gz(END)), sha(END))]), 1, 0, 3, '',
      'a layer that is compressed twice')
XZ = lzma.compress(bytes(MIB), format=lzma.FORMAT_XZ,
                   filters=[{'id': lzma.FILTER_LZMA2, 'preset': 0, 'dict_size': (1 << 30) + (1 << 29)}])
write('xz-dictionary.tar.xz', XZ, 3, 3, 3, 'decoder-memory', 'xz with a dictionary of 1.5 GiB')
WINDOW = b'\x28\xb5\x2f\xfd\x00' + bytes([(31 - 10) << 3]) + struct.pack('<I', 1024 << 3 | 1 << 1 | 1)[:3] + b'\0'
write('zstd-window.tar.zst', WINDOW, 3, 3, 3, 'decoder-memory', 'zstd with a window of 2 GiB')
write('layer-xz-dictionary.tar', archive([(XZ, '0' * 64)]), 1, 0, 3, 'decoder-memory',
      'a layer of xz with a dictionary of 1.5 GiB')

# --- tar headers ------------------------------------------------------------------------------------------

HIDDEN = file('evil', b'hidden')
# CVE-2025-62518: the PAX size is the inner archive's, the ustar size is 0.
TARMAGEDDON = pax({'size': str(len(HIDDEN))}) + header('inner.tar', raw_size=number(0, 12)) + HIDDEN
emit('pax-size-over-ustar.tar', one(TARMAGEDDON + file('after', b'x')), 0, 0, 0, '',
     'a body by its PAX size, headers by its ustar size (CVE-2025-62518)')
emit('pax-before-long-name.tar', one(pax({'size': '6', 'path': 'pax'}) + long_name(b'long') + header('short', 6)
     + pad(b'hidden') + file('after', b'x')), 0, 0, 0, '', 'a PAX header before a GNU long name: whose size is it?')
for name, raw in (('negative', number(-1, 12)), ('huge', b'\x80' + b'\xff' * 11), ('max', number((1 << 63) - 1, 12)),
                  ('octal', b'777777777777'), ('letters', b'size-of-file')):
    emit('size-%s.tar' % name, one(header('a', raw_size=raw) + END), 1, 0, 3, '', 'a size field that lies: ' + name)
    emit('member-size-%s.tar' % name, file('a', b'x') + header('b', raw_size=raw) + END, 1, 3, 3, '',
         'a size field of the archive itself that lies: ' + name)
emit('pax-size-negative.tar', one(pax({'size': '-512'}) + header('a', 0)), 1, 0, 3, 'negative', 'a PAX size below zero')
emit('pax-record-large.tar.zst', one(pax({'comment': b'x' * (MIB - 40)}) + file('a')), 0, 0, 0, '',
     'a PAX record of 1 MiB, the most that engines read')
emit('pax-record-larger.tar.zst', one(pax({'comment': b'x' * MIB}) + file('a')), 1, 0, 3, 'header',
     'a PAX record of more than engines read')
emit('pax-claims-much.tar', one(header('pax', 1 << 40, kind=b'x')), 1, 0, 3, 'header',
     'a PAX header that claims a terabyte')
emit('pax-headers-many.tar.zst', one(pax({'path': 'p'}) * 100000 + file('a')), 0, 0, 0, '',
     '100,000 PAX headers before one entry')
emit('pax-records-many.tar.zst', one(pax([('k%d' % i, 'v') for i in range(70000)]) + file('a')), 0, 0, 0, '',
     '70,000 records in one PAX header')
emit('long-names-many.tar.zst', one(long_name(b'n' * 200) * 50000 + header('a', magic=b'ustar  \0')), 0, 0, 0, '',
     '50,000 GNU long names before one entry')
emit('path-of-a-megabyte.tar.zst', one(pax({'path': 'a/' * 500000 + 'f'}) + file('x')), 1, 0, 3, 'path',
     'a path 500,000 directories deep')
emit('paths-deep.tar.zst', one(b''.join(pax({'path': 'd%d/' % i + 'a/' * 2000 + 'f'}) + file('x')
     for i in range(5000))), 1, 0, 3, 'names', '5,000 paths 2,000 directories deep, none of them listed')
SPANS = b''.join(b'%d\n1\n' % (2 * i) for i in range(MIB // 16))
SPARSE = {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': 's', 'GNU.sparse.realsize': str(4 * MIB)}
MAP = pad(b'%d\n' % (MIB // 16) + SPANS)
emit('sparse-spans-many.tar.zst', one(pax(SPARSE) + header('s', len(MAP) + MIB // 16) + MAP + bytes(MIB // 16)), 0, 0, 0, '',
     'a sparse file of 65,536 spans')
emit('sparse-spans-more.tar.zst', one(pax(SPARSE) + header('s', 2 * MIB) + pad(b'%d\n' % (1 << 40)) + bytes(2 * MIB)), 1, 0, 3,
     'sparse-spans', 'a sparse map that claims a million million spans')
emit('sparse-size-huge.tar', one(pax({**SPARSE, 'GNU.sparse.realsize': str(1 << 62)}) + header('s', 512) + pad(b'1\n0\n0\n')),
     0, 0, 3, 'expanded', 'a sparse file of 4 EiB in one block')
emit('xattrs-growing.tar.zst', one(file('f') + b''.join(pax({'SCHILY.xattr.user.a%06d' % i: 'v'}) + hardlink('l%d' % i, 'f')
     for i in range(6000))), 1, 0, 3, 'xattrs', '6,000 hard links to one file, each with one attribute more')
emit('xattrs-large.tar.zst', one(b''.join(pax({'SCHILY.xattr.user.a': b'%06d' % i + b'x' * (MIB - 106)}) + file('f%d' % i) for i in range(300))),
     0, 0, 3, 'attributes', '300 files with an attribute of a megabyte each, all different')

# --- names, links, whiteouts ------------------------------------------------------------------------------

emit('names-escape.tar', one(file('../../evil', b'x') + file('/abs', b'x') + symlink('up', '../../..')
     + file('up/evil2', b'x') + hardlink('passwd', 'up/up/evil2')), 0, 0, 0, '', 'names and links that leave the root')
emit('names-terminal.tar', one(file('\x1b]0;pwned\x07\x1b[2J', b'x') + file('a\rb\n\u202egpj.exe', b'x')
     + file(b'\xff\xfe', b'x')), 0, 0, 0, '', 'names that act on a terminal')
emit('link-cycle.tar', one(symlink('a', 'b') + symlink('b', 'a') + file('a/f', b'x')), 1, 0, 3, 'loop',
     'symbolic links that lead to each other')
emit('link-grows.tar', one(symlink('a', 'a/a/a') + file('a/f', b'x')), 1, 0, 3, 'loop',
     'a symbolic link that leads through itself')
CHAIN = b''.join(symlink('l%d' % i, 'l%d' % (i + 1)) for i in range(254)) + directory('l254')
emit('link-chain-long.tar.zst', one(CHAIN + b''.join(file('l0/%d' % i) for i in range(10000))), 0, 0, 0, '',
     '10,000 files below a chain of 254 links')
DEEP = 'd/' * 40
WINDING = directory(DEEP) + b''.join(symlink('l%d' % i, DEEP + '../' * 40 + 'l%d' % (i + 1)) for i in range(250)) \
    + symlink('l250', DEEP)
emit('link-chain-winding.tar.zst', one(WINDING + b''.join(file('l%d/%d' % (i % 2, i)) for i in range(3000))), 1, 0, 3, 'link-steps',
     'chains of links that each go through 40 directories and back, two of them in turn')
CLIMB = directory('a/' * 40) + symlink('b0', 'a/' * 40)
emit('links-deepen.tar.zst', one(b''.join(symlink('s%d' % i, 's%d/' % (i - 1) + 'a/' * 40 if i else 'a/' * 40)
     + file('s%d/' % i + 'a/' * 30 + 'f') for i in range(200))), 1, 0, 3, 'path', 'paths that grow longer through links')
emit('hard-links-many.tar.zst', one(file('f', bytes(MIB)) + b''.join(hardlink('l%d' % i, 'f') for i in range(20000))), 0, 0, 0,
     '', '20,000 hard links to one file of a megabyte')
LOWER = directory('d') + b''.join(file('d/%d' % i) for i in range(10000))
WHITEOUTS = b''.join(file('d/.wh.%d' % i) for i in range(10000))
emit('whiteouts-many.tar.zst', archive([plain(LOWER), plain(WHITEOUTS), plain(LOWER), plain(WHITEOUTS)]), 0, 0, 0, '',
     '20,000 files and 20,000 whiteouts of them')
emit('opaque-many.tar.zst', archive([plain(LOWER), plain(b''.join(file('d/.wh..wh..opq') for _ in range(30000)))]), 0, 0, 0, '',
     '30,000 opaque markers for one directory')
emit('whiteouts-through-links.tar.zst', archive([plain(CHAIN + b''.join(file('l254/%d' % i) for i in range(4000))),
     plain(b''.join(file('l0/.wh.%d' % i) for i in range(4000)))]), 0, 0, 0, '', '4,000 whiteouts below a chain of 254 links')
IMPLY = pax({'path': 'a/' * 1000 + 'f'}) + file('x')
emit('parents-implied.tar.zst', archive([plain(b''.join(pax({'path': 'd%d/' % i + 'a/' * 1000 + 'f'}) + file('x') for i in range(100))),
     plain(b''.join(pax({'path': 'd%d/' % i + 'a/' * 1000 + 'g'}) + file('x') for i in range(100)))]), 0, 0, 0, '',
     'files 1,000 directories deep that a lower layer has and this one does not list')

# --- JSON -------------------------------------------------------------------------------------------------

CONF = config([EMPTY[1]])
BASE = file('0/layer.tar', EMPTY[0]) + file(sha(CONF) + '.json', CONF)
ITEM = {'Config': sha(CONF) + '.json', 'RepoTags': ['hostile:1'], 'Layers': ['0/layer.tar']}


def manifest(data, more=BASE):
    return more + file('manifest.json', data) + END


emit('json-100-megabytes.tar.zst', manifest(b' ' * 100000000 + js([ITEM])), 1, 3, 3, '`json`', 'a manifest.json of 100 MB')
emit('json-values-many.tar.zst', manifest(b'[' + b'0,' * 9000000 + b'0]'), 1, 3, 3, 'json-values',
     'a manifest.json of 18 MB and nine million values')
emit('json-deep.tar.zst', manifest(b'[' * 100000 + b']' * 100000), 1, 3, 3, 'recursion', 'a manifest.json nested 100,000 deep')
DEEPCONF = b'{"config":{"Labels":{"a":' + b'{"a":' * 100000 + b'0' + b'}' * 100003
emit('config-deep.tar.zst', archive([EMPTY], conf=DEEPCONF), 1, 3, 3, 'recursion', 'a config nested 100,000 deep')
emit('config-history-million.tar.zst', archive([EMPTY], conf=config([EMPTY[1]], history=[{}] * 1000000)), 1, 3, 3, '',
     'a config of a million history entries')
emit('config-history-many.tar.zst', archive([EMPTY], conf=config([EMPTY[1]], history=[{'created_by': 'x' * 40, 'empty_layer': True}] * 90000)),
     0, 0, 0, '', 'a config of 90,000 history entries')
emit('config-text-large.tar.zst', manifest(js([dict(ITEM, Config='big', RepoTags=['h:%d' % i]) for i in range(9000)]),
     file('0/layer.tar', EMPTY[0]) + file('big', config([EMPTY[1]], author='x' * 1000000))), 3, 3, 3, 'repeated-text',
     '9,000 images that share a config of a megabyte')
emit('manifest-names-many.tar.zst', manifest(js([dict(ITEM, RepoTags=['r/%d:t' % i for i in range(100000)])])), 0, 0, 0, '',
     'one image of 30,000 names')
emit('manifest-images-many.tar.zst', manifest(js([ITEM] * 50000)), 3, 3, 3, 'images', '50,000 images of one config and layer')
emit('manifest-layers-many.tar.zst', archive([EMPTY], order=[0] * 10000), 0, 0, 0, '', 'an image of 10,000 layers')
emit('manifest-layers-more.tar.zst', manifest(js([dict(ITEM, Layers=['0/layer.tar'] * 200000)])), 3, 3, 3, 'layers',
     'an image of 200,000 layers')
emit('manifest-layers-entries.tar.zst', archive([plain(b''.join(file('f%d' % i) for i in range(20000)))], order=[0] * 400), 1, 0, 3,
     'entries', 'a layer of 20,000 files, 400 times')
emit('manifest-traversal.tar', manifest(js([{'Config': '../../../../etc/passwd', 'RepoTags': ['hostile:1'],
     'Layers': ['../../../../etc/shadow', '/etc/hostname', '0/../../layer.tar']}])), 1, 3, 3, 'etc/', 'members named outside the archive')
emit('manifest-link-traversal.tar', manifest(js([{'Config': 'conf', 'RepoTags': ['hostile:1'], 'Layers': ['l']}]),
     symlink('conf', '/etc/passwd') + symlink('l', '../../../etc/hostname')), 1, 3, 3, 'etc/', 'members that are links out of the archive')
emit('manifest-link-cycle.tar', manifest(js([dict(ITEM, Config='a')]), symlink('a', 'b') + symlink('b', 'a') + file('0/layer.tar', EMPTY[0])),
     1, 3, 3, 'links', 'a config that is a circle of links')
LINKS = b''.join(symlink('c%d' % i, 'c%d' % (i + 1)) for i in range(8000))
emit('manifest-link-chain.tar.zst', manifest(js([dict(ITEM, Layers=['c%d' % i for i in range(8000)])]), BASE + LINKS), 1, 0, 3, 'links',
     'a chain of 8,000 links, and layers that begin at each of them')
WAYS = b''.join(symlink('w%d' % i, 'a/' * 45 + '../' * 45 + 'w%d' % (i + 1)) for i in range(250)) + symlink('w250', '0')
emit('manifest-link-ways.tar.zst', manifest(js([dict(ITEM, Layers=['w0/x%d/../layer.tar' % i for i in range(20000)])]), BASE + WAYS), 1, 0, 3, '',
     '20,000 layers behind 250 links to directories')

# --- indexes ----------------------------------------------------------------------------------------------

INDEX = 'application/vnd.oci.image.index.v1+json'
MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
LAYOUT = file('oci-layout', js({'imageLayoutVersion': '1.0.0'}))


def index(descriptors):
    return js({'schemaVersion': 2, 'mediaType': INDEX, 'manifests': descriptors})


def descriptor(digest, size, media_type=INDEX, **more):
    return {'mediaType': media_type, 'digest': 'sha256:' + digest, 'size': size, **more}


def nested(depth):
    parts, inner = [], index([])
    for _ in range(depth):
        parts.append(file('blobs/sha256/' + sha(inner), inner))
        inner = index([descriptor(sha(inner), len(inner))])
    return b''.join(parts) + LAYOUT + file('index.json', inner) + END


emit('index-deep.tar.zst', nested(100), 3, 3, 3, 'index-depth', '100 indexes, each in the next')
SELF = '0' * 64
emit('index-in-itself.tar', LAYOUT + file('blobs/sha256/' + SELF, index([descriptor(SELF, 1)]))
     + file('index.json', index([descriptor(SELF, 1)])) + END, 1, 3, 3, '', 'an index that names itself by a false digest')
emit('index-wide.tar.zst', LAYOUT + file('index.json', index([descriptor('%064x' % i, 1, MANIFEST) for i in range(20000)])) + END, 1, 3, 3,
     '', 'an index of 20,000 manifests that are not there')
emit('index-wider.tar.zst', LAYOUT + file('index.json', index([descriptor('%064x' % i, 1, MANIFEST) for i in range(101000)])) + END, 3, 3, 3,
     'descriptors', 'an index of 101,000 manifests')
BIG = index([]) + b' ' * (10 * MIB)
NAMES = ['%064x' % i for i in range(5000)]
emit('index-aliases.tar.zst', LAYOUT + file('blobs/sha256/' + sha(BIG), BIG)
     + b''.join(hardlink('blobs/sha256/' + n, 'blobs/sha256/' + sha(BIG)) for n in NAMES)
     + file('index.json', index([descriptor(n, len(BIG)) for n in NAMES])) + END, 1, 3, 3, 'json-total',
     'an index of 10 MB under 5,000 names, each of which would be read')

# --- the archive itself -----------------------------------------------------------------------------------

emit('members-duplicate.tar.zst', file('blobs/x', b'a') * 100000 + one(b''), 0, 0, 0, '', 'a member 100,000 times')
emit('members-v1-chain.tar.zst', b''.join(file('%064x/json' % i, js({'id': '%064x' % i, **({'parent': '%064x' % (i - 1)} if i else {})}))
     + file('%064x/layer.tar' % i, b'') for i in range(2000))
     + file('repositories', js({'r%d' % i: {'t': '%064x' % i} for i in range(2000)})) + END, 3, 3, 3, 'layers',
     '2,000 images from before Docker 1.10, each the parent of the next')

with open(os.path.join(OUT, 'HOSTILE.tsv'), 'w') as table:
    table.write('file\tverify\timages\tflatten\tsays\tthreat\n')
    for row in ROWS:
        table.write('\t'.join(map(str, row)) + '\n')
print(sum(os.path.getsize(os.path.join(OUT, f)) for f in os.listdir(OUT)), 'bytes in all')
