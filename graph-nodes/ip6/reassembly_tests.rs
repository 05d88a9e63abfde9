use super::*;
use crate::ip::reassembly::{IN_ALL, IpReassembly, PER_DATAGRAM};
use crate::marks;
use crate::testing::*;
use etherparse::{IpNumber, Ipv6Header};
use millrace_engine::testing::{Bench, Outcome};
use proptest::prelude::*;

/// What follows the fragment header in most tests: nothing that needs a header of its own.
const EXPERIMENT: u8 = 253;
const UDP: u8 = 17;

fn bench() -> Bench<IpReassembly<V6>> {
    Bench::new(IpReassembly::default())
}

/// A fragment header.
fn piece_header(next: u8, id: u32, start: usize, more: bool) -> Vec<u8> {
    let offset = start as u16 | u16::from(more);
    [&[next, 0][..], &offset.to_be_bytes(), &id.to_be_bytes()].concat()
}

/// A fragment with some bytes of data from an offset on; the data is numbered through the datagram.
fn piece(id: u32, start: usize, bytes: usize, more: bool) -> Vec<u8> {
    piece_of(EXPERIMENT, id, start, &data(start, start + bytes), more)
}

fn piece_of(next: u8, id: u32, start: usize, data: &[u8], more: bool) -> Vec<u8> {
    packet6(&header6(HOST6, LAN_IP6, IpNumber(44)), &[&piece_header(next, id, start, more)[..], data].concat())
}

fn data(start: usize, end: usize) -> Vec<u8> {
    (start..end).map(|at| (at % 251) as u8).collect()
}

fn run(bench: &mut Bench<IpReassembly<V6>>, pieces: &[Vec<u8>]) -> Outcome {
    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    bench.run(&pieces, |meta| (meta.rx_interface, meta.table) = (LAN, 0))
}

/// RFC 8200 section 4.5: the fragment header goes, and the header before it names what came behind it in the first one.
#[test]
fn a_datagram_is_put_together_in_any_order() {
    let three = [piece(7, 0, 1440, true), piece(7, 1440, 1440, true), piece_of(6, 7, 2880, &data(2880, 2921), false)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut bench = bench();
        let outcome = run(&mut bench, &order.map(|at| three[at].clone()));
        assert_eq!(outcome.counts, [("datagrams put together", 1), ("fragments joined to a datagram", 2)], "{order:?}");
        let [whole] = &outcome.sent[..] else { panic!("{order:?}: {} packets", outcome.sent.len()) };
        let wanted = packet6(&header6(HOST6, LAN_IP6, IpNumber(EXPERIMENT)), &data(0, 2921));
        assert_eq!((whole.next, whole.rx_interface), ("ip6-local", LAN), "{order:?}");
        assert_eq!(whole.marks, marks::REASSEMBLED, "{order:?}");
        assert!(whole.data == wanted, "{order:?}");
        assert_eq!((bench.held(), bench.wants_tick()), (0, false));
    }
}

/// RFC 8200 section 4.5: source, destination and identification; the next header may differ.
#[test]
fn fragments_of_others_stay_apart() {
    let mut bench = bench();
    let other = |from: &str, to: &str, id: u32| {
        packet6(&header6(from, to, IpNumber(44)), &[&piece_header(UDP, id, 80, false)[..], &data(80, 90)].concat())
    };
    let others = [other(HOST6, LAN_IP6, 8), other(PEER6, LAN_IP6, 7), other(HOST6, WAN_IP6, 7)];
    assert!(run(&mut bench, &[&[piece(7, 0, 80, true)][..], &others].concat()).sent.is_empty());
    assert!(bench.run(&[&other(HOST6, LAN_IP6, 7)], |meta| meta.table = 7).sent.is_empty(), "in another VRF");
    assert_eq!(bench.held(), 5);
    assert_eq!(run(&mut bench, &[other(HOST6, LAN_IP6, 7)]).sent.len(), 1);
    assert_eq!(bench.held(), 4);
}

/// RFC 6946: one that is the first and the last has nothing to do with others of its identification.
#[test]
fn atomic_fragments() {
    let mut bench = bench();
    run(&mut bench, &[piece(7, 0, 80, true)]);
    for (name, data) in [("some data", data(0, 100)), ("no data", vec![]), ("long", data(0, 6000))] {
        let outcome = run(&mut bench, &[piece_of(EXPERIMENT, 7, 0, &data, false)]);
        assert_eq!(fate(&outcome), ("ip6-local", &[("datagrams put together", 1)][..]), "{name}");
        let wanted = packet6(&header6(HOST6, LAN_IP6, IpNumber(EXPERIMENT)), &data);
        assert!(bytes(&outcome) == wanted, "{name}");
        assert_eq!(outcome.packets[0].marks, marks::REASSEMBLED, "{name}");
        assert_eq!(bench.held(), 1, "{name}: the other one still waits");
    }
}

