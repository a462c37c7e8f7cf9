#!/usr/bin/env python3
"""Remake testdata/today-loaders.tsv: what today's engines make of archives.

    testdata/ask-today.py [-o FILE] [PATTERN...]

Asked are Docker 28.5 with both stores, `ctr images import` plain and with `--all-platforms`, and podman 5.8 on
overlay, of Debian forky, as `.ci/engines.sh` installs them. The archives are those of testdata/{broken,engines,today},
of testdata/cases.tar.zst, and of ../shared/{archives,truth,reports,attack,corpus} where that is there, up to 50 MB.
With patterns only the files whose names (`broken/x.tar`) match one are asked, and without -o the answers are only
printed.

A row is a file and an engine:

    verdict   loads, loads-broken (success, and an image of which no container can be made), makes-nothing
              (success without an image), refuses, or dies
    images    [[name, the first 12 digits of its ID], ...] as JSON; the name is null where there is none
    said      the engine's words where it refuses or an image cannot be run, with `*` for what changes from one
              time to the next

Each archive meets empty stores: engines do not read a layer that they have, and find blobs that an earlier
archive left behind. So the daemons are this script's own, and what they hold is looked at after each archive.
"""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SHARED = os.path.join(HERE, '..', '..', 'shared')
MOST = 50_000_000
# Docker follows a v1 image's parents without looking for a circle: the daemon ends with a stack overflow.
DEADLY = 'broken/v1-parent-loop.tar'
# Its one file is 60 GB, and engines write every byte of it.
HUGE = 'corpus/vbatts__tar-split__tar-edge__pax-sparse-big.tar'


class Tree:
    """The tree of forky, and this script's directory in it."""

    def __init__(self):
        self.root = os.environ['IMGTAR_ROOT28']
        self.name = 'imgtar-ask-%d' % os.getpid()
        self.inside = '/var/lib/' + self.name
        self.path = self.root + self.inside
        os.makedirs(self.path)

    def run(self, *args, stdin=None, timeout=300):
        environment = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/root', 'TZ': 'UTC',
                       'PODMAN_IGNORE_CGROUPSV1_WARNING': '1'}
        source = open(stdin, 'rb') if stdin else subprocess.DEVNULL
        try:
            return subprocess.run(['chroot', self.root, *args], stdin=source, env=environment, timeout=timeout,
                                  capture_output=True, encoding='utf-8', errors='replace', check=False)
        finally:
            if stdin:
                source.close()

    def masked(self, text):
        """An engine's words without what changes."""
        text = ' '.join(text.split())
        for pattern, by in [
            (re.escape(self.inside) + r'[^\s:"]*?/(?=(docker-import|tmp|oci|storage)[-0-9]?)', '*/'),
            (re.escape(self.inside) + r'/[a-z0-9]+(/r[0-9]+)?', '*'),
            (r'/var/tmp|/run/[-a-z0-9]+', '*'),
            (r'(docker-import-|docker-tar|oci|storage|containerd-mount|extract-)[0-9]+(-[-\w]+)?', r'\1*'),
            (r'[0-9a-f]{64}', '*'),
            (r'import-[0-9-]{10}', 'import-*'),
            (r'\btime="[^"]*" level=\w+ msg="[^"]*"( \w+=\S+)*', ''),
            (r'Error response from daemon: |^Error: ', ''),
        ]:
            text = re.sub(pattern, by, text)
        return text.strip()[:500]


