#!/usr/bin/env python3
"""Remake testdata/today: archives that today's engines disagree about, without a byte that is wrong.

Usage: make-today.py      (no arguments; Python 3 alone)

partial-* are docker28c-platforms.tar of testdata/engines without some blobs, as engines save an image of which not
every platform was pulled, and worse. name-* are tiny-oci.tar and tiny20.tar with other names in index.json and
manifest.json. The same input gives the same bytes. What the engines make of them is in today-loaders.tsv.
"""
import hashlib
import io
import json
import os
import shutil
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
ENGINES = os.path.join(HERE, 'engines')
OUT = os.path.join(HERE, 'today')
IMAGE_NAME = 'io.containerd.image.name'
REF_NAME = 'org.opencontainers.image.ref.name'


def read(name):
    with tarfile.open(os.path.join(ENGINES, name)) as tar:
        return {member.name: tar.extractfile(member).read() if member.isreg() else None for member in tar}


def emit(name, members, encoding='utf-8'):
    path = os.path.join(OUT, name + '.tar')
    with tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT, encoding=encoding) as tar:
        for member, data in members.items():
            info = tarfile.TarInfo(member)
            info.mode = 0o755 if data is None else 0o644
            info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            info.size = len(data or b'')
            tar.addfile(info, io.BytesIO(data) if data is not None else None)
    # Python pads tars to 10,240 bytes.
    with open(path, 'rb+') as file:
        length = len(file.read().rstrip(b'\0'))
        file.truncate((length + 511) // 512 * 512 + 1024)
    os.chmod(path, 0o644)


def js(value):
    return json.dumps(value, separators=(',', ':'), ensure_ascii=False).encode()


def blob(digest):
    return 'blobs/' + digest.replace(':', '/')


def partial():
    whole = read('docker28c-platforms.tar')
    top = json.loads(whole['index.json'])['manifests'][0]
    entries = json.loads(whole[blob(top['digest'])])['manifests']
    of = {}
    for entry in entries:
        about = entry.get('annotations', {}).get('vnd.docker.reference.digest')
        manifest = json.loads(whole[blob(entry['digest'])])
        if about is None:
            of[entry['digest']] = entry['platform'], entry['digest'], manifest, []
        else:
            of[about][3].extend([entry['digest'], manifest['config']['digest'],
                                 *(layer['digest'] for layer in manifest['layers'])])
    images = list(of.values())
    host = next(image for image in images if image[0]['architecture'] == 'amd64')
    others = [image for image in images if image is not host]
    config = lambda image: image[2]['config']['digest']
    layers = lambda image: [layer['digest'] for layer in image[2]['layers']]
    shared = set(layers(host)).intersection(*(layers(image) for image in others))
    own = lambda image: [digest for digest in layers(image) if digest not in shared]

    def without(name, digests):
        gone = {blob(digest) for digest in digests}
        assert gone <= whole.keys(), name
        emit('partial-' + name, {member: data for member, data in whole.items() if member not in gone})

    without('others-absent', [d for i in others for d in [i[1], config(i), *own(i), *i[3]]])
    without('others-manifests-only', [d for i in others for d in [config(i), *own(i)]])
    without('other-layer-absent', own(others[0]))
    without('host-layer-absent', own(host))
    without('host-config-absent', [config(host)])
    without('host-absent', [host[1], config(host), *own(host), *host[3]])
    without('index-absent', [top['digest']])
    without('attestations-absent', [d for i in images for d in i[3]])
    # The same without a manifest.json, as BuildKit writes it.
    del whole['manifest.json']
    without('oci-others-absent', [d for i in others for d in [i[1], config(i), *own(i), *i[3]]])
    without('oci-host-absent', [host[1], config(host), *own(host), *host[3]])
    without('oci-other-layer-absent', own(others[0]))


def names():
    oci, docker = read('tiny-oci.tar'), read('tiny20.tar')
    index = json.loads(oci['index.json'])
    top = {key: index['manifests'][0][key] for key in ('mediaType', 'digest', 'size')}

    def of_index(name, *entries, more=()):
        entries = [dict(entry, annotations=named) if named else entry for entry, named in entries]
        emit('name-' + name, {**oci, **dict(more), 'index.json': js(dict(index, manifests=entries))})

    # Another image with the same layers.
    manifest = json.loads(oci[blob(top['digest'])])
    config = js({**json.loads(oci[blob(manifest['config']['digest'])]), 'author': 'somebody else'})
    digest_of = lambda data: 'sha256:' + hashlib.sha256(data).hexdigest()
    second = js({**manifest, 'config': {**manifest['config'], 'digest': digest_of(config), 'size': len(config)}})
    another = dict(top, digest=digest_of(second), size=len(second))
    more = {blob(digest_of(config)): config, blob(digest_of(second)): second}

    of_index('full', (top, {IMAGE_NAME: 'docker.io/foo/bar:1', REF_NAME: '1'}))
    for name, text in [
        ('ref-full', 'docker.io/library/foo:1'),
        ('ref-short', 'foo:1'),
        ('ref-tag', 'latest'),
        ('ref-number', '1.0'),
        ('ref-no-tag', 'foo/bar'),
        ('ref-localhost', 'localhost/foo:1'),
        ('ref-upper', 'Foo/Bar:1'),
        ('ref-blank', 'a b'),
        ('ref-plus', 't+1'),
        ('ref-umlaut', 'fö:1'),
        ('ref-digest', 'foo:1@' + top['digest']),
    ]:
        of_index(name, (top, {REF_NAME: text}))
    of_index('own-bare', (top, {IMAGE_NAME: 'foo'}))
    of_index('none', (top, None))
    of_index('two-on-one', (top, {REF_NAME: 'docker.io/library/foo:1'}), (top, {REF_NAME: 'docker.io/library/foo:2'}))
    of_index('one-on-two', (top, {REF_NAME: 'docker.io/library/foo:1'}),
             (another, {REF_NAME: 'docker.io/library/foo:1'}), more=more)
    of_index('two-images', (top, {REF_NAME: 'docker.io/library/foo:1'}),
             (another, {REF_NAME: 'docker.io/library/foo:2'}), more=more)
    of_index('one-without', (top, {REF_NAME: 'docker.io/library/foo:1'}), (another, None), more=more)

    for name, tags in [
        ('json-short', ['foo:1']),
        ('json-full', ['docker.io/library/foo:1']),
        ('json-two', ['foo:1', 'foo:2']),
        ('json-none', None),
        ('json-no-tag', ['foo']),
        ('json-upper', ['Foo:1']),
    ]:
        described = json.loads(docker['manifest.json'])
        described[0]['RepoTags'] = tags
        emit('name-' + name, {**docker, 'manifest.json': js(described)})
    # A member that nothing names, and that is not UTF-8.
    emit('member-latin1', {**docker, 'café': b'hi\n'}, 'latin-1')


shutil.rmtree(OUT, ignore_errors=True)
os.mkdir(OUT)
partial()
names()