/// Headers before the fragment header stay; those behind it are data.
#[test]
fn extension_headers() {
    let hops = [44, 0, 1, 4, 0, 0, 0, 0];
    let options = [UDP, 0, 1, 4, 0, 0, 0, 0];
    let datagram = &udp6_with(HOST6, LAN_IP6, 100, |_| {})[40..];
    let body = [&options[..], datagram].concat();
    let cut = |start: usize, end: usize| {
        let header = piece_header(60, 5, start, end < body.len());
        packet6(&header6(HOST6, LAN_IP6, IpNumber(0)), &[&hops[..], &header, &body[start..end]].concat())
    };
    let outcome = run(&mut bench(), &[cut(64, body.len()), cut(0, 64)]);
    let mut hops_then = hops;
    hops_then[0] = 60;
    let wanted = packet6(&header6(HOST6, LAN_IP6, IpNumber(0)), &[&hops_then[..], &body].concat());
    assert_eq!(outcome.sent.len(), 1);
    assert_eq!(outcome.sent[0].data, wanted);
}

/// RFC 8200 section 4.5, and what the sender hears.
#[test]
fn what_can_not_be() {
    let problem = |code, pointer| Some(Reason::ParameterProblem { code, pointer });
    let uneven = "fragment before the last is no multiple of 8 bytes long";
    let far = "fragment reaches beyond 65535 bytes";
    let headless = "first fragment does not have all headers";
    let hops = [44, 0, 1, 4, 0, 0, 0, 0];
    let behind_hops = |header: Vec<u8>, data: &[u8]| {
        packet6(&header6(HOST6, LAN_IP6, IpNumber(0)), &[&hops[..], &header, data].concat())
    };
    for (name, packet, reason, count) in [
        // "... the length of a fragment ... is not a multiple of 8 octets and the M flag of that fragment is 1": payload length.
        ("a middle of 9 bytes", piece(1, 8, 9, true), problem(0, 4), uneven),
        ("a first of 9 bytes", piece(1, 0, 9, true), problem(0, 4), uneven),
        // "... the Payload Length of the packet reassembled from that fragment would exceed 65,535 octets": fragment offset.
        ("beyond the largest packet", piece(1, 65_528, 8, false), problem(0, 42), far),
        ("by one byte", piece(1, 65_512, 24, false), problem(0, 42), far),
        ("with its headers", behind_hops(piece_header(EXPERIMENT, 1, 65_520, false), &[0; 8]), problem(0, 50), far),
        // RFC 7112 section 5: all headers belong into the first one.
        ("half a TCP header", piece_of(6, 1, 0, &[0; 16], true), problem(3, 0), headless),
        ("options that go on", piece_of(60, 1, 0, &[UDP, 1, 1, 4, 0, 0, 0, 0], true), problem(3, 0), headless),
        ("options only", piece_of(60, 1, 0, &[UDP, 0, 1, 4, 0, 0, 0, 0], true), problem(3, 0), headless),
        ("atomic, half a UDP header", piece_of(UDP, 1, 0, &[0; 7], false), problem(3, 0), headless),
        ("no data", piece(1, 8, 0, false), None, "fragment without data"),
        ("less than it says", piece(1, 0, 80, true)[..60].to_vec(), None, "no IP fragment"),
        ("no fragment", udp6(HOST6, LAN_IP6), None, "no IP fragment"),
        ("less than a header", vec![0x60; 39], None, "no IP fragment"),
        (
            "half a fragment header",
            packet6(&header6(HOST6, LAN_IP6, IpNumber(44)), &[6, 0, 0, 1]),
            None,
            "no IP fragment",
        ),
    ] {
        let mut bench = bench();
        let outcome = run(&mut bench, std::slice::from_ref(&packet));
        let next = if reason.is_some() { "icmp6-error" } else { "drop" };
        assert_eq!(fate(&outcome), (next, &[(count, 1)][..]), "{name}");
        assert_eq!(bytes(&outcome), packet, "{name}: unchanged");
        if reason.is_some() {
            assert_eq!(Reason::of(&outcome.packets[0]), reason, "{name}");
        }
        assert_eq!(bench.held(), 0, "{name}");
    }
    let fits = run(&mut bench(), &[behind_hops(piece_header(EXPERIMENT, 1, 65_512, false), &[0; 15])]);
    assert_eq!(fits.packets[0].next, "held", "65,535 bytes of payload are not too many");
}

/// RFC 5722, RFC 8200 section 4.5: nothing of a datagram with overlaps is used, and nobody hears of it.
#[test]
fn overlaps() {
    for (name, pieces, counts) in [
        ("before", vec![piece(1, 0, 80, true), piece(1, 72, 8, true)], vec![("fragments overlap", 2)]),
        ("behind", vec![piece(1, 72, 8, true), piece(1, 0, 80, true)], vec![("fragments overlap", 2)]),
        ("another length", vec![piece(1, 0, 80, true), piece(1, 0, 88, true)], vec![("fragments overlap", 2)]),
        ("behind the last", vec![piece(1, 80, 8, false), piece(1, 88, 8, true)], vec![("fragments overlap", 2)]),
        ("a last before others", vec![piece(1, 88, 8, true), piece(1, 80, 8, false)], vec![("fragments overlap", 2)]),
        ("two ends", vec![piece(1, 80, 8, false), piece(1, 160, 8, false)], vec![("fragments overlap", 2)]),
        // "... an exact duplicate ... may be dropped" alone.
        ("twice the same", vec![piece(1, 0, 80, true), piece(1, 0, 80, true)], vec![("duplicate fragment", 1)]),
    ] {
        let mut bench = bench();
        let outcome = run(&mut bench, &pieces);
        assert_eq!(outcome.counts, counts, "{name}");
        assert!(outcome.sent.iter().all(|out| out.next == "drop"), "{name}: no error");
        assert_eq!(bench.held(), usize::from(name == "twice the same"), "{name}");
    }
}

