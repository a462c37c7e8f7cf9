#!/usr/bin/env python3
"""Remake testdata/broken: archives with one defect, or one oddity, each.

Usage: make-broken.py      (no arguments; Python 3 alone, and the zstd program)

Every archive here is one of the small real ones in testdata/engines (tiny20, tiny26, tiny-oci) with a single
thing changed. Where a change would break a digest that is not the point, the digests above it are made
right again, so that one defect stays one defect. The same input gives the same bytes.

BROKEN.tsv says of each what imgtar has to make of it. Its columns:
  file
  outcome   opens: it is read and `verify` finds no error (it may warn); verify-fails: it is an archive, but
            `verify` finds errors; refused: it is not, or not enough of it is there to be one
  problems  codes that `verify` must report, separated by commas: errors where the outcome is verify-fails,
            warnings where it is opens; empty where it is refused
  defect    what is wrong or odd
"""
import hashlib
import json
import os
import struct
import subprocess
import tarfile
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
ENGINES = os.path.join(HERE, 'engines')
OUT = os.path.join(HERE, 'broken')
END = bytes(1024)
ROWS = []

INDEX = 'application/vnd.oci.image.index.v1+json'
MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
CONFIG = 'application/vnd.oci.image.config.v1+json'


def sha(data):
    return hashlib.sha256(data).hexdigest()


def js(value):
    """JSON as Go's encoder writes it, which is what all these files were written by."""
    text = json.dumps(value, separators=(',', ':'), ensure_ascii=False)
    for c in '<>&\u2028\u2029':
        text = text.replace(c, '\\u%04x' % ord(c))
    return text.encode()


class Member:
    """One member of a tar: a file with its bytes, a directory, or a link with its target."""

    def __init__(self, name, data=b'', kind=tarfile.REGTYPE, link=''):
        self.name, self.data, self.kind, self.link = name, data, kind, link

    def header(self):
        info = tarfile.TarInfo(self.name)
        info.type, info.linkname, info.size = self.kind, self.link, len(self.data)
        info.mode = {tarfile.DIRTYPE: 0o755, tarfile.SYMTYPE: 0o777}.get(self.kind, 0o644)
        return info.tobuf(tarfile.USTAR_FORMAT)

    def bytes(self):
        return self.header() + self.data + bytes(-len(self.data) % 512)


class Tar:
    """The members of an archive in order; a name may stand there twice."""

    def __init__(self, members):
        self.members = list(members)

    @classmethod
    def read(cls, path):
        members = []
        with tarfile.open(path) as tar:
            for info in tar:
                name = info.name + '/' if info.isdir() else info.name
                data = tar.extractfile(info).read() if info.isreg() else b''
                members.append(Member(name, data, info.type, info.linkname))
        return cls(members)

    def copy(self):
        return Tar(Member(m.name, m.data, m.kind, m.link) for m in self.members)

    def find(self, name):
        return [m for m in self.members if m.name == name][-1]

    def get(self, name):
        return self.find(name).data

    def put(self, name, data):
        """Replaces the file, or adds it at the end."""
        if any(m.name == name for m in self.members):
            self.find(name).data = data
        else:
            self.members.append(Member(name, data))

    def drop(self, *names):
        self.members = [m for m in self.members if m.name not in names]

    def json(self, name):
        return json.loads(self.get(name))

    def offset(self, name):
        """Where the header of a member starts."""
        at = 0
        for m in self.members:
            if m.name == name:
                return at
            at += len(m.bytes())
        raise KeyError(name)

    def bytes(self):
        return b''.join(m.bytes() for m in self.members) + END


def emit(name, data, outcome, problems, defect):
    data = data.bytes() if isinstance(data, Tar) else data
    with open(os.path.join(OUT, name), 'wb') as out:
        out.write(data)
    os.chmod(os.path.join(OUT, name), 0o644)
    ROWS.append((name, outcome, problems, defect))


# --- the archives that all others come from ------------------------------------------------------------

