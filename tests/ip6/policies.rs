//! What is decided beside the routes, for both families: reverse paths (RFC 3704), routes by source and interface, segment sizes.

use etherparse::IpNumber;
use harness::frames6::{self, ip6, traffic};
use harness::l4::{self, Packet, Segment};
use harness::{LAN, LAN6, WAN6, Wires, eventually, frames};

/// The configuration with more settings of the interface `lan`.
fn config(settings: &str, more: &str) -> String {
    format!("{}{more}", Wires::DUAL.replace("device: lan,", &format!("device: lan, {settings},")))
}

/// Whether a packet from this source passes from the lan to the wan.
fn passes(net: &Wires, from: &str) -> bool {
    let frame = match from.parse().expect("an address") {
        std::net::IpAddr::V4(from) => LAN.frame(&frames::udp_packet(from.octets(), [203, 0, 113, 10], 7, b"whence?")),
        std::net::IpAddr::V6(from) => LAN6.frame(&frames6::udp_packet(from.octets(), WAN6.ip, 7, b"whence?")),
    };
    net.pass(&[frame]).wan.iter().any(|frame| frame.ends_with(b"whence?"))
}

const ROUTES: &str = "
routes:
  - {to: 10.1.0.0/16, via: 192.168.1.10}
  - {to: 10.2.0.0/16, via: 203.0.113.10}
  - {to: 10.3.0.0/16, type: blackhole}
  - {to: '2001:db8:a1::/48', via: '2001:db8:1::10'}
  - {to: '2001:db8:a2::/48', via: '2001:db8:2::10'}
  - {to: '2001:db8:a3::/48', type: blackhole}
";

/// RFC 3704 2.2, 2.4: strict wants the source to be reached by the interface that the packet came by; loose, to be reached.
#[test]
fn reverse_paths() {
    let sources = [
        ("192.168.1.77", true, true),
        ("10.1.2.3", true, true),
        ("10.2.2.3", false, true),
        ("10.3.2.3", false, false),
        ("10.9.2.3", false, false),
        ("2001:db8:1::77", true, true),
        ("2001:db8:a1::3", true, true),
        ("2001:db8:a2::3", false, true),
        ("2001:db8:a3::3", false, false),
        ("2001:db8:a9::3", false, false),
    ];
    for mode in ["strict", "loose"] {
        let net = Wires::dual_with(&config(&format!("urpf: {mode}"), ROUTES));
        for (source, strict, loose) in sources {
            let before = net.router.drops();
            let passed = passes(&net, source);
            assert_eq!(passed, if mode == "strict" { strict } else { loose }, "{mode}: {source}");
            assert_eq!(net.router.drops() > before, !passed, "{mode}: {source}: the drop is counted");
        }
        // Neighbours are found all the same, by link-local addresses and from nobody.
        let local = frames6::link_local(LAN6.mac);
        net.lan.send(&harness::nd::Nd::solicitation((LAN6.mac, local), LAN6.router_ip).frame());
        net.lan.expect("an answer", |frame| harness::nd::Nd::of_kind(harness::nd::NA, frame));
        net.router.run("interface set lan urpf off");
        assert!(passes(&net, "2001:db8:a9::3") && passes(&net, "10.9.2.3"), "off");
    }
}

/// The first rule that matches says in which table a packet is looked up.
#[test]
fn routes_by_source() {
    let net = Wires::dual_with(&format!(
        "{}vrfs: {{blue: {{}}}}
routes:
  - {{to: '2001:db8:77::/48', via: '2001:db8:2::10'}}
  - {{to: '2001:db8:77::/48', vrf: blue, type: prohibit}}
  - {{to: 10.77.0.0/16, via: 203.0.113.10}}
  - {{to: 10.77.0.0/16, vrf: blue, type: prohibit}}
policy-routes:
  - {{source: '2001:db8:1::66/128', interface: wan, vrf: blue}}
  - {{source: '2001:db8:1::77/128', vrf: blue}}
  - {{source: 192.168.1.77/32, interface: lan, vrf: blue}}
",
        Wires::DUAL
    ));
    let six = |from: &str| LAN6.frame(&frames6::udp_packet(ip6(from), ip6("2001:db8:77::1"), 7, b"by source"));
    for (from, goes) in [("2001:db8:1::66", true), ("2001:db8:1::77", false), ("2001:db8:1::10", true)] {
        assert_eq!(traffic(&net.pass(&[six(from)]).wan).len(), usize::from(goes), "{from}");
    }
    let four = |last| LAN.frame(&frames::udp_packet([192, 168, 1, last], [10, 77, 0, 1], 7, b"by source"));
    for (last, goes) in [(77, false), (10, true)] {
        let seen = net.pass(&[four(last)]).without_arp();
        assert_eq!(seen.wan.iter().filter(|frame| frame.ends_with(b"by source")).count(), usize::from(goes), "{last}");
    }
    // What is for the router itself stays with it.
    let ping = LAN6.frame(&frames6::echo_request(ip6("2001:db8:1::77"), LAN6.router_ip, 1, 1, b"?"));
    net.lan.send(&ping);
    let asked = |frame: &[u8]| {
        let asked = harness::nd::Nd::of_kind(harness::nd::NS, frame)?;
        (asked.target() == ip6("2001:db8:1::77")).then_some(())
    };
    net.lan.expect("a question for who pinged", asked);
}

/// The option of a SYN comes down to what fits, with its checksum right; smaller ones and other segments stay.
#[test]
fn segment_sizes() {
    let net = Wires::dual_with(&config("mss-clamp: 1200", ""));
    let syn = |flags, mss: u16| {
        let options = l4::mss(mss);
        let segment = Segment { options: &options, ..l4::segment(flags, 1, 0) };
        let four = l4::tcp("192.168.1.10:5000", "203.0.113.10:80", &segment);
        let mut header = frames6::header(LAN6.ip, WAN6.ip);
        header.next_header = IpNumber::TCP;
        let mut tcp = four[20..].to_vec();
        tcp[16..18].fill(0);
        let sum = frames6::checksum(&header, 6, &tcp).to_be_bytes();
        tcp[16..18].copy_from_slice(&sum);
        [LAN.frame(&four), LAN6.frame(&frames6::packet(&header, &tcp))]
    };
    for (flags, asked, wanted) in
        [("S", 1460, 1200), ("SA", 1201, 1200), ("S", 1200, 1200), ("S", 536, 536), ("A", 1460, 1460)]
    {
        let seen = net.pass(&syn(flags, asked)).without_arp().wan;
        let four = seen.iter().find_map(|frame| Packet::of(frame)).expect("IPv4");
        assert_eq!(four.body[20..24], l4::mss(wanted), "IPv4 {flags} {asked}");
        let (header, body) = traffic(&seen)
            .first()
            .and_then(|frame| frames6::ip6_of(frame).map(|(header, body)| (header, body.to_vec())))
            .expect("IPv6");
        assert_eq!(frames6::checksum(&header, 6, &body), 0, "IPv6 {flags} {asked}: the checksum");
        assert_eq!(body[20..24], l4::mss(wanted), "IPv6 {flags} {asked}");
    }
    // By itself, from the MTU: 40 and 20 bytes are headers.
    net.router.run("interface set lan mtu 1400");
    net.router.run("interface set lan mss-clamp auto");
    eventually("the link's own size", || {
        let seen = net.pass(&syn("S", 1460)).without_arp().wan;
        let four = seen.iter().find_map(|frame| Packet::of(frame))?;
        let six = traffic(&seen).pop()?;
        (four.body[20..24] == l4::mss(1360) && six[74..78] == l4::mss(1340)).then_some(())
    });
}
