#!/usr/bin/env bash
# Two containers and a virtual machine on a bridge of Millrace (configs/vswitch.yaml), which routes and translates them to the outside.
# The containers are network namespaces, the virtual machine a small Linux in QEMU (scripts/guest.sh) on a vhost-user port. Real traffic
# passes, the operator's commands show it, and on a terminal the CLI opens. Everything is removed at the end.
. "$(dirname "$0")/common.sh"

heading "Two containers, a virtual machine, the switch between them, and a server outside"
namespace switch container1 container2 server
cable "$switch" c1 "$container1" eth0
cable "$switch" c2 "$container2" eth0
cable "$switch" wan "$server" eth0
ip -n "$container1" addr add 192.168.2.11/24 dev eth0
ip -n "$container2" addr add 192.168.2.12/24 dev eth0
for container in "$container1" "$container2"; do ip -n "$container" route add default via 192.168.2.1; done
ip -n "$server" addr add 203.0.113.1/24 dev eth0
# The file's socket is the machine's; this demo keeps to its own folder.
sed "s|/run/millrace|$files|" configs/vswitch.yaml >"$files/vswitch.yaml"
millrace "$switch" "$files/vswitch.yaml"

heading "The virtual machine boots (its processor is emulated: some seconds)"
scripts/guest.sh target/guest >"$files/guest.log"
coproc guest {
    exec qemu-system-x86_64 -accel tcg -M q35,memory-backend=ram -cpu max -m 256 -display none -nodefaults \
        -object memory-backend-memfd,id=ram,size=256M,share=on \
        -kernel target/guest/vmlinuz -initrd target/guest/initramfs \
        -append 'console=ttyS0 quiet panic=-1 address=192.168.2.13/24 gateway=192.168.2.1' \
        -serial "file:$files/console.log" -chardev stdio,id=shell,signal=off -serial chardev:shell \
        -chardev "socket,id=wire,path=$files/vm1.sock" -netdev vhost-user,id=net,chardev=wire \
        -device virtio-net-pci,netdev=net,rx_queue_size=1024,tx_queue_size=1024,vectors=0,romfile= 2>"$files/qemu.log"
}
jobs+=("$guest_PID")
# The guest's words up to the line with the mark: that it has booted, or what a command wrote.
hear() {
    local line
    while IFS= read -r -t 120 -u "${guest[0]}" line; do
        line=${line%$'\r'}
        if [[ $line == $'\001'* ]]; then return; fi
        echo "$line"
    done
    echo "the virtual machine says nothing more" >&2
    cat "$files/console.log" "$files/qemu.log" >&2
    exit 1
}
in_guest() {
    echo "vm1\$ $*"
    echo "$*" >&"${guest[1]}"
    hear
}
hear
show show bridges

heading "Everybody reaches everybody: by the bridge, and the outside through the router"
on container1 "$container1" ping -c 3 -i 0.3 192.168.2.12
echo
on container1 "$container1" ping -c 3 -i 0.3 192.168.2.13
echo
in_guest ping -c 3 192.168.2.12
echo
in_guest ping -c 3 203.0.113.1
echo
on container2 "$container2" traceroute -n -q 1 -I 203.0.113.1
show show mac-table
show show neighbors

heading "A download of 16 MiB from the outside by each, their checksums, and who the server thinks it was"
mkdir "$files/www"
head -c 16M /dev/urandom >"$files/www/file"
web_server "$server" httpd
until_works ip netns exec "$container1" curl -sf -r 0-0 -o /dev/null http://203.0.113.1/file
sha256sum <"$files/www/file"
on container1 "$container1" curl -sS -o "$files/copy" -w '%{size_download} bytes, %{speed_download} bytes/s\n' http://203.0.113.1/file
cmp "$files/www/file" "$files/copy"
in_guest 'wget -q -O - http://203.0.113.1/file | sha256sum'
tail -n 2 "$files/httpd.log"
show show nat44 sessions

heading "TCP between the containers, as fast as it goes"
ip netns exec "$container2" iperf3 -s --forceflush >"$files/iperf3.log" 2>&1 &
jobs+=($!)
until_works grep -q "Server listening" "$files/iperf3.log"
show clear runtime
on container1 "$container1" iperf3 -c 192.168.2.12 -t 3

heading "What the operator sees"
show show bridges br0
show show interfaces
show show runtime
show show errors

heading "One packet's way from container 1 to container 2, and one to the outside"
show trace add device-input 1 filter icmp
ip netns exec "$container1" ping -c 1 192.168.2.12 >/dev/null
show show trace
show clear trace
show trace add device-input 1 filter icmp
ip netns exec "$container1" ping -c 1 203.0.113.1 >/dev/null
show show trace

heading "Isolated ports while everything runs: container 1 still reaches the outside, but not container 2; and back"
show interface set c1 isolated true
show interface set c2 isolated true
on container1 "$container1" ping -c 1 203.0.113.1
on container1 "$container1" ping -c 1 -W 1 192.168.2.12 || true
show show errors
show config rollback
on container1 "$container1" ping -c 1 192.168.2.12

operate
