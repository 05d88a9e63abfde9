use super::super::parse::{Kind, parse};
use super::*;
use crate::testing::sent::{self, Sent, view};
use crate::testing::*;
use etherparse::{Icmpv4Type, IpNumber, Ipv4Header};
use proptest::prelude::*;

/// A router on the way.
const ROUTER: Ip = [198, 51, 100, 7];

/// An error, with its checksum.
fn error(
    from: Ip,
    to: Ip,
    [kind, code]: [u8; 2],
    word: [u8; 4],
    quote: &[u8],
    change: impl FnOnce(&mut Ipv4Header),
) -> Vec<u8> {
    icmp_with(from, to, Icmpv4Type::Unknown { type_u8: kind, code_u8: code, bytes5to8: word }, quote, change)
}

fn plain(from: Ip, to: Ip, quote: &[u8]) -> Vec<u8> {
    error(from, to, [3, 3], [0; 4], quote, |_| {})
}

fn quoted(bytes: &[u8], side: Side) -> Result<Quoted, Malformed> {
    let kind = with_packet(bytes, |packet| parse(packet, side)).0?.kind;
    let Kind::Error(quoted) = kind else { panic!("an error, not {kind:?}") };
    Ok(quoted)
}

/// The error translated, as the nodes do it.
fn translated(bytes: &[u8], side: Side, to: &View, own: bool) -> Vec<u8> {
    let work = |packet: &mut Packet<'_>| {
        let parsed = parse(packet, side).unwrap();
        let Kind::Error(quoted) = parsed.kind else { panic!("an error, not {:?}", parsed.kind) };
        let source = if own { None } else { new_source(side, &parsed, &quoted, to) };
        translate(packet, &parsed, &quoted, to, source);
    };
    with_packet(bytes, work).1
}

/// A flow as both sides see it: inside 192.168.1.10, which is 203.0.113.1 outside, and the peer, which is itself or, with twice-NAT,
/// 192.168.1.254 inside.
fn flow(protocol: u8, twice: bool) -> (View, View) {
    let peer = if twice { [192, 168, 1, 254] } else { PEER };
    match protocol {
        1 => (view(HOST, 77, peer, 0), view(PEER, 0, WAN_IP, 2000)),
        6 | 17 => (view(HOST, 40_000, peer, 80), view(PEER, 80, WAN_IP, 50_001)),
        _ => (view(HOST, 0, peer, 0), view(PEER, 0, WAN_IP, 0)),
    }
}

fn of(protocol: u8, unsummed: bool) -> Sent {
    Sent { protocol, unsummed, icmp: 8, data: vec![0x5a; 67], ..Sent::default() }
}

/// RFC 5508 REQ-4: from outside, about a packet that left. It goes to the inside host, whose packet it quotes.
#[test]
fn from_outside() {
    for (name, sent, len) in [
        ("UDP", of(17, false), 95),
        ("UDP without a checksum", of(17, true), 95),
        ("TCP", of(6, false), 107),
        // RFC 792: 8 bytes are quoted at least.
        ("TCP cut off", of(6, false), 28),
        ("TCP cut off before its checksum", of(6, false), 36),
        ("TCP cut off behind its checksum", of(6, false), 38),
        ("UDP cut off", of(17, false), 28),
        // RFC 5508 REQ-3 b.
        ("options in the quote", Sent { options: vec![0x94, 4, 0, 0, 1, 1, 1, 0], ..of(6, false) }, 115),
        ("options in the quote, cut off", Sent { options: vec![7; 40], ..of(17, false) }, 68),
        // RFC 5508 REQ-6 speaks of these.
        ("ICMP query", of(1, false), 95),
        ("ICMP query cut off", of(1, false), 28),
        ("GRE", of(47, false), 87),
        ("GRE cut off", of(47, false), 28),
        ("DCCP", of(33, false), 95),
        ("a first fragment", Sent { piece: Some((0, 48)), ..of(17, false) }, 68),
    ] {
        let (inside, outside) = flow(sent.protocol, false);
        let (there, here) = (sent.bytes(&outside.swapped()), sent.bytes(&inside));
        for from in [ROUTER, PEER] {
            let before = plain(from, WAN_IP, &there[..len]);
            let quoted = quoted(&before, Side::Outside).unwrap();
            assert_eq!((quoted.view, quoted.protocol.0), (outside, sent.protocol), "{name}: found by the flow's key");
            let after = translated(&before, Side::Outside, &inside, false);
            assert_eq!(after, plain(from, HOST, &here[..len]), "{name}");
        }
    }
}

