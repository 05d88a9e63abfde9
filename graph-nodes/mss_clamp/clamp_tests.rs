use super::*;
use crate::forwarding::Interface;
use crate::ip::{V4, V6};
use crate::mss_clamp::Limit;
use crate::testing::*;
use crate::{ip, ip4, ip6};
use etherparse::{IpNumber, TcpHeader};
use millrace_engine::testing::{Bench, Outcome};
use millrace_engine::{ArcPoint, Feature};

/// The MSS option with this value.
fn mss(value: u16) -> Vec<u8> {
    [[2, 4], value.to_be_bytes()].concat()
}

fn syn(value: u16) -> Vec<u8> {
    tcp(HOST, PEER, b"", |t| {
        t.syn = true;
        t.set_options_raw(&mss(value)).unwrap();
    })
}

/// A SYN over IPv6 behind these extension headers, the first of which is `first`.
fn syn6(value: u16, first: IpNumber, extensions: &[u8]) -> Vec<u8> {
    let mut tcp = TcpHeader::new(40_000, 80, 1000, 500);
    tcp.syn = true;
    tcp.set_options_raw(&mss(value)).unwrap();
    let plain = header6(HOST6, PEER6, IpNumber::TCP);
    tcp.checksum = tcp.calc_checksum_ipv6(&plain, &[]).unwrap();
    packet6(&header6(HOST6, PEER6, first), &[extensions, &tcp.to_bytes()[..]].concat())
}

fn world(limit: Limit, mtu: u16) -> World {
    let mut world = World::new();
    world.interface(LAN, Interface { mtu: 1500, ..Interface::default() });
    world.interface(WAN, Interface { mtu, mss_clamp: limit, ..Interface::default() });
    world
}

fn run<F: Clamped, const OUT: bool>(world: &World, arc: &ArcPoint, packet: &[u8]) -> Outcome {
    let mut bench = Bench::new(MssClamp::<F, OUT>::new(world.forwarding.clone()));
    let feature = if OUT { F::OUT } else { F::IN };
    bench.arc(arc, &[Feature { after: &[], before: &[], ..feature }], &[]);
    let (rx, tx) = if OUT { (LAN, WAN) } else { (WAN, 0) };
    bench.run(&[packet], |meta| (meta.rx_interface, meta.tx_interface) = (rx, tx))
}

/// What becomes of a packet on the way in, and on the way out: the same.
#[track_caller]
fn both<F: Clamped>(world: &World, packet: &[u8], name: &str) -> (Vec<u8>, bool) {
    let (arc_in, arc_out, end, rewrite) = match F::HEADERS {
        40 => (&ip4::input::ARC, &ip::lookup::ARC4, "ip4-lookup", "ip4-rewrite"),
        _ => (&ip6::input::ARC, &ip::lookup::ARC6, "ip6-lookup", "ip6-rewrite"),
    };
    let (on_in, on_out) = (run::<F, false>(world, arc_in, packet), run::<F, true>(world, arc_out, packet));
    assert_eq!((on_in.packets[0].next, on_out.packets[0].next), (end, rewrite), "{name}");
    assert_eq!((bytes(&on_in), &on_in.counts), (bytes(&on_out), &on_out.counts), "{name}");
    assert_eq!(on_in.counts.len(), usize::from(bytes(&on_in) != packet), "{name}: counted");
    (bytes(&on_in).to_vec(), !on_in.counts.is_empty())
}

/// RFC 9293 section 3.7.1, with the limit of an interface.
#[test]
fn by_the_interfaces_limit() {
    for (name, limit, mtu, before, after) in [
        ("off", Limit::Off, 1500, 1460, 1460),
        ("auto, fits", Limit::Auto, 1500, 1460, 1460),
        ("auto, one byte too many", Limit::Auto, 1499, 1460, 1459),
        ("auto, PPPoE", Limit::Auto, 1492, 8960, 1452),
        ("auto, the least MTU", Limit::Auto, 68, 1460, 28),
        ("a number", Limit::Max(1200), 1500, 1460, 1200),
        ("a number above the MTU", Limit::Max(9000), 1500, 1460, 1460),
    ] {
        let (packet, changed) = both::<V4>(&world(limit, mtu), &syn(before), name);
        assert_eq!((packet, changed), (syn(after), before != after), "{name}");
    }
    let (packet, _) = both::<V6>(&world(Limit::Auto, 1492), &syn6(8940, IpNumber::TCP, &[]), "IPv6");
    assert_eq!(packet, syn6(1432, IpNumber::TCP, &[]), "20 bytes more of header");
}

#[test]
fn what_is_left_alone() {
    let world = world(Limit::Max(536), 1500);
    let with = |flags: fn(&mut TcpHeader), options: &[u8]| {
        tcp(HOST, PEER, b"data", |t| {
            flags(t);
            t.set_options_raw(options).unwrap();
        })
    };
    for (name, packet) in [
        ("no SYN", with(|t| t.ack = true, &mss(1460))),
        ("no option", with(|t| t.syn = true, &[])),
        ("UDP", udp(HOST, PEER)),
        ("a first fragment", broken(syn(1460), |p| p[6] = 0x20)),
        ("a later fragment", broken(syn(1460), |p| p[7] = 1)),
        ("a header alone", broken(syn(1460)[..20].to_vec(), |p| p[3] = 20)),
        ("nothing", Vec::new()),
    ] {
        assert_eq!(both::<V4>(&world, &packet, name), (packet, false), "{name}");
    }
}

/// RFC 8200 section 4.
#[test]
fn behind_extension_headers() {
    let world = world(Limit::Max(536), 1500);
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let fragment = |offset: u8, more: u8| [6, 0, 0, offset << 3 | more, 0, 0, 0, 9];
    let two = [options(60), options(6)].concat();
    for (name, first, extensions, lowered) in [
        ("hop-by-hop options", IpNumber::IPV6_HEADER_HOP_BY_HOP, options(6).to_vec(), true),
        ("two kinds of options", IpNumber::IPV6_HEADER_HOP_BY_HOP, two, true),
        ("a fragment that is all", IpNumber::IPV6_FRAGMENTATION_HEADER, fragment(0, 0).to_vec(), true),
        ("a first fragment", IpNumber::IPV6_FRAGMENTATION_HEADER, fragment(0, 1).to_vec(), false),
        ("a later fragment", IpNumber::IPV6_FRAGMENTATION_HEADER, fragment(1, 0).to_vec(), false),
        ("encrypted", IpNumber::ENCAPSULATING_SECURITY_PAYLOAD, vec![0; 8], false),
        ("a chain that is cut off", IpNumber::IPV6_HEADER_HOP_BY_HOP, vec![6, 200, 1, 4, 0, 0, 0, 0], false),
    ] {
        let packet = syn6(1440, first, &extensions);
        let wanted = if lowered { syn6(536, first, &extensions) } else { packet.clone() };
        assert_eq!(both::<V6>(&world, &packet, name), (wanted, lowered), "{name}");
    }
}

#[test]
fn trace() {
    let mut bench = Bench::new(MssClamp::<V4, true>::new(world(Limit::Max(1200), 1500).forwarding));
    bench.arc(&ip::lookup::ARC4, &[Feature { before: &[], ..V4::OUT }], &[]);
    for (packet, text) in [(syn(1460), "limit 1200, lowered"), (syn(1000), "limit 1200"), (udp(HOST, PEER), "")] {
        assert_eq!(bench.traced(&packet, |meta| meta.tx_interface = WAN).1, text);
    }
}
