#!/usr/bin/env bash
# Two hosts, `lan` and `wan`, and Millrace between them, each in a network namespace of its own. Real traffic passes, the
# operator's commands show it, and on a terminal the CLI opens. Everything is removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
    exec sudo -E "$0" "$@"
fi

lan=demo-lan-$$ wan=demo-wan-$$ router=demo-router-$$
files=$(mktemp -d)
socket=$files/api.sock
millctl=(target/release/millctl -s "$socket")
jobs=()

cleanup() {
    kill "${jobs[@]}" 2>/dev/null || true
    wait || true
    for namespace in "$lan" "$wan" "$router"; do ip netns del "$namespace" 2>/dev/null || true; done
    rm -rf "$files"
}
trap cleanup EXIT
trap exit INT TERM

bold='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
heading() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
# Runs a command on a host and shows what an operator would type there.
on() {
    local name=$1 namespace=$2
    shift 2
    echo "$name\$ $*"
    ip netns exec "$namespace" "$@"
}
show() {
    printf '\nmillrace> %s\n' "$*"
    "${millctl[@]}" "$@"
}
# Waits until a command works; gives up after ten seconds.
until_works() {
    for _ in {1..100}; do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "did not come up: $*" >&2
    cat "$files"/*.log >&2
    exit 1
}

heading "Two hosts and a router, in network namespaces"
for namespace in "$lan" "$wan" "$router"; do
    ip netns add "$namespace"
    ip -n "$namespace" link set lo up
done
host() { # namespace, device of the router, address, gateway
    ip link add name "$2" netns "$router" type veth peer name eth0 netns "$1"
    ip -n "$router" link set "$2" up
    ip -n "$1" link set eth0 up
    ip -n "$1" addr add "$3" dev eth0
    ip -n "$1" route add default via "$4"
}
host "$lan" lan 192.168.1.10/24 192.168.1.1
host "$wan" wan 203.0.113.10/24 203.0.113.1
cat <<PICTURE
  lan 192.168.1.10 ---- 192.168.1.1 [ millrace ] 203.0.113.1 ---- 203.0.113.10 wan

PICTURE
cat configs/router.yaml
ip netns exec "$router" target/release/millrace --config configs/router.yaml --socket "$socket" 2>"$files/millrace.log" &
jobs+=($!)
until_works "${millctl[@]}" show version

heading "The hosts talk"
on lan "$lan" ping -c 3 -i 0.3 203.0.113.10
echo
on lan "$lan" traceroute -n -q 1 203.0.113.10

heading "A download of 64 MiB, and its checksum on both ends"
mkdir "$files/www"
head -c 64M /dev/urandom >"$files/www/file"
ip netns exec "$wan" busybox httpd -f -p 80 -h "$files/www" 2>"$files/httpd.log" &
jobs+=($!)
until_works ip netns exec "$lan" curl -sf -r 0-0 -o /dev/null http://203.0.113.10/file
on lan "$lan" curl -sS -o "$files/copy" -w '%{size_download} bytes, %{speed_download} bytes/s\n' http://203.0.113.10/file
(cd "$files" && sha256sum www/file copy)
cmp "$files/www/file" "$files/copy"

heading "TCP as fast as it goes"
ip netns exec "$wan" iperf3 -s --forceflush >"$files/iperf3.log" 2>&1 &
jobs+=($!)
until_works grep -q "Server listening" "$files/iperf3.log"
show clear runtime
on lan "$lan" iperf3 -c 203.0.113.10 -t 3

heading "What the operator sees"
show show interfaces
show show runtime
show show ip route
show show neighbors
show show errors

heading "One packet's way through the graph"
show trace add device-input 1
ip netns exec "$lan" ping -c 1 203.0.113.10 >/dev/null
show show trace

if [ -t 0 ] && [ -t 1 ]; then
    heading "The CLI: Tab completes, ? helps, Ctrl-D leaves"
    "${millctl[@]}"
fi