class Daemon:
    """A dockerd with a store that can be emptied."""

    def __init__(self, tree, name, containerd):
        self.tree, self.name, self.containerd = tree, name, containerd
        self.round, self.process = 0, None
        self.start()

    def start(self):
        self.round += 1
        home = '%s/%s%d' % (self.tree.inside, self.name, self.round)
        self.home = self.tree.root + home
        run = '/run/%s-%s' % (self.tree.name, self.name)
        self.run = self.tree.root + run
        self.exec_root = run + '/exec'
        os.makedirs(self.home)
        self.host = 'unix://%s/docker.sock' % run
        self.address = self.exec_root + '/containerd/containerd.sock'
        if self.containerd:
            with open(self.home + '/daemon.json', 'w', encoding='ascii') as file:
                file.write('{"features":{"containerd-snapshotter":true}}')
            how = ['--config-file=%s/daemon.json' % home]
        else:
            how = ['--storage-driver=overlay2']
        with open('%s/%s.log' % (self.tree.path, self.name), 'ab') as log:
            self.process = subprocess.Popen(
                ['chroot', self.tree.root, 'dockerd', '--bridge=none', '--iptables=false', '--ip6tables=false',
                 '--data-root=%s/data' % home, '--exec-root=' + self.exec_root, '--host=' + self.host,
                 '--pidfile=%s/d.pid' % run, *how],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/root'})
        for _ in range(120):
            if self.docker('info').returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.5)
        sys.exit('%s does not start; see its log' % self.name)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.clear()
        shutil.rmtree(self.run, ignore_errors=True)

    def clear(self):
        # dockerd leaves its directory mounted on itself.
        subprocess.run(['umount', self.home + '/data'], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.home, ignore_errors=True)

    def docker(self, *args, stdin=None):
        return self.tree.run('docker', '-H', self.host, *args, stdin=stdin)

    def ctr(self, *args, stdin=None, namespace='moby'):
        return self.tree.run('ctr', '-a', self.address, '-n', namespace, *args, stdin=stdin)

    def load(self, path):
        loaded = self.docker('load', '-q', stdin=path)
        if self.process.poll() is not None:
            self.clear()
            self.start()
            return 'dies', [], ''
        said = loaded.stdout + loaded.stderr
        listed = {}
        for row in self.docker('images', '-a', '--no-trunc', '--format', '{{json .}}').stdout.splitlines():
            row = json.loads(row)
            names = listed.setdefault(row['ID'], [])
            if row['Tag'] != '<none>':
                names.append('%s:%s' % (row['Repository'], row['Tag']))
        if self.containerd:
            # Not all are listed; by their IDs all can be used.
            for row in self.ctr('images', 'ls').stdout.splitlines()[1:]:
                listed.setdefault(re.search(r'\s\S+/\S+\s+(\w+:[0-9a-f]{64,})', row)[1], [])
        if loaded.returncode != 0:
            answer = 'refuses', [], '\n'.join(
                line for line in said.splitlines() if not line.startswith('Loaded image'))
        else:
            answer = self.loaded(said, listed)
        self.empty(listed)
        return answer

    def loaded(self, said, listed):
        # Of v1 archives it prints nothing; of others what it prints need not be what it finds later.
        images = [[name, i] for i, names in listed.items() for name in names if not self.containerd]
        for line in said.splitlines():
            by_id = re.match(r'Loaded image ID: (\S+)$', line)
            by_name = re.match(r'Loaded image: (.*)$', line)
            if by_id:
                images.append([None, by_id[1]])
            elif by_name:
                holder = [i for i, names in listed.items() if by_name[1] in names]
                images.append([by_name[1], (holder + [None])[0]])
        # A name that is looked up in vain has its ID on a line of its own, or on none.
        broken = '\n'.join(line for line in said.splitlines() if line.startswith('Error unpacking image'))
        for image in listed:
            broken = broken or self.not_runnable(image)
        images = sorted({(name, identifier) for name, identifier in images}, key=str)
        images = [[name, identifier and identifier.split(':')[-1][:12]] for name, identifier in images]
        verdict = 'loads-broken' if broken else 'loads' if listed or images else 'makes-nothing'
        return verdict, images, broken

    def not_runnable(self, image):
        """Why no container can be made of an image; '' if one can."""
        create = ['create', '--pull', 'never', '--network', 'none']
        made = self.docker(*create, image, 'x')
        if made.returncode != 0 and 'platform' in made.stderr:
            # It is for others than us, or for none.
            shown = self.docker('image', 'inspect', '-f', '{{.Os}}/{{.Architecture}}{{with .Variant}}/{{.}}{{end}}', image)
            platforms = shown.stdout.split()
            if len(platforms) == 1 and not platforms[0].startswith('/') and not platforms[0].endswith('/'):
                made = self.docker(*create, '--platform', platforms[0], image, 'x')
        if made.returncode != 0:
            return made.stderr
        self.docker('rm', '-f', made.stdout.split()[-1])
        return ''

    def empty(self, listed):
        """Nothing stays, or a new daemon starts on nothing."""
        for image in listed:
            self.docker('rmi', '-f', image)
        if self.containerd:
            leases = self.ctr('leases', 'ls', '-q').stdout.split()
            mark = self.ctr('leases', 'create').stdout.split()
            for lease in leases + mark:
                self.ctr('leases', 'rm', '--sync', lease)
            left = self.ctr('content', 'ls', '-q').stdout + self.ctr('images', 'ls', '-q').stdout
        else:
            layers = self.home + '/data/image/overlay2/layerdb/sha256'
            left = self.docker('images', '-aq').stdout + ''.join(os.listdir(layers) if os.path.isdir(layers) else [])
        if left.strip():
            self.stop()
            self.start()


