#!/usr/bin/env python3
"""An archive without some platforms of its image, as it is where only the others were pulled.

Usage: without.py IN.tar OUT.tar PLATFORM...

The index of the image still names what is left out; not even the manifests of those platforms are there, nor
their attestations.
"""
import io
import json
import sys
import tarfile

source, target, *platforms = sys.argv[1:]
with tarfile.open(source) as tar:
    members = [(member, tar.extractfile(member).read() if member.isreg() else None) for member in tar]
blobs = {member.name: data for member, data in members}


def read(descriptor):
    return blobs.get('blobs/' + descriptor['digest'].replace(':', '/'))


def named_by(descriptor):
    """The blobs of a manifest, and itself."""
    manifest = json.loads(read(descriptor))
    return {d['digest'] for d in [descriptor, manifest['config'], *manifest['layers']]}


def called(entry):
    platform = entry['platform']
    return '/'.join(filter(None, (platform['os'], platform['architecture'], platform.get('variant'))))


top = json.loads(blobs['index.json'])['manifests'][0]
entries = json.loads(read(top))['manifests']
gone = {entry['digest'] for entry in entries if called(entry) in platforms}
about = 'vnd.docker.reference.digest'
gone |= {entry['digest'] for entry in entries if entry.get('annotations', {}).get(about) in gone}
keep, drop = set(), set()
for entry in entries:
    (drop if entry['digest'] in gone else keep).update(named_by(entry))
names = {'blobs/' + digest.replace(':', '/') for digest in drop - keep}
with tarfile.open(target, 'w', format=tarfile.USTAR_FORMAT) as tar:
    for member, data in members:
        if member.name not in names:
            tar.addfile(member, io.BytesIO(data) if data is not None else None)