V1 = Tar.read(os.path.join(ENGINES, 'tiny20.tar'))      # with every member
HYBRID = Tar.read(os.path.join(ENGINES, 'tiny26.tar'))
OCI = Tar.read(os.path.join(ENGINES, 'tiny-oci.tar'))

# Docker 20.10's archive without the parts that only Docker 1.9 and earlier read: smaller, and as crane,
# bazel and others write it.
DOCKER = V1.copy()
DOCKER.members = [m for m in DOCKER.members if not m.name.endswith(('/', '/VERSION', '/json'))]
CONFIG_NAME = DOCKER.json('manifest.json')[0]['Config']
LAYERS = DOCKER.json('manifest.json')[0]['Layers']


def docker():
    return DOCKER.copy()


def set_config(tar, config):
    """Puts another configuration into a docker archive and calls it by its digest."""
    data = config if isinstance(config, bytes) else js(config)
    manifest = tar.json('manifest.json')
    member = tar.find(manifest[0]['Config'])
    member.name = manifest[0]['Config'] = sha(data) + '.json'
    member.data = data
    tar.put('manifest.json', js(manifest) + b'\n')
    return tar


def config_with(change):
    tar = docker()
    config = tar.json(CONFIG_NAME)
    change(config)
    return set_config(tar, config)


def manifest_with(change):
    tar = docker()
    manifest = tar.json('manifest.json')
    tar.put('manifest.json', js(change(manifest) or manifest) + b'\n')
    return tar


def blob(digest):
    return 'blobs/sha256/' + digest.split(':')[-1]


def add_blob(tar, data):
    tar.put(blob(sha(data)), data)
    return 'sha256:' + sha(data)


def descriptor(tar, media, data, **more):
    return dict({'mediaType': media, 'digest': add_blob(tar, data), 'size': len(data)}, **more)


def set_manifest(tar, change):
    """Changes the only manifest of an OCI layout and makes its name and index.json right again."""
    index = tar.json('index.json')
    top = index['manifests'][0]
    member = tar.find(blob(top['digest']))
    manifest = json.loads(member.data)
    change(manifest)
    member.data = js(manifest)
    member.name = blob(sha(member.data))
    top['digest'], top['size'] = 'sha256:' + sha(member.data), len(member.data)
    tar.put('index.json', js(index))
    return tar


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def gz(data):
    """gzip without a name or a time, as Go writes it"""
    body = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = body.compress(data) + body.flush()
    return b'\x1f\x8b\x08\0\0\0\0\0\0\xff' + packed + struct.pack('<II', zlib.crc32(data), len(data))


def zstd(data):
    return subprocess.run(['zstd', '-q', '-19', '-c'], input=data, stdout=subprocess.PIPE, check=True).stdout


def file_tar(*members):
    return Tar(members).bytes()


# --- what is no archive, or only the beginning of one ---------------------------------------------------

