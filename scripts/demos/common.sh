# What demos have in common: namespaces that are removed at the end, commands shown as an operator types them, the router and its CLI.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [ "$(id -u)" != 0 ]; then
    exec sudo -E "$0" "$@"
fi

files=$(mktemp -d)
socket=$files/api.sock
millctl=(target/release/millctl -s "$socket")
jobs=() namespaces=()

cleanup() {
    kill "${jobs[@]}" 2>/dev/null || true
    wait || true
    for namespace in "${namespaces[@]}"; do ip netns del "$namespace" 2>/dev/null || true; done
    rm -rf "$files"
}
trap cleanup EXIT
trap exit INT TERM

bold='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
heading() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }

# Makes network namespaces, named for this demo: `namespace host` sets $host.
namespace() {
    local name
    for name in "$@"; do
        printf -v "$name" 'demo-%s-%s' "$name" $$
        namespaces+=("${!name}")
        ip netns add "${!name}"
        ip -n "${!name}" link set lo up
    done
}

cable() { # namespace, device, namespace, device
    ip link add name "$2" netns "$1" type veth peer name "$4" netns "$3"
    ip -n "$1" link set "$2" up
    ip -n "$3" link set "$4" up
}

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

# Waits until a command works; gives up after so many tries, a tenth of a second apart.
tries=100
until_works() {
    for ((try = 0; try < tries; try++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "did not come up: $*" >&2
    cat "$files"/*.log >&2
    exit 1
}

# Starts the router in a namespace, with a file.
millrace() {
    cat "$2"
    ip netns exec "$1" target/release/millrace --config "$2" --socket "$socket" 2>"$files/millrace.log" &
    jobs+=($!)
    until_works "${millctl[@]}" show version
}

# A web server in a namespace, with a folder of files.
web_server() { # namespace, log
    ip netns exec "$1" busybox httpd -f -vv -p 80 -h "$files/www" 2>"$files/$2.log" &
    jobs+=($!)
}

# On a terminal, the operator's turn.
operate() {
    if [ -t 0 ] && [ -t 1 ]; then
        heading "The CLI: Tab completes, ? helps, Ctrl-D leaves"
        "${millctl[@]}"
    fi
}