class Ctr:
    """containerd's client, with a namespace for each archive."""

    def __init__(self, daemon, options):
        self.daemon, self.options, self.count = daemon, options, 0

    def load(self, path):
        self.count += 1
        namespace = 'ask%s-%d' % (len(self.options), self.count)
        def ctr(*args, stdin=None):
            return self.daemon.ctr(*args, stdin=stdin, namespace=namespace)
        done = ctr('images', 'import', *self.options, '-', stdin=path)
        images = []
        for line in ctr('images', 'ls').stdout.splitlines()[1:]:
            row = re.match(r'(.*?)\s+\S+/\S+\s+\w+:([0-9a-f]{12})', line)
            if row:
                images.append([re.sub('import-[0-9-]{10}', 'import-*', row[1]), row[2]])
                ctr('images', 'rm', row[1].strip())
        for lease in ctr('leases', 'ls', '-q').stdout.split():
            ctr('leases', 'rm', lease)
        mark = ctr('leases', 'create').stdout.split()
        for lease in mark:
            ctr('leases', 'rm', '--sync', lease)
        ctr('namespaces', 'rm', namespace)
        if done.returncode != 0:
            return 'refuses', [], re.sub(r'(?m)^.*(elapsed|saved|done).*$', '', done.stderr)
        return 'loads' if images else 'makes-nothing', sorted(images, key=str), ''


