#!/bin/bash
# Makes testdata/rescue/changed/: engines of .ci/engines.sh, each with a data directory of its own, run a container of
# engines/docker20-multi.tar that changes its files in every way, export and commit it, and are stopped. Kept are the data
# directory (NAME.tar.zst), the export (NAME.export.tar.zst) and the saved commit (NAME.commit.tar.zst). Needs root
# and the variables that .ci/engines.sh prints; takes three minutes.
set -eu
cd "$(dirname "$0")"
unset TMPDIR
archive=engines/docker20-multi.tar
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
data=/var/lib/imgtar-changed run=/run/imgtar-changed

begin() { # chroot
  rm -rf "$1$data" "$1$run" "$1/tmp/changed"
  mkdir -p "$1$run" "$1/tmp/changed"
  cp "$archive" "$1/tmp/changed/in.tar"
  cp "$(command -v busybox)" "$1/tmp/changed/busybox"
  cat > "$1/tmp/changed/change.sh" <<'SH'
set -e
b=/mnt/busybox
$b rm -r /etc/app/conf.d
$b mkdir /etc/app/conf.d
echo new > /etc/app/conf.d/90-new.conf
$b rm "/home/user/two words"
echo "nobody:x:65534:65534::/:/bin/false" >> /etc/passwd
$b chmod 600 /etc/os-release
$b chown 5:6 /usr/lib/three
$b mkdir -p /srv/app/deep/er
echo one > /srv/app/deep/one
$b ln /srv/app/deep/one /srv/app/deep/er/two
$b ln -s ../one /srv/app/deep/er/link
$b mkfifo -m 640 /srv/app/deep/pipe
$b mknod /srv/app/deep/device c 1 5 || true # podman lets nobody do that
$b rm -rf /same.txt
$b mkdir /same.txt
echo in > /same.txt/file
$b rm -rf /tmp
echo "a file" > /tmp
$b mv /home/user /home/moved
$b touch -d "2001-02-03 04:05:06" /srv/app/deep/one
$b chmod 4711 /srv/app/deep/one
echo volume > /data/kept
SH
}

# The same for every engine: name, chroot, command.
change() {
  local name=$1 root=$2; shift 2
  "$@" load -q -i /tmp/changed/in.tar > /dev/null
  "$@" run --name changed --network none --user 0 -v /tmp/changed/busybox:/mnt/busybox:ro \
    -v /tmp/changed/change.sh:/mnt/change.sh:ro --entrypoint /mnt/busybox -e "CHANGED=yes it is" \
    --label made=here imgtar-testdata/app:2 sh /mnt/change.sh
  "$@" export changed -o /tmp/changed/export.tar
  "$@" commit changed imgtar-testdata/changed:1 > /dev/null
  "$@" save -o /tmp/changed/commit.tar imgtar-testdata/changed:1
  mkdir -p rescue/changed
  local what
  for what in export commit; do
    zstd -19 -q -f -o "rescue/changed/$name.$what.tar.zst" "$root/tmp/changed/$what.tar"
  done
}

pack() { # chroot, name
  tar --xattrs --xattrs-include='*' --numeric-owner --sparse -C "$1$data" -c . | zstd -19 -q -f -o "rescue/changed/$2.tar.zst"
  rm -rf "$1$data" "$1$run" "$1/tmp/changed" || { sleep 2; rm -rf "$1$data" "$1$run" "$1/tmp/changed"; }
}

# A Docker of its own: name, chroot (empty for none), storage driver or `containerd`.
docker_root() {
  local name=$1 root=$2 driver=$3
  begin "$root"
  local flags=(--config-file="$run/conf.json") in=(chroot "${root:-/}")
  if [ "$driver" = containerd ]; then
    echo '{"features":{"containerd-snapshotter":true}}' > "$root$run/conf.json"
  else
    echo '{}' > "$root$run/conf.json"
    flags+=(--storage-driver="$driver")
  fi
  "${in[@]}" dockerd --iptables=false --ip6tables=false --bridge=none --data-root=$data --exec-root=$run/exec \
    -H unix://$run/docker.sock --pidfile $run/d.pid "${flags[@]}" > "${LOG:-/dev/null}" 2>&1 &
  local pid=$!
  local docker=("${in[@]}" docker -H unix://$run/docker.sock)
  for _ in $(seq 60); do "${docker[@]}" version > /dev/null 2>&1 && break; sleep 0.5; done
  change "$name" "$root" "${docker[@]}" || echo "$name failed" >&2
  kill -TERM $pid
  wait $pid || true
  for _ in $(seq 20); do umount -R "$root$data" 2> /dev/null || break; done
  pack "$root" "$name"
}

# A store of podman: name, chroot, storage driver.
podman_root() {
  local name=$1 root=$2 driver=$3
  begin "$root"
  change "$name" "$root" chroot "$root" podman --root $data --runroot $run --storage-driver "$driver" \
    --cgroup-manager cgroupfs || echo "$name failed" >&2
  for _ in $(seq 20); do umount "$root$data/overlay" 2> /dev/null || break; done
  pack "$root" "$name"
}

all=${*:-docker20-overlay2 docker20-overlay docker26-overlay2 docker26-vfs docker26-containerd docker28-containerd podman-overlay podman-vfs}
for name in $all; do
  case $name in
    docker20-*) docker_root "$name" "" "${name#*-}" ;;
    docker26-*) docker_root "$name" "$IMGTAR_ROOT26" "${name#*-}" ;;
    docker28-*) docker_root "$name" "$IMGTAR_ROOT28" "${name#*-}" ;;
    podman-*) podman_root "$name" "$IMGTAR_ROOT26" "${name#*-}" ;;
  esac
done