/// Half of a checksum can't be corrected, and nobody can check it.
#[test]
fn half_a_quoted_checksum_stays() {
    let (inside, outside) = flow(6, false);
    let (there, here) = (of(6, false).bytes(&outside.swapped()), of(6, false).bytes(&inside));
    let before = plain(ROUTER, WAN_IP, &there[..37]);
    let wanted = plain(ROUTER, HOST, &[&here[..36], &there[36..37]].concat());
    assert_eq!(translated(&before, Side::Outside, &inside, false), wanted);
    // What lies behind the packet is not the other half.
    let padded = |packet| [packet, vec![7; 20]].concat();
    assert_eq!(translated(&padded(before), Side::Outside, &inside, false), padded(wanted));
    let (before, wanted) = (plain(ROUTER, WAN_IP, &there[..28]), plain(ROUTER, HOST, &here[..28]));
    assert_eq!(translated(&padded(before), Side::Outside, &inside, false), padded(wanted));
}

/// RFC 5508 REQ-5: from inside, about a packet that came in. Whoever sent it, outside it comes from the external address (REQ-5 c).
#[test]
fn from_inside() {
    for protocol in [1, 6, 17, 47] {
        let sent = Sent { icmp: 0, ..of(protocol, false) };
        let (inside, outside) = flow(protocol, false);
        let (there, here) = (sent.bytes(&outside), sent.bytes(&inside.swapped()));
        for (from, len) in [(HOST, there.len()), ([192, 168, 1, 2], 28)] {
            let before = plain(from, PEER, &here[..len]);
            assert_eq!(quoted(&before, Side::Inside).unwrap().view, inside, "protocol {protocol}");
            let after = translated(&before, Side::Inside, &outside, false);
            assert_eq!(after, plain(WAN_IP, PEER, &there[..len]), "protocol {protocol}");
        }
        // The router's own about the same packet, when it could not be delivered inside, has its own source.
        let before = plain(LAN_IP, PEER, &here[..28]);
        let after = translated(&before, Side::Inside, &outside, true);
        assert_eq!(after, plain(LAN_IP, PEER, &there[..28]), "protocol {protocol}");
    }
}

/// Where both ends are translated, both addresses in the quote are; the remote end's own errors come from what it is called inside.
#[test]
fn twice_nat() {
    let (sent, twice) = (of(6, false), [192, 168, 1, 254]);
    let (inside, outside) = flow(6, true);
    let (there, here) = (sent.bytes(&outside.swapped()), sent.bytes(&inside));
    for (from, from_inside) in [(PEER, twice), (ROUTER, ROUTER)] {
        let after = translated(&plain(from, WAN_IP, &there), Side::Outside, &inside, false);
        assert_eq!(after, plain(from_inside, HOST, &here));
    }
    let (there, here) = (sent.bytes(&outside), sent.bytes(&inside.swapped()));
    let after = translated(&plain(HOST, twice, &here), Side::Inside, &outside, false);
    assert_eq!(after, plain(WAN_IP, PEER, &there));
}

/// RFC 5508 REQ-7: an error about a hairpinned packet turns round like the packet: it is one from inside first, and then one from
/// outside.
#[test]
fn hairpinned() {
    let (sent, other) = (of(17, false), [192, 168, 1, 20]);
    // The host is 203.0.113.1:50001 outside, and the other one is 203.0.113.1:443 there.
    let (of_host, of_other) = (view(HOST, 40_000, WAN_IP, 443), view(other, 80, WAN_IP, 50_001));
    let outside = view(WAN_IP, 50_001, WAN_IP, 443);
    let before = plain(other, WAN_IP, &sent.bytes(&of_other.swapped()));
    assert_eq!(quoted(&before, Side::Inside).unwrap().view, of_other);
    let between = translated(&before, Side::Inside, &outside, false);
    assert_eq!(between, plain(WAN_IP, WAN_IP, &sent.bytes(&outside)));
    assert_eq!(quoted(&between, Side::Outside).unwrap().view, outside.swapped());
    let after = translated(&between, Side::Outside, &of_host, false);
    assert_eq!(after, plain(WAN_IP, HOST, &sent.bytes(&of_host)));
}

