#!/usr/bin/env bash
# Installs the Debian packages that build, demo, tests and benchmarks need. Says what it installs; silent when all is there.
set -euo pipefail

packages=(
    build-essential                                  # the linker
    iproute2 iputils-ping iputils-arping procps      # namespaces, hosts, sysctl
    iperf3 curl traceroute tcpdump busybox less      # traffic, and looking at it
    iputils-tracepath dnsmasq-base                   # path MTUs, and a resolver
    ndisc6                                           # router and neighbour solicitations by hand
    nftables                                         # Linux's own NAT, which Millrace's is compared with
    qemu-system-x86 kmod cpio xz-utils               # virtual machines, and the guest in them (scripts/guest.sh)
    dpdk librte-mempool-ring23 librte-net-virtio23 librte-net-vhost23   # dpdk-testpmd: peers for vhost-user
    librte-net-memif23 librte-net-ring23 librte-net-null23   # and for memif
    valgrind                                         # benchmarks: instructions and cache misses
)
# The driver `dpdk`, unless it is left out.
[ "${DPDK:-on}" = off ] || packages+=(libdpdk-dev pkg-config)

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "Installing Debian packages: ${missing[*]}"
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
