#!/usr/bin/env bash
# Two containers, joined by one Millrace: a web server whose network card is a tap, and a client at the end of a memif. No container engine is
# needed, as a container's network is a namespace. Everything is removed at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "$(id -u)" != 0 ]; then
    exec sudo -E "$0" "$@"
fi

programs=${MILLRACE_PROGRAMS:-$PWD/target/release}
example=examples/containers
router=containers-router-$$ web=web-$$ app=app-$$
files=$(mktemp -d)
export PATH=$programs:$PATH MILLRACE_SOCKET=$files/api.sock MILLRACE_MEMIF_DIR=$files/memif
jobs=()

cleanup() {
    kill "${jobs[@]}" 2>/dev/null || true
    wait || true
    for namespace in "$router" "$web" "$app"; do ip netns del "$namespace" 2>/dev/null || true; done
    rm -rf "$files"
}
trap cleanup EXIT
trap exit INT TERM

heading() { printf '\n== %s\n' "$*"; }
attach() {
    echo "$ attach.sh $*"
    ip netns exec "$router" "$example/attach.sh" "$@"
}
show() {
    printf '\nmillrace> %s\n' "$*"
    millctl "$@"
}
until_works() {
    for _ in {1..100}; do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "did not come up: $*" >&2
    cat "$files"/*.log >&2
    exit 1
}

heading "A router without an interface, and two containers without a network"
for namespace in "$router" "$web" "$app"; do
    ip netns add "$namespace"
    ip -n "$namespace" link set lo up
done
ip netns exec "$router" millrace --config "$example/router.yaml" --socket "$MILLRACE_SOCKET" 2>"$files/router.log" &
jobs+=($!)
until_works millctl show version

heading "A web server, by a tap"
attach ADD "$web" eth0 tap 10.1.0.1/24 10.1.0.2/24
mkdir "$files/www"
head -c 16M /dev/urandom >"$files/www/file"
ip netns exec "$web" busybox httpd -f -p 80 -h "$files/www" &
jobs+=($!)

heading "A client, by a memif: in its container another Millrace makes a network card of it"
attach ADD "$app" eth0 memif 10.2.0.1/24 10.2.0.2/24
sed "s|SOCKET|$MILLRACE_MEMIF_DIR/$app-eth0.sock|" "$example/memif-client.yaml" >"$files/client.yaml"
ip netns exec "$app" millrace --config "$files/client.yaml" --socket "$files/client.sock" 2>"$files/client.log" &
jobs+=($!)
until_works ip -n "$app" link set eth0 up
ip -n "$app" address add 10.2.0.2/24 dev eth0
ip -n "$app" route add default via 10.2.0.1
until_works ip netns exec "$app" ping -c 1 -W 1 10.1.0.2

heading "From one to the other"
ip netns exec "$app" ping -c 3 -i 0.3 10.1.0.2
echo
ip netns exec "$app" curl -sS -o "$files/copy" -w '%{size_download} bytes, %{speed_download} bytes/s\n' http://10.1.0.2/file
cmp "$files/www/file" "$files/copy"

heading "What the operator sees"
show show interfaces
show show interfaces "$app-eth0"
show show neighbors
show show errors

heading "Both leave"
attach DEL "$web" eth0
attach DEL "$app" eth0
show show interfaces
