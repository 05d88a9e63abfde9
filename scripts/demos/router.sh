#!/usr/bin/env bash
# A host at home, Millrace as its router (configs/dual-stack.yaml: IPv4 behind a NAT, IPv6 routed, and the host configures itself),
# the provider's router, and a server on the Internet, each in a network namespace of its own. Real traffic of both families passes,
# the operator's commands show it, and on a terminal the CLI opens. Everything is removed at the end.
. "$(dirname "$0")/common.sh"

heading "A host, its router, the provider and a server on the Internet, in network namespaces"
namespace host router provider server
cable "$router" lan "$host" eth0
cable "$router" wan "$provider" eth0
cable "$provider" eth1 "$server" eth0
# The host's IPv6 is none of our business: the router tells it all.
ip -n "$host" addr add 192.168.1.10/24 dev eth0
ip -n "$host" route add default via 192.168.1.1
ip -n "$provider" addr add 203.0.113.1/24 dev eth0
ip -n "$provider" addr add 198.51.100.1/24 dev eth1
ip -n "$provider" addr add 2001:db8:ffff::1/64 dev eth0 nodad
ip -n "$provider" addr add 2001:db8:200::1/64 dev eth1 nodad
ip -n "$provider" route add 2001:db8:100::/56 via 2001:db8:ffff::2
ip netns exec "$provider" sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip -n "$server" addr add 198.51.100.10/24 dev eth0
ip -n "$server" route add default via 198.51.100.1
ip -n "$server" addr add 2001:db8:200::10/64 dev eth0 nodad
ip -n "$server" route add default via 2001:db8:200::1
cat <<PICTURE
  host               [ millrace ]                   [ provider ]                server
  192.168.1.10 -- 192.168.1.1  203.0.113.2 -- 203.0.113.1  198.51.100.1 -- 198.51.100.10
  by itself -- 2001:db8:100:1::1  2001:db8:ffff::2 -- 2001:db8:ffff::1  2001:db8:200::1 -- 2001:db8:200::10

PICTURE
millrace "$router" configs/dual-stack.yaml

heading "The host has configured itself: an address, a default route, from the router's advertisement"
until_works ip netns exec "$host" ping -c 1 -W 1 2001:db8:200::10
on host "$host" ip -6 -brief address show dev eth0
on host "$host" ip -6 route show default
address=$(ip -n "$host" -6 -o addr show dev eth0 scope global | awk '{sub("/.*", "", $4); print $4; exit}')

heading "The host reaches the server, by both families"
on host "$host" ping -c 3 -i 0.3 198.51.100.10
echo
on host "$host" ping -c 3 -i 0.3 2001:db8:200::10
echo
on host "$host" traceroute -n -q 1 -I 198.51.100.10
echo
on host "$host" traceroute -6 -n -q 1 -I 2001:db8:200::10

heading "A download of 64 MiB each, their checksums on both ends, and who the server thinks it was"
mkdir "$files/www"
head -c 64M /dev/urandom >"$files/www/file"
web_server "$server" httpd
until_works ip netns exec "$host" curl -sf -r 0-0 -o /dev/null http://198.51.100.10/file
for server_address in 198.51.100.10 '[2001:db8:200::10]'; do
    on host "$host" curl -sS -o "$files/copy" -w '%{size_download} bytes, %{speed_download} bytes/s\n' "http://$server_address/file"
    (cd "$files" && sha256sum www/file copy)
    cmp "$files/www/file" "$files/copy"
    tail -n 1 "$files/httpd.log"
    echo
done

heading "The host's own web server, reached from the Internet: by a forwarded port, and by its own address"
web_server "$host" host-httpd
until_works ip netns exec "$server" curl -sf -r 0-0 -o /dev/null http://203.0.113.2:8080/file
for host_address in 203.0.113.2:8080 "[$address]"; do
    on server "$server" curl -sS -o "$files/copy" -w '%{size_download} bytes, %{speed_download} bytes/s\n' "http://$host_address/file"
    cmp "$files/www/file" "$files/copy"
done

heading "TCP as fast as it goes"
ip netns exec "$server" iperf3 -s --forceflush >"$files/iperf3.log" 2>&1 &
jobs+=($!)
until_works grep -q "Server listening" "$files/iperf3.log"
show clear runtime
on host "$host" iperf3 -c 198.51.100.10 -t 3
echo
on host "$host" iperf3 -c 2001:db8:200::10 -t 3

heading "What the operator sees"
show show nat44 sessions
show show nat44 mappings
show show nat44 summary
show show interfaces
show show runtime
show show ip route
show show ipv6 route
show show ipv6 route 2001:db8:200::10
show show neighbors
show show errors

heading "One packet's way through the graph, of either family"
show trace add device-input 1 filter icmp
ip netns exec "$host" ping -c 1 198.51.100.10 >/dev/null
show show trace
show clear trace
show trace add device-input 1 filter icmp6
ip netns exec "$host" ping -c 1 2001:db8:200::10 >/dev/null
show show trace

operate