def outer():
    emit('zero-bytes.tar', b'', 'refused', '', 'The file is empty.')
    emit('empty-archive.tar', END, 'refused', '', 'A tar without members.')
    emit('not-a-tar.txt', b'This is not a tar. It is a text of more than one tar block.\n' * 12, 'refused', '',
         'A text file.')
    emit('bare-layer.tar', Tar([Member('etc/', kind=tarfile.DIRTYPE),
                                Member('etc/passwd', b'root:x:0:0::/:\n'), Member('.wh.gone')]),
         'refused', '', 'A single layer, which its whiteout gives away.')

    whole = docker().bytes()
    second = docker().offset(LAYERS[1])
    emit('truncated-in-header.tar', whole[:second + 300], 'verify-fails', 'archive-truncated',
         'Cut in the header of the second layer; manifest.json would come after it.')
    emit('truncated-in-body.tar', whole[:second + 512 + 1000], 'verify-fails', 'archive-truncated',
         'Cut in the body of the second layer; manifest.json would come after it.')
    last = docker().offset('repositories')
    emit('truncated-after-manifest.tar', whole[:last + 512 + 40], 'verify-fails', 'archive-truncated',
         'Cut in the body of the last member, repositories; all that the image needs is there.')
    emit('end-missing.tar', whole[:-len(END)], 'opens', 'end-missing',
         'The two blocks of zeros that end a tar are missing; every reader takes the end of the file for them.')
    emit('checksum-wrong.tar', whole[:second + 148] + b'000000\0 ' + whole[second + 156:], 'verify-fails', 'archive-truncated',
         "The checksum of the second layer's header is wrong.")

    packed = gz(whole)
    emit('gzip-damaged.tar.gz', flip(packed, len(packed) // 2), 'refused', '',
         'One bit in the middle of the outer gzip stream is flipped.')
    emit('gzip-cut.tar.gz', packed[:len(packed) * 2 // 3], 'refused', '', 'The outer gzip stream is cut.')
    emit('gzip-in-gzip.tar.gz', gz(packed), 'refused', '', 'Compressed twice.')
    emit('gzip-trailing-zeros.tar.gz', packed + bytes(512), 'opens', 'trailing-data',
         'Zeros after the gzip stream, as tapes and block devices leave them; gzip itself ignores them.')

    tar = docker()
    for m in tar.members:
        m.name = './' + m.name
    emit('dot-slash-names.tar', Tar([Member('./', kind=tarfile.DIRTYPE)] + tar.members), 'opens', '',
         'Every name starts with `./`, as `tar -C dir -c .` writes it.')
    tar = V1.copy()
    tar.members = [m for m in tar.members if not m.name.endswith('/')]
    emit('no-directory-entries.tar', tar, 'opens', '', 'Directories have no members.')


# --- manifest.json --------------------------------------------------------------------------------------

def manifests():
    def body(name, data, *rest):
        tar = docker()
        tar.put('manifest.json', data)
        emit(name, tar, *rest)

    good = DOCKER.get('manifest.json')
    body('manifest-not-json.tar', b'<html><title>502 Bad Gateway</title></html>\n', 'verify-fails',
         'manifest-invalid', 'manifest.json is not JSON.')
    body('manifest-null.tar', b'null\n', 'verify-fails', 'manifest-invalid', 'manifest.json is `null`.')
    body('manifest-is-an-object.tar', good.strip()[1:-1] + b'\n', 'verify-fails', 'manifest-invalid',
         'manifest.json is an object instead of an array of them.')
    body('manifest-trailing-data.tar', good + b'[{"Config":"other.json"}]\n', 'opens', 'trailing-data',
         'A second JSON value after the first in manifest.json; the engines read the first only.')
    tar = config_with(lambda c: (c.update(rootfS=c.pop('rootfs')),
                                 c['rootfS'].update(Diff_IDs=c['rootfS'].pop('diff_ids'))))
    m = tar.json('manifest.json')[0]
    tar.put('manifest.json', js([{'CONFIG': m['Config'], 'repoTags': m['RepoTags'], 'layers': m['Layers']}]) + b'\n')
    emit('manifest-keys-in-other-case.tar', tar, 'opens', '',
         'The keys of manifest.json, and rootfs and diff_ids of the configuration, are written in another case. '
         "Go's decoder does not mind.")
    deep = docker()
    deep.put('manifest.json', b'[' * 100000 + b']' * 100000)
    emit('json-deep.tar.gz', gz(deep.bytes()), 'verify-fails', 'manifest-invalid',
         'manifest.json is nested 100000 deep.')

    tar = docker()
    other = tar.json('manifest.json')
    other[0]['RepoTags'] = ['imgtar-testdata/tiny:other']
    tar.members.append(Member('manifest.json', js(other) + b'\n'))
    emit('manifest-duplicated.tar', tar, 'verify-fails', 'member-duplicate',
         'Two members called manifest.json with different tags; the engines disagree which one counts.')
    emit('invalid-reference.tar', manifest_with(lambda m: m[0].update(RepoTags=['UPPER/x:y', 'a b'])),
         'verify-fails', 'reference-invalid', 'RepoTags holds two names that no engine takes.')
    tar = docker()
    repositories = tar.json('repositories')
    repositories['imgtar-testdata/tiny'] = {'1': LAYERS[0].split('/')[0]}
    tar.put('repositories', js(repositories) + b'\n')
    emit('repositories-disagree.tar', tar, 'opens', 'descriptions-disagree',
         "repositories lets the tag name the first layer's image, manifest.json the second's; no engine reads it.")


# --- the configuration ----------------------------------------------------------------------------------

def configs():
    tar = docker()
    data = tar.get(CONFIG_NAME)
    tar.put(CONFIG_NAME, flip(data, data.index(b'"amd64"') + 3))
    emit('config-bit-flipped.tar', tar, 'verify-fails', 'config-digest-mismatch',
         'One bit of the configuration is flipped: still JSON, but no longer what its name says.')
    tar = docker()
    tar.drop(CONFIG_NAME)
    emit('config-missing.tar', tar, 'verify-fails', 'member-missing', 'The configuration is not in the archive.')
    emit('config-not-json.tar', set_config(docker(), b'not JSON\n'), 'verify-fails', 'config-invalid',
         'The configuration is not JSON, under a name that fits it.')

    def ids(change):
        return config_with(lambda c: change(c['rootfs']['diff_ids']))

    emit('more-layers-than-diff-ids.tar', ids(lambda d: d.pop()), 'verify-fails', 'layer-count-mismatch',
         'Two layers in manifest.json, one diff_id in the configuration.')
    emit('fewer-layers-than-diff-ids.tar', ids(lambda d: d.append(d[0])), 'verify-fails', 'layer-count-mismatch',
         'Two layers in manifest.json, three diff_ids in the configuration.')
    emit('history-too-many-layers.tar', config_with(lambda c: c['history'][-1].pop('empty_layer')), 'verify-fails',
         'history-mismatch', 'Three history entries that made a layer, but two layers.')
    emit('history-too-few-layers.tar', config_with(lambda c: c['history'][1].update(empty_layer=True)), 'opens',
         'history-mismatch', 'One history entry that made a layer, but two layers; the engines load it.')
    emit('history-absent.tar', config_with(lambda c: c.pop('history')), 'opens', '', 'No history, which is allowed.')
    emit('rootfs-absent.tar', config_with(lambda c: c.pop('rootfs')), 'verify-fails', 'config-invalid',
         'The configuration has no rootfs.')
    emit('names-with-escapes.tar', config_with(lambda c: (
        c.update(author='\x1b]0;owned\x07A \u202egnp.exe', comment='a\rb\x1b[2J\u2066c'),
        c['config'].update(Labels={'\x1b[31mred\x1b[0m': 'x\x9b31my', 'rtl': '\u202eabc', 'cr': 'good\rbad', 'del': '\x7f'}),
        c['history'][0].update(created_by='\x1b[1Ahidden\u202e', comment='\x08\x08\x1b[8m', author='\u200fme'),
        c['history'][1].update(created_by='one\r\ntwo\ttab\x00nul'))), 'opens', '',
        'Author, comments, labels and history hold escape sequences, carriage returns and marks that turn '
        'the direction of text.')
    tar = manifest_with(lambda m: m[0].update(Layers=[]))
    tar.drop(*LAYERS)
    config = tar.json(CONFIG_NAME)
    config['rootfs']['diff_ids'] = []
    config['history'] = [dict(h, empty_layer=True) for h in config['history']]
    emit('zero-layers.tar', set_config(tar, config), 'opens', '', 'An image without layers, which OCI allows.')


# --- layers ---------------------------------------------------------------------------------------------

def set_layer(tar, data, diff_id=None):
    """Another second layer, for which the configuration gives the right diff_id."""
    config = tar.json(tar.json('manifest.json')[0]['Config'])
    config['rootfs']['diff_ids'][1] = 'sha256:' + (diff_id or sha(data))
    tar.put(LAYERS[1], data)
    return set_config(tar, config)


def layers():
    def replaced(name, data, *rest):
        tar = docker()
        tar.put(LAYERS[1], data)
        emit(name, tar, *rest)

    good = DOCKER.get(LAYERS[1])
    replaced('layer-bit-flipped.tar', flip(good, 512 + 4), 'verify-fails', 'diff-id-mismatch',
             "One bit of a file's content in the second layer is flipped.")
    replaced('layer-replaced-by-text.tar', b'version https://example.com/v1', 'verify-fails', 'diff-id-mismatch',
             'The second layer is a text of 30 bytes, as a pointer to a large file would leave it.')
    tar = docker()
    tar.drop(LAYERS[1])
    emit('layer-missing.tar', tar, 'verify-fails', 'member-missing', 'The second layer is not in the archive.')
    cut = good[:512 + 8]
    emit('layer-truncated.tar', set_layer(docker(), cut), 'verify-fails', 'layer-truncated',
         'The second layer ends in the body of a file; its diff_id is right for the bytes that are there.')
    emit('layer-trailing-bytes.tar', set_layer(docker(), good + b'more\n'), 'opens', 'trailing-data',
         'Five bytes after the end of the second layer, which its diff_id includes.')
    emit('layer-gzip-in-docker-layout.tar', set_layer(docker(), gz(good), sha(good)), 'opens', '',
         'The second layer is gzip under the name layer.tar.')
    emit('layer-zstd-in-docker-layout.tar', set_layer(docker(), zstd(good), sha(good)), 'opens', '',
         'The second layer is zstd under the name layer.tar.')
    packed = gz(good)
    emit('layer-gzip-damaged.tar', set_layer(docker(), flip(packed, len(packed) - 6), sha(good)), 'verify-fails',
         'layer-corrupt', 'The second layer is gzip and its checksum is wrong.')

    # A link as a layer, with the real one beside it under another name.
    def linked(name, members, *rest):
        tar = docker()
        tar.find(LAYERS[1]).name = 'real.tar'
        at = [m.name for m in tar.members].index('real.tar') + 1
        tar.members[at:at] = members
        emit(name, tar, *rest)

    def sym(name, target):
        return Member(name, kind=tarfile.SYMTYPE, link=target)

    def hard(name, target):
        return Member(name, kind=tarfile.LNKTYPE, link=target)

    linked('layer-hardlink.tar', [hard(LAYERS[1], 'real.tar')], 'opens', '',
           'The second layer is a hard link to another member.')
    linked('layer-symlink-chain.tar', [hard('three.tar', 'real.tar'), sym('two.tar', 'three.tar'),
                                       sym(LAYERS[1], '../two.tar')], 'opens', '',
           'The second layer is a symbolic link to a symbolic link to a hard link to the real one.')
    linked('layer-symlink-loop.tar', [sym('a.tar', 'b.tar'), sym('b.tar', 'a.tar'), sym(LAYERS[1], '../a.tar')],
           'verify-fails', 'member-missing', 'The second layer is a link into a circle of links.')
    linked('layer-symlink-escape.tar', [sym(LAYERS[1], '../../../../etc/passwd')], 'verify-fails', 'member-missing',
           'The second layer is a link to a file outside of the archive.')

    # Both layers are the first one.
    tar = manifest_with(lambda m: m[0].update(Layers=[LAYERS[0], LAYERS[0]]))
    tar.drop('repositories')
    tar.drop(LAYERS[1])
    config = tar.json(CONFIG_NAME)
    config['rootfs']['diff_ids'] = [config['rootfs']['diff_ids'][0]] * 2
    emit('same-layer-twice.tar', set_config(tar, config), 'opens', '',
         'One member is both layers of the image, as Docker 25 and skopeo write it.')
    tar = manifest_with(lambda m: m[0].update(Layers=[LAYERS[0]] * 130))
    tar.drop('repositories')
    tar.drop(LAYERS[1])
    config['rootfs']['diff_ids'] = [config['rootfs']['diff_ids'][0]] * 130
    config['history'] = config['history'][:1] * 130
    emit('layers-130.tar.gz', gz(set_config(tar, config).bytes()), 'opens', 'layer-limit',
         'An image of 130 layers, more than the 125 that Docker with overlay2 loads.')


# --- OCI layouts and Docker 25+ -------------------------------------------------------------------------

def layouts():
    def layer_of(tar):
        return json.loads(tar.get(blob(tar.json('index.json')['manifests'][0]['digest'])))['layers'][1]

    tar = OCI.copy()
    name = blob(layer_of(tar)['digest'])
    data = tar.get(name)
    tar.put(name, data[:9] + b'\x03' + data[10:])
    emit('blob-digest-mismatch.tar', tar, 'verify-fails', 'blob-digest-mismatch',
         "The operating system in a layer's gzip header is changed: the blob is no longer what its name says, "
         'but unpacks to the same layer.')
    emit('blob-size-mismatch.tar', set_manifest(OCI.copy(), lambda m: m['layers'][1].update(size=m['layers'][1]['size'] + 1)),
         'verify-fails', 'blob-size-mismatch', "The manifest says that the second layer's blob is one byte longer than it is.")
    tar = OCI.copy()
    tar.drop(blob(layer_of(tar)['digest']))
    emit('blob-missing.tar', tar, 'verify-fails', 'member-missing', 'A layer of an OCI layout is not in the archive.')
    tar = OCI.copy()
    tar.drop(blob(tar.json('index.json')['manifests'][0]['digest']))
    emit('manifest-blob-missing.tar', tar, 'verify-fails', 'member-missing',
         'index.json names a manifest that is not in the archive.')

    tar = HYBRID.copy()
    index = tar.json('index.json')
    manifest = json.loads(tar.get(blob(index['manifests'][0]['digest'])))
    config = json.loads(tar.get(blob(manifest['config']['digest'])))
    config['config']['Labels']['edition'] = 'the one of index.json'
    manifest['config'].update(descriptor(tar, manifest['config']['mediaType'], js(config)))
    index['manifests'][0].update(descriptor(tar, MANIFEST, js(manifest)))
    tar.put('index.json', js(index))
    emit('index-disagrees-with-manifest.tar', tar, 'verify-fails', 'descriptions-disagree',
         'index.json and manifest.json give one name to two images, so engines load different ones.')

    tar = OCI.copy()
    tar.drop('oci-layout')
    emit('oci-layout-missing.tar', tar, 'opens', 'member-missing',
         'An OCI layout without its oci-layout file; podman and skopeo read it, containerd does not.')
    tar = OCI.copy()
    tar.drop('index.json')
    emit('index-missing.tar', tar, 'refused', '', 'oci-layout and blobs, but no index.json.')
    tar = OCI.copy()
    for m in tar.members:
        m.name = 'image/' + m.name
    emit('oci-one-directory-deep.tar', Tar([Member('image/', kind=tarfile.DIRTYPE)] + tar.members), 'refused', '',
         'An OCI layout that was packed together with the directory it lay in.')

    empty = Tar(m for m in OCI.copy().members if m.name in ('blobs/', 'blobs/sha256/', 'oci-layout'))

    def artifact():
        tar = empty.copy()
        layer = descriptor(tar, 'text/plain', b'a bill of materials\n')
        config = descriptor(tar, 'application/vnd.oci.empty.v1+json', b'{}')
        manifest = js({'schemaVersion': 2, 'mediaType': MANIFEST, 'artifactType': 'application/vnd.example.sbom.v1',
                       'config': config, 'layers': [layer]})
        top = descriptor(tar, MANIFEST, manifest, artifactType='application/vnd.example.sbom.v1',
                         annotations={'org.opencontainers.image.ref.name': 'sbom'})
        tar.put('index.json', js({'schemaVersion': 2, 'mediaType': INDEX, 'manifests': [top]}))
        return tar

    emit('artifact-only.tar', artifact(), 'opens', '', 'An OCI layout that holds an artifact and no image.')

    tar = OCI.copy()
    index = tar.json('index.json')
    image = index['manifests'][0]['digest']
    payload = js({'critical': {'identity': {'docker-reference': 'imgtar-testdata/tiny'},
                               'image': {'docker-manifest-digest': image}, 'type': 'cosign container image signature'},
                  'optional': None})
    config = js({'architecture': '', 'created': '0001-01-01T00:00:00Z', 'history': [{'created': '0001-01-01T00:00:00Z'}],
                 'os': '', 'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + sha(payload)]}, 'config': {}})
    signature = js({'schemaVersion': 2, 'mediaType': MANIFEST, 'config': descriptor(tar, CONFIG, config), 'layers': [
        descriptor(tar, 'application/vnd.dev.cosign.simplesigning.v1+json', payload,
                   annotations={'dev.cosignproject.cosign/signature': 'MEUCIQ=='})]})
    index['manifests'].append(descriptor(tar, MANIFEST, signature, annotations={
        'org.opencontainers.image.ref.name': 'imgtar-testdata/tiny:' + image.replace(':', '-') + '.sig'}))
    tar.put('index.json', js(index))
    emit('artifact-cosign.tar', tar, 'opens', '',
         "An image and cosign's signature of it, which has the form of an image but layers that are not tars.")

    # The attestation is one that BuildKit made; here it is alone, its image left out.
    real = Tar.read(os.path.join(ENGINES, 'buildkit-platforms.tar'))
    nested = json.loads(real.get(blob(real.json('index.json')['manifests'][0]['digest'])))
    top = [m for m in nested['manifests'] if m['platform']['os'] == 'unknown'][0]
    tar = empty.copy()
    manifest = real.get(blob(top['digest']))
    for part in [top, json.loads(manifest)['config']] + json.loads(manifest)['layers']:
        tar.put(blob(part['digest']), real.get(blob(part['digest'])))
    tar.put('index.json', js({'schemaVersion': 2, 'mediaType': INDEX, 'manifests': [top]}))
    emit('attestation-only-platform.tar', tar, 'opens', '',
         "An OCI layout whose only manifest is BuildKit's attestation of an image that is not there.")


# --- before Docker 1.10 ---------------------------------------------------------------------------------

def v1():
    def old():
        tar = V1.copy()
        tar.drop('manifest.json', CONFIG_NAME)
        return tar

    base, top = (name.split('/')[0] for name in LAYERS)

    def parent(tar, image, value):
        image_json = tar.json(image + '/json')
        image_json['parent'] = value
        tar.put(image + '/json', js(image_json))
        return tar

    tar = old()
    emit('v1-plain.tar', tar, 'opens', '', 'Nothing is wrong: the archive that the following ones come from.')
    tar = old()
    tar.drop('repositories')
    emit('v1-without-repositories.tar', tar, 'opens', 'member-missing',
         'No repositories file, so the images have no names.')
    tar = old()
    tar.drop(base + '/', base + '/VERSION', base + '/json', base + '/layer.tar')
    emit('v1-parent-missing.tar', tar, 'verify-fails', 'member-missing', "An image's parent is not in the archive.")
    emit('v1-parent-loop.tar', parent(old(), base, top), 'verify-fails', 'config-invalid',
         'Two images are the parents of each other.')


def main():
    os.makedirs(OUT, exist_ok=True)
    for name in os.listdir(OUT):
        if name != 'LOADERS.tsv':  # not ours, and it takes engines to remake
            os.remove(os.path.join(OUT, name))
    for part in (outer, manifests, configs, layers, layouts, v1):
        part()
    with open(os.path.join(OUT, 'BROKEN.tsv'), 'w') as out:
        out.write('file\toutcome\tproblems\tdefect\n')
        for row in sorted(ROWS):
            out.write('\t'.join(row) + '\n')
    os.chmod(os.path.join(OUT, 'BROKEN.tsv'), 0o644)


main()
