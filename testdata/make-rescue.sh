#!/bin/bash
# Makes testdata/rescue/: engines of .ci/engines.sh, each with a data directory of its own, load
# engines/docker20-multi.tar, change a container, commit it, make a volume, and are stopped. Packed is their data
# directory. Needs root and the variables that .ci/engines.sh prints; takes two minutes.
set -eu
cd "$(dirname "$0")"
unset TMPDIR
archive=engines/docker20-multi.tar
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

pack() { # directory, name
  tar --xattrs --xattrs-include='*' --numeric-owner --sparse -C "$1" -c . | zstd -19 -q -f -o "rescue/$2.tar.zst"
}

begin() { # chroot
  mkdir -p "$1/tmp/rescue"
  cp "$archive" "$1/tmp/rescue/in.tar"
  echo added > "$1/tmp/rescue/added"
}

# A Docker of its own: name, chroot (empty for none), storage driver or `containerd`.
docker_root() {
  local name=$1 root=$2 driver=$3 data=/var/lib/imgtar-rescue run=/run/imgtar-rescue
  begin "$root"
  rm -rf "$root$data" "$root$run"
  mkdir -p "$root$run"
  local flags=(--config-file="$run/conf.json") in=(chroot "${root:-/}")
  if [ "$driver" = containerd ]; then
    echo '{"features":{"containerd-snapshotter":true}}' > "$root$run/conf.json"
  else
    echo '{}' > "$root$run/conf.json"
    flags+=(--storage-driver="$driver")
  fi
  "${in[@]}" dockerd --iptables=false --ip6tables=false --bridge=none --data-root=$data --exec-root=$run/exec \
    -H unix://$run/docker.sock --pidfile $run/d.pid "${flags[@]}" > /dev/null 2>&1 &
  local pid=$!
  local docker=("${in[@]}" docker -H unix://$run/docker.sock)
  for _ in $(seq 60); do "${docker[@]}" version > /dev/null 2>&1 && break; sleep 0.5; done
  "${docker[@]}" load -q -i /tmp/rescue/in.tar
  "${docker[@]}" create --name changed imgtar-testdata/app:2 /bin/true
  "${docker[@]}" cp /tmp/rescue/added changed:/added
  "${docker[@]}" commit changed imgtar-testdata/committed:1
  "${docker[@]}" volume create imgtar-volume
  mkdir "$root$data/volumes/imgtar-volume/_data/sub"
  echo data > "$root$data/volumes/imgtar-volume/_data/sub/file"
  "${docker[@]}" images --no-trunc --format "$name\t{{.Repository}}:{{.Tag}}\t{{.ID}}" | sort >> rescue/ROOTS.tsv
  kill -TERM $pid
  wait $pid || true
  for _ in $(seq 20); do umount -R "$root$data" 2> /dev/null || break; done
  pack "$root$data" "$name"
  rm -rf "$root$data" "$root$run" "$root/tmp/rescue" || { sleep 2; rm -rf "$root$data" "$root$run" "$root/tmp/rescue"; }
}

# A store of podman: name, chroot, storage driver.
podman_root() {
  local name=$1 root=$2 driver=$3 data=/var/lib/imgtar-rescue run=/run/imgtar-rescue
  begin "$root"
  rm -rf "$root$data" "$root$run"
  local podman=(chroot "$root" podman --root $data --runroot $run --storage-driver "$driver" --cgroup-manager cgroupfs)
  "${podman[@]}" load -q -i /tmp/rescue/in.tar
  "${podman[@]}" create --network none --name changed localhost/imgtar-testdata/app:2 /bin/true
  "${podman[@]}" cp /tmp/rescue/added changed:/added
  "${podman[@]}" commit -q changed imgtar-testdata/committed:1
  "${podman[@]}" images --no-trunc --format "$name\t{{.Repository}}:{{.Tag}}\t{{.ID}}" | sort >> rescue/ROOTS.tsv
  for _ in $(seq 20); do umount "$root$data/overlay" 2> /dev/null || break; done
  pack "$root$data" "$name"
  rm -rf "$root$data" "$root$run" "$root/tmp/rescue"
}

# A containerd of its own: name, chroot. It has two images in the namespace `default`, one as Kubernetes names it in
# `k8s.io`, and 300 names in `many`, so that its metadata is a tree of several pages.
containerd_root() {
  local name=$1 root=$2 data=/var/lib/imgtar-rescue run=/run/imgtar-rescue
  rm -rf "$root$data" "$root$run"
  mkdir -p "$root/tmp/rescue" "$root$run"
  cp engines/docker28c-multi.tar "$root/tmp/rescue/in.tar"
  # Of its plugins those alone that keep images.
  printf 'version = 3\ndisabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]\n' > "$root$run/conf.toml"
  chroot "$root" containerd -c $run/conf.toml --root $data --state $run/state --address $run/c.sock > /dev/null 2>&1 &
  local pid=$! ctr=(chroot "$root" ctr -a $run/c.sock)
  for _ in $(seq 60); do "${ctr[@]}" version > /dev/null 2>&1 && break; sleep 0.5; done
  "${ctr[@]}" -n default images import --no-unpack /tmp/rescue/in.tar
  "${ctr[@]}" -n default images ls | awk -v n="$name" 'NR > 1 { print n "\t" $1 "\t" $3 }' | sort >> rescue/ROOTS.tsv
  "${ctr[@]}" -n k8s.io images import --no-unpack /tmp/rescue/in.tar > /dev/null
  local app digest
  app=$("${ctr[@]}" -n k8s.io images ls -q | grep /app:1)
  digest=$("${ctr[@]}" -n k8s.io images ls | awk -v app="$app" '$1 == app { print $3 }')
  for other in $("${ctr[@]}" -n k8s.io images ls -q); do
    [ "$other" = "$app" ] || "${ctr[@]}" -n k8s.io images rm "$other" > /dev/null
  done
  "${ctr[@]}" -n k8s.io images tag "$app" "${app%:*}@$digest" "sha256:$(printf '%064d' 1)" > /dev/null
  "${ctr[@]}" -n many images import --no-unpack /tmp/rescue/in.tar > /dev/null
  app=$("${ctr[@]}" -n many images ls -q | grep /app:1)
  "${ctr[@]}" -n many images tag "$app" $(seq -f 'docker.io/imgtar-testdata/many:%03g' 300) > /dev/null
  kill -TERM $pid
  wait $pid || true
  pack "$root$data" "$name"
  rm -rf "$root$data" "$root$run" "$root/tmp/rescue"
}

mkdir -p rescue
: > rescue/ROOTS.tsv
docker_root docker26-overlay2 "$IMGTAR_ROOT26" overlay2
docker_root docker26-vfs "$IMGTAR_ROOT26" vfs
docker_root docker20-overlay "" overlay
docker_root docker26-containerd "$IMGTAR_ROOT26" containerd
docker_root docker28-containerd "$IMGTAR_ROOT28" containerd
podman_root podman-overlay "$IMGTAR_ROOT26" overlay
podman_root podman-vfs "$IMGTAR_ROOT26" vfs
containerd_root containerd2 "$IMGTAR_ROOT28"