class Podman:
    """podman, with a store for each archive."""

    def __init__(self, tree):
        self.tree, self.count = tree, 0
        os.makedirs(tree.path + '/podman')

    def load(self, path):
        self.count += 1
        home = '%s/podman/r%d' % (self.tree.inside, self.count)
        outside = self.tree.root + home
        os.makedirs(outside)
        shutil.copy(path, outside + '/in')
        def podman(*args):
            return self.tree.run('podman', '--root', home + '/root', '--runroot', home + '/run',
                                 '--storage-driver', 'overlay', '--cgroup-manager', 'cgroupfs', *args)
        done = podman('load', '-q', '-i', home + '/in')
        if done.returncode != 0:
            answer = 'refuses', [], self.reader(done.stderr)
        else:
            listed = json.loads(podman('images', '-a', '--format', 'json').stdout or '[]')
            names = {name: image['Id'] for image in listed for name in image.get('Names') or []}
            images = []
            for line in done.stdout.splitlines():
                if line.startswith('Loaded image: '):
                    name = line.split(': ', 1)[1]
                    if name.startswith('sha256:'):
                        images.append([None, name[7:19]])
                    else:
                        images.append([name, names.get(name, '')[:12] or None])
            answer = 'loads' if listed else 'makes-nothing', sorted(images, key=str), ''
        subprocess.run(['umount', outside + '/root/overlay'], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(outside, ignore_errors=True)
        return answer

    @staticmethod
    def reader(said):
        """Of what podman's readers say, that of the one which fits the archive."""
        of = {name: line for name, line in re.findall(r'(?m)^ \* ([-\w]+): (.*)$', said)}
        if not of:
            return said
        nothing = 'loading tar component "manifest.json": file does not exist'
        docker = of.get('docker-archive', '')
        return of.get('oci-archive', '') if docker.startswith(nothing) else docker


def archives(patterns, cases):
    """The archives: how each is called, and where it is. The packed ones are unpacked in the directory `cases`."""
    subprocess.run(['tar', '--zstd', '-xf', HERE + '/cases.tar.zst', '-C', cases], check=True)
    places = [(name, os.path.join(HERE, name)) for name in ('broken', 'engines', 'today')]
    places.append(('cases', cases))
    places += [(name, os.path.join(SHARED, name)) for name in ('archives', 'truth', 'reports', 'attack', 'corpus')]
    for place, directory in places:
        for name in sorted(os.listdir(directory) if os.path.isdir(directory) else []):
            path = os.path.join(directory, name)
            called = '%s/%s' % (place, name)
            # What shared/attack has compressed is large on purpose.
            is_archive = re.search(r'\.(tar|tgz)(\.\w+)?$|/not-a-tar', called) and not (
                place == 'attack' and name.endswith('.zst'))
            chosen = not patterns or any(fnmatch.fnmatch(called, pattern) for pattern in patterns)
            if is_archive and chosen and called != HUGE and os.path.getsize(path) <= MOST:
                yield called, path


def main():
    with tempfile.TemporaryDirectory() as cases:
        ask_all(sys.argv[1:], cases)


def ask_all(args, cases):
    out = os.path.join(HERE, 'today-loaders.tsv')
    if args[:1] == ['-o']:
        out, args = args[1], args[2:]
    elif args:
        out = None
    wanted = list(archives(args, cases))
    tree = Tree()
    # `ctr` has the containerd of a daemon that is asked nothing: the others start anew now and then.
    daemons = [Daemon(tree, 'classic', False), Daemon(tree, 'containerd', True), Daemon(tree, 'ctr', False)]
    engines = [
        ('docker 28.5', daemons[0]),
        ('docker 28.5, containerd store', daemons[1]),
        ('ctr 2.1', Ctr(daemons[2], [])),
        ('ctr 2.1 --all-platforms', Ctr(daemons[2], ['--all-platforms'])),
        ('podman 5.8, overlay', Podman(tree)),
    ]
    rows = {}

    def ask(mine):
        for engine, loader in mine:
            for called, path in wanted:
                if called == DEADLY and engine.startswith('docker'):
                    rows[called, engine] = '-', [], ''
                    continue
                try:
                    verdict, images, said = loader.load(path)
                except subprocess.TimeoutExpired:
                    verdict, images, said = 'hangs', [], ''
                rows[called, engine] = verdict, images, tree.masked(said)
                if not out:
                    print(called, engine, *rows[called, engine], sep='\t', flush=True)

    # Each store is only ever asked by one of them.
    workers = [threading.Thread(target=ask, args=(mine,))
               for mine in ([engines[0]], [engines[1]], engines[2:4], [engines[4]])]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        for daemon in daemons:
            daemon.stop()
        shutil.rmtree(tree.path, ignore_errors=True)
    missing = [row for row in ((called, engine) for called, _ in wanted for engine, _ in engines) if row not in rows]
    if missing:
        sys.exit('%d answers are missing, the first is %s: %s is as it was' % (len(missing), missing[0], out))
    if out:
        with open(out + '.new', 'w', encoding='utf-8') as file:
            file.write('file\tengine\tverdict\timages\tsaid\n')
            for called, _ in wanted:
                for engine, _ in engines:
                    verdict, images, said = rows[called, engine]
                    file.write('\t'.join([called, engine, verdict, json.dumps(images, ensure_ascii=False), said]) + '\n')
        os.replace(out + '.new', out)


main()
