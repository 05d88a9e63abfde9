#!/usr/bin/env bash
# Attaches a container to Millrace and detaches it: what an orchestrator calls, in the manner of a CNI plugin. README.md beside it tells more.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: attach.sh ADD CONTAINER INTERFACE tap   ROUTER-ADDRESS/LENGTH CONTAINER-ADDRESS/LENGTH
       attach.sh ADD CONTAINER INTERFACE memif ROUTER-ADDRESS/LENGTH CONTAINER-ADDRESS/LENGTH
       attach.sh DEL CONTAINER INTERFACE
       attach.sh CHECK CONTAINER INTERFACE

CONTAINER is a network namespace: its name, or a path such as /proc/PID/ns/net. To be run in Millrace's own network namespace, as root.
ADD prints what the container got as JSON. It may be repeated, and so may DEL.

MILLRACE_SOCKET     where Millrace's API listens      (/run/millrace/api.sock)
MILLRACE_MEMIF_DIR  folder of the memif sockets       (/run/millrace/memif)
USAGE
}

fail() {
    echo "attach.sh: $*" >&2
    exit 1
}

wrong_usage() {
    echo "attach.sh: $*" >&2
    usage >&2
    exit 2
}

memif_dir=${MILLRACE_MEMIF_DIR:-/run/millrace/memif}

# What Millrace says of the interface, without spaces; fails when there is none of that name.
shown() { millctl -o json show interfaces "$name" 2>/dev/null | tr -d ' \n'; }

# Whether Millrace answers at all: an interface that can't be asked for is not one that isn't there.
reachable() { millctl show version >/dev/null || fail "Millrace does not answer"; }

inside() { nsenter --net="$netns" "$@"; }

# The device in the container, where there is one.
has_device() { inside ip link show dev "$interface" >/dev/null 2>&1; }

remove() {
    if shown >/dev/null; then
        millctl interface remove "$name" >/dev/null || fail "Millrace keeps interface $name"
    fi
    # Its socket goes with the interface; the lock of a router that was killed may not.
    rm -f "$memif_dir/$name.sock"
}

# Undoes what was begun, when ADD ends before it is done.
undo() {
    remove || true
    [ -z "${device:-}" ] || ip link delete "$device" 2>/dev/null || true
}

add_tap() {
    # A name that the kernel takes, always the same for a container's interface.
    device=mr-$(printf '%s' "$name" | cksum | awk '{printf "%08x", $1}')
    millctl interface add "$name" driver tap device "$device" address "$router" >/dev/null || fail "Millrace refuses the tap"
    ip link set "$device" netns "$netns" name "$interface" || fail "$device can't be moved into $container as $interface"
    inside ip address add "$address" dev "$interface" || fail "$address can't be the address of $interface"
    inside ip link set "$interface" up
    inside ip route replace default via "${router%/*}" dev "$interface" || fail "${router%/*} can't be the way out of $container"
}

add_memif() {
    mkdir -p "$memif_dir"
    millctl interface add "$name" driver memif socket "$memif_dir/$name.sock" role server address "$router" >/dev/null ||
        fail "Millrace refuses the memif"
}

# Whether what is there is what is asked for, and still of use: a container that is gone took its device with it.
is_as_asked() {
    local now=$1
    [[ $now != *'"driver":"tap"'* ]] || has_device || return 1
    [[ $now == *"\"driver\":\"$kind\""* && $now == *"\"$router\""* ]] || fail "$container has another $interface: DEL it first"
    case $kind in
    tap) [[ $(inside ip -o address show dev "$interface") == *" $address "* ]] || fail "$interface has another address: DEL it first" ;;
    memif) [[ -S $memif_dir/$name.sock ]] ;;
    esac
}

result() {
    local more=''
    case $kind in
    tap) more=", \"mac\": \"$(inside ip -brief link show dev "$interface" | awk '{print $3}')\"" ;;
    memif) more=", \"socket\": \"$memif_dir/$name.sock\", \"id\": 0" ;;
    esac
    printf '{"interfaces": [{"name": "%s", "sandbox": "%s"%s}], "ips": [{"address": "%s", "gateway": "%s"}]}\n' \
        "$interface" "$netns" "$more" "$address" "${router%/*}"
}

command=${1:-} container=${2:-} interface=${3:-} kind=${4:-} router=${5:-} address=${6:-}
case $command:$# in
ADD:6 | DEL:3 | CHECK:3) ;;
-h:* | --help:*) usage && exit 0 ;;
ADD:* | DEL:* | CHECK:*) wrong_usage "$command takes other arguments" ;;
*) wrong_usage "ADD, DEL or CHECK?" ;;
esac
case $container in
*/proc/*/ns/net) netns=$container && id=${container%/ns/net} && id=pid${id##*/} ;;
*/*) netns=$container && id=${container##*/} ;;
*) netns=/run/netns/$container && id=$container ;;
esac
name=$id-$interface
[[ $name =~ ^[A-Za-z0-9._-]{1,32}$ ]] || fail "$name is no name for an interface: 1 to 32 letters, digits, '.', '_' or '-'"
[[ $interface =~ ^[A-Za-z0-9._-]{1,15}$ ]] || fail "$interface is no name for a device: 1 to 15 letters, digits, '.', '_' or '-'"
reachable

case $command in
ADD)
    [[ $kind == tap || $kind == memif ]] || wrong_usage "tap or memif, not $kind?"
    [[ $router == */* && $address == */* ]] || wrong_usage "addresses are wanted with the lengths of their prefixes"
    inside true 2>/dev/null || fail "there is no container $container"
    if now=$(shown) && is_as_asked "$now"; then
        result
        exit 0
    fi
    # What a container of this name that is gone has left, or an ADD that was killed.
    remove
    [[ $kind == memif ]] || ! has_device || fail "$container has a device $interface that is not Millrace's"
    trap undo EXIT
    "add_$kind"
    trap - EXIT
    result
    ;;
DEL)
    remove
    ;;
CHECK)
    shown >/dev/null || fail "Millrace has no interface $name"
    [[ $(shown) == *'"link":"up"'* ]] || fail "interface $name has no link"
    ;;
esac