/// RFC 5508 REQ-4 b: type and code stay; so does the rest of the header, and what follows the quote.
#[test]
fn types_codes_and_extensions_stay() {
    let (inside, outside) = flow(6, false);
    let sent = of(6, false);
    let (there, here) = (sent.bytes(&outside.swapped()), sent.bytes(&inside));
    for (name, kind, word) in [
        ("time exceeded", [11, 0], [0; 4]),
        ("reassembly time exceeded", [11, 1], [0; 4]),
        // RFC 1191: the MTU.
        ("fragmentation needed", [3, 4], [0, 0, 5, 0x78]),
        ("prohibited", [3, 13], [0; 4]),
        ("parameter problem", [12, 0], [20, 0, 0, 0]),
        ("source quench", [4, 0], [0; 4]),
    ] {
        let options = |h: &mut Ipv4Header| h.options = [1, 1, 1, 0].into();
        let before = error(ROUTER, WAN_IP, kind, word, &there[..40], options);
        let after = translated(&before, Side::Outside, &inside, false);
        assert_eq!(after, error(ROUTER, HOST, kind, word, &here[..40], options), "{name}");
    }
    // RFC 4884: 128 bytes of the packet, 32 words; then MPLS labels (RFC 4950). Of a packet that was quoted to 28 bytes and filled up
    // with zeros, the zeros stay, too: where its checksum would be is none.
    let extension = [0x20, 0, 0xf2, 0x9c, 0, 8, 1, 1, 0x2f, 0x48, 0x41, 1];
    let long = Sent { data: vec![0x5a; 400], ..of(6, false) };
    let filled = |packet: Vec<u8>, len: usize| {
        let mut quote = packet[..len].to_vec();
        quote.resize(128, 0);
        [&quote[..], &extension].concat()
    };
    for len in [28, 128] {
        let before =
            error(ROUTER, WAN_IP, [11, 0], [0, 32, 0, 0], &filled(long.bytes(&outside.swapped()), len), |_| {});
        let after = error(ROUTER, HOST, [11, 0], [0, 32, 0, 0], &filled(long.bytes(&inside), len), |_| {});
        assert_eq!(translated(&before, Side::Outside, &inside, false), after, "{len} bytes of the packet");
    }
}

#[test]
fn what_is_no_good() {
    use Malformed::*;
    let udp = of(17, false).bytes(&flow(17, false).1.swapped());
    let icmp = |kind: u8| Sent { icmp: kind, ..of(1, false) }.bytes(&flow(1, false).1.swapped());
    let change = |at: usize, value: u8| broken(udp.clone(), |p| p[at] = value);
    let later =
        |offset: usize| Sent { piece: Some((offset, 9999)), ..of(17, false) }.bytes(&flow(17, false).1.swapped());
    let mut wrong_sum = udp.clone();
    wrong_sum[10] ^= 1;
    for (name, quote, why) in [
        ("nothing", vec![], Quote),
        ("half of a header", udp[..19].to_vec(), Quote),
        ("7 bytes of UDP", udp[..27].to_vec(), Quote),
        ("7 bytes of ICMP", icmp(8)[..27].to_vec(), Quote),
        ("7 bytes of TCP", of(6, false).bytes(&flow(6, false).1)[..27].to_vec(), Quote),
        ("IPv6", change(0, 0x65), Quote),
        ("a header of 16 bytes", change(0, 0x44), Quote),
        ("more header than quote", change(0, 0x4f)[..32].to_vec(), Quote),
        // RFC 1812 section 4.3.2.7: there is none about such.
        ("a later fragment", later(48), Quote),
        // RFC 5508 REQ-3 a.
        ("wrong header checksum", wrong_sum, QuoteChecksum),
        // RFC 1812 section 4.3.2.7.
        ("an unreachable", icmp(3), ErrorAboutError),
        ("a time exceeded", icmp(11), ErrorAboutError),
        ("a redirect", icmp(5), ErrorAboutError),
        ("a router advertisement", icmp(9), IcmpType),
    ] {
        for side in [Side::Inside, Side::Outside] {
            assert_eq!(quoted(&plain(ROUTER, WAN_IP, &quote), side), Err(why), "{name}");
        }
    }
    // RFC 5508 REQ-3: its own checksum is looked at, also over several buffers.
    for len in [67, 3000] {
        let data = vec![0x5a; len];
        let good = plain(ROUTER, WAN_IP, &Sent { data, ..of(17, false) }.bytes(&flow(17, false).1.swapped()));
        assert!(quoted(&good, Side::Outside).is_ok());
        for at in [21, 30, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_eq!(quoted(&bad, Side::Outside), Err(IcmpChecksum), "byte {at} of {}", good.len());
        }
        // What lies behind the packet, such as padding, isn't part of it.
        let padded = [&good[..], &[1; 7]].concat();
        assert!(quoted(&padded, Side::Outside).is_ok());
        let (inside, _) = flow(17, false);
        let after = translated(&padded, Side::Outside, &inside, false);
        assert_eq!(&after[good.len()..], &[1; 7]);
        assert_eq!(checksum(&after[20..good.len()]), 0);
    }
}