/// RFC 8200 section 4.5: 60 seconds, and time exceeded, code 1, if the first fragment is there.
#[test]
fn a_minute() {
    let mut bench = bench();
    run(&mut bench, &[piece(1, 0, 80, true), piece(1, 160, 8, false), piece(2, 80, 8, true)]);
    bench.now = 60_000_000_000 - 1;
    assert_eq!(bench.tick(), Outcome::default());
    bench.now = 60_000_000_000;
    let outcome = bench.tick();
    assert_eq!(outcome.counts, [("rest of the datagram did not come", 3)]);
    let mut nexts: Vec<_> = outcome.sent.iter().map(|out| out.next).collect();
    nexts.sort_unstable();
    assert_eq!(nexts, ["drop", "drop", "icmp6-error"]);
    let error = outcome.sent.iter().find(|out| out.next == "icmp6-error").unwrap();
    assert_eq!((Reason::of(error), &error.data), (Some(Reason::ReassemblyTimeExceeded), &piece(1, 0, 80, true)));
    assert_eq!((bench.held(), bench.wants_tick()), (0, false));
}

#[test]
fn what_waits_is_bounded() {
    let mut bench = bench();
    let many: Vec<_> = (0..=PER_DATAGRAM).map(|at| piece(1, at * 16, 8, true)).collect();
    let outcome = run(&mut bench, &many);
    assert_eq!(outcome.counts, [("datagram in too many fragments", PER_DATAGRAM as u64 + 1)]);
    for id in 0..(IN_ALL / 128) as u32 {
        run(&mut bench, &(0..128).map(|at| piece(100 + id, at * 16, 8, true)).collect::<Vec<_>>());
    }
    assert_eq!(bench.held(), IN_ALL);
    let outcome = run(&mut bench, &[piece(9, 0, 8, true)]);
    assert_eq!(fate(&outcome), ("drop", &[("too many fragments wait in all", 1)][..]));
    let (_, text) = self::bench().traced(&piece(9, 16, 8, true), |_| {});
    assert_eq!(text, "from 2001:db8:1::10 id 9 bytes 16..24");
}

proptest! {
    /// Any datagram cut anywhere and shuffled is what it was.
    #[test]
    fn whatever_the_cuts(length in 17usize..20_000, cuts in prop::collection::btree_set(1usize..2500, 1..20), seed: u64) {
        let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut * 8).filter(|cut| *cut < length).collect();
        ends.push(length);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let mut pieces: Vec<Vec<u8>> =
            starts.zip(&ends).map(|(start, end)| piece(7, start, end - start, *end < length)).collect();
        prop_assume!(pieces.len() > 1);
        let mut state = seed | 1;
        for at in (1..pieces.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            pieces.swap(at, (state >> 33) as usize % (at + 1));
        }
        let outcome = run(&mut bench(), &pieces);
        prop_assert_eq!(outcome.sent.len(), 1);
        let wanted = packet6(&header6(HOST6, LAN_IP6, IpNumber(EXPERIMENT)), &data(0, length));
        prop_assert!(outcome.sent[0].data == wanted);
    }

    /// Any bytes, also with a header that looks right: nothing is lost, nothing panics, and what comes out is an IPv6 packet.
    #[test]
    fn any_bytes(packets in prop::collection::vec((prop::sample::select(vec![0u8, 43, 44, 60]), prop::collection::vec(any::<u8>(), 0..120), any::<bool>()), 1..20)) {
        let mut bench = bench();
        for (next, body, honest) in packets {
            let mut body = body;
            if honest && body.len() >= 8 {
                // Small numbers, so that fragments meet.
                (body[1], body[2], body[3]) = (0, 0, body[3] & 0x3f);
                body[4..8].fill(1);
            }
            let packet = packet6(&header6(HOST6, LAN_IP6, IpNumber(next)), &body);
            let outcome = run(&mut bench, &[packet]);
            for out in outcome.packets.iter().chain(&outcome.sent).filter(|out| out.next == "ip6-local") {
                let (header, _): (Ipv6Header, _) = parsed6(&out.data);
                prop_assert_eq!(header.source, ip6(HOST6).octets());
            }
        }
        bench.now = V6::PATIENCE;
        bench.tick();
        prop_assert_eq!(bench.held(), 0);
    }
}
