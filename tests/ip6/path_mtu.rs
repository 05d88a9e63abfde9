//! Path MTU discovery (RFC 8201): senders hear of narrow links, always.

use harness::frames6::{self, Icmp6, traffic};
use harness::{DualHosts, HttpServer, LAN6, WAN6, Wires, path_mtu};

/// RFC 4443 3.2: the MTU of the next link, from the address that the packet came by.
#[test]
fn too_big_tells_the_mtu() {
    for mtu in [1280, 1400] {
        let net = Wires::dual_with(&Wires::DUAL.replace("device: wan,", &format!("device: wan, mtu: {mtu},")));
        for (size, fits) in [(mtu, true), (mtu + 1, false), (1500, false)] {
            let packet = frames6::udp_packet(LAN6.ip, WAN6.ip, 7, &vec![0x5a; size - 48]);
            let seen = net.pass(&[LAN6.frame(&packet)]);
            assert_eq!(traffic(&seen.wan).len(), usize::from(fits), "{size} bytes");
            let errors = traffic(&seen.lan);
            assert_eq!(errors.len(), usize::from(!fits), "{size} bytes");
            if let Some(frame) = errors.first() {
                let error = Icmp6::error(frame).expect("an error");
                assert_eq!((error.kind, error.code, u32::from_be_bytes(error.word)), (2, 0, mtu as u32));
                assert_eq!((error.ip.source, error.ip.destination), (LAN6.router_ip, LAN6.ip));
                assert_eq!((error.data.len(), &error.data[8..]), (1232, &packet[8..1232]), "the quote");
            }
        }
    }
}

/// RFC 4443 2.4 e.3 with its exception: too big is told about packets to groups, too, but not by us, as nothing to a group
/// is forwarded. And it is never lost in a storm of other errors.
#[test]
fn too_big_is_never_lost_to_limits() {
    let net = Wires::dual_with(&Wires::DUAL.replace("device: wan,", "device: wan, mtu: 1280,"));
    let mut dying = frames6::header(LAN6.ip, WAN6.ip);
    dying.hop_limit = 1;
    let dying = LAN6.frame(&frames6::packet(&dying, &frames6::udp(&dying, 40_000, 7, b"storm")));
    let large = LAN6.frame(&frames6::udp_packet(LAN6.ip, WAN6.ip, 7, &[0x5a; 1400]));
    let mut burst = vec![dying; 4000];
    // Behind the storm, where a bucket shared with the others would be empty.
    for at in [3000, 3300, 3600, 3999] {
        burst[at] = large.clone();
    }
    let seen = traffic(&net.pass(&burst).lan);
    let errors: Vec<_> = seen.iter().filter_map(|frame| Icmp6::error(frame)).collect();
    let of = |kind| errors.iter().filter(|error| error.kind == kind).count();
    assert_eq!(of(2), 4, "packet too big, beside {} of the storm", of(3));
    assert!(of(3) < 3000, "{} errors about the storm", of(3));
}

/// Real programs: UDP that asks for the MTU, TCP, and ping; the narrow link next door.
#[test]
fn hosts_learn() {
    let net = DualHosts::start("");
    net.router.run("interface set wan mtu 1280");
    assert_eq!(path_mtu(&net.lan, "[2001:db8:2::10]:9"), 1280);
    let ping = net.lan.run("ping -n -c 2 -i 0.2 -W 2 -M do -s 1400 2001:db8:2::10");
    assert!(ping.stdout.contains("1280") || ping.stderr.contains("1280"), "{}{}", ping.stdout, ping.stderr);
    net.lan.run("ping -n -c 1 -W 2 -M do -s 1232 2001:db8:2::10").ok();
    net.lan.run("ping -n -c 2 -i 0.2 -W 2 -s 4000 2001:db8:2::10").ok();
    let path = net.lan.run("tracepath -n -m 5 2001:db8:2::10").ok();
    assert!(path.contains("pmtu 1280") && path.contains("reached"), "{path}");
}

/// TCP works through the narrow link, which its sender does not know at first: the client's card takes 1500 bytes.
#[test]
fn tcp_through_a_narrow_link() {
    let net = DualHosts::start("");
    net.router.run("interface set wan mtu 1280");
    HttpServer::start(&net.lan, 4 << 20).fetch(&net.wan);
    let route = net.lan.run("ip -6 route get 2001:db8:2::10").ok();
    assert!(route.contains("mtu 1280"), "{route}");
    // Both families have the same link.
    HttpServer::start(&net.lan.at("192.168.1.10"), 1 << 20).fetch(&net.wan);
}

/// A narrow link behind the router, of which another router tells: its error passes through ours.
#[test]
fn a_narrow_link_far_away() {
    let net = DualHosts::start("routes: [{to: '2001:db8:9::/64', via: '2001:db8:2::10'}]");
    let far = harness::Host::unplugged("far", "2001:db8:9::10/64");
    net.wan.cable("eth1", &far, "eth0");
    net.wan.sysctl("net.ipv6.conf.all.forwarding=1");
    net.wan.ip("addr add 2001:db8:9::1/64 dev eth1 nodad");
    net.wan.ip("link set eth1 mtu 1280");
    far.configure6("2001:db8:9::10/64", "2001:db8:9::1");
    assert_eq!(path_mtu(&net.lan, "[2001:db8:9::10]:9"), 1280);
    HttpServer::start(&net.lan, 2 << 20).fetch(&far);
}