/// RFC 5508 REQ-3 c: the quoted transport checksum isn't looked at. One that is wrong stays as wrong as it was, and one that would
/// become zero doesn't in UDP.
#[test]
fn the_quoted_transport_checksum() {
    let (inside, outside) = flow(17, false);
    let with = |view: &View, sum: [u8; 2]| {
        let mut packet = of(17, false).bytes(view);
        packet[26..28].copy_from_slice(&sum);
        packet
    };
    let after = |sum| translated(&plain(ROUTER, WAN_IP, &with(&outside.swapped(), sum)), Side::Outside, &inside, false);
    let right = of(17, false).bytes(&outside.swapped());
    let sum = u16::from_be_bytes([right[26], right[27]]);
    let delta = Delta::default().u32(0xcb00_7101, 0xc0a8_010a).u16(50_001, 40_000);
    for off in [1, 2, 0x1234, 0xfffe] {
        let wrong = sum.wrapping_add(off).to_be_bytes();
        let wanted = delta.apply(u16::from_be_bytes(wrong)).to_be_bytes();
        assert_eq!(after(wrong), plain(ROUTER, HOST, &with(&inside, wanted)), "wrong by {off}");
    }
    // The one that the change would make zero.
    let zero = (1..=u16::MAX).find(|sum| delta.apply(*sum) == 0).unwrap();
    assert_eq!(after(zero.to_be_bytes()), plain(ROUTER, HOST, &with(&inside, [0xff; 2])));
}

proptest! {
    /// Any packet quoted to any length: the error that comes out is the one about the packet as it was, checksums and all.
    #[test]
    fn any_quote((sent, len, options) in (sent::sent(), 0usize..600, 0usize..11)) {
        let mut sent = sent;
        sent.piece = sent.piece.filter(|(start, _)| *start == 0);
        let (inside, outside) = flow(sent.protocol, false);
        let (there, here) = (sent.bytes(&outside.swapped()), sent.bytes(&inside));
        let len = len.clamp(28 + sent.options.len(), there.len());
        prop_assume!(sent.protocol != 6 || len != 37 + sent.options.len(), "half a checksum");
        let options = |h: &mut Ipv4Header| {
            h.options = etherparse::Ipv4Options::try_from(&[1; 40][..options * 4]).unwrap();
        };
        let error = |to, quote: &[u8]| error(ROUTER, to, [11, 0], [0; 4], quote, options);
        let before = error(WAN_IP, &there[..len]);
        prop_assert_eq!(quoted(&before, Side::Outside).unwrap().view, outside);
        prop_assert!(translated(&before, Side::Outside, &inside, false) == error(HOST, &here[..len]));
        // RFC 5508 REQ-5: the same from inside.
        let (there, here) = (sent.bytes(&outside), sent.bytes(&inside.swapped()));
        let before = icmp_with(HOST, PEER, Icmpv4Type::Unknown { type_u8: 3, code_u8: 1, bytes5to8: [0; 4] }, &here[..len], |_| {});
        let after = icmp_with(WAN_IP, PEER, Icmpv4Type::Unknown { type_u8: 3, code_u8: 1, bytes5to8: [0; 4] }, &there[..len], |_| {});
        prop_assert!(translated(&before, Side::Inside, &outside, false) == after);
    }

    /// Whatever is quoted: no panic, and an error that was intact stays so.
    #[test]
    fn any_bytes(mut quote in prop::collection::vec(any::<u8>(), 0..160), protocol in 0usize..6, kind in 0usize..4, word: [u8; 4], outside: bool, to: [u8; 12]) {
        if quote.len() >= 20 {
            quote[0] = 0x45 + quote[0] % 12;
            quote[6..8].fill(0);
            quote[9] = [1, 6, 17, 33, 47, 136][protocol];
            fix_checksum(&mut quote);
        }
        let bytes = error(ROUTER, WAN_IP, [[3, 4, 11, 12][kind], 0], word, &quote, |_| {});
        let side = if outside { Side::Outside } else { Side::Inside };
        if quoted(&bytes, side).is_ok() {
            let after = translated(&bytes, side, &View::from_bytes(to), false);
            let (ip, message) = parsed(&after);
            prop_assert_eq!((ip.protocol, after.len()), (IpNumber::ICMP, bytes.len()));
            prop_assert_eq!(checksum(message), 0);
            // RFC 4884: what follows the quote stays.
            let end = if word[1] > 0 && kind != 1 { 128.max(usize::from(word[1]) * 4) } else { quote.len() };
            prop_assert_eq!(message.get(8 + end..), Some(&quote[..]).and_then(|quote| quote.get(end..)));
            // The quoted header's checksum is right again.
            let header = usize::from(message[8] & 15) * 4;
            prop_assert_eq!(checksum(&message[8..8 + header]), 0);
        }
    }
}
