use core::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;

/// An IPv6 packet of a chain of headers: each its kind and what follows the byte that names the next.
fn packet(chain: &[(u8, &[u8])], last: u8, upper: &[u8]) -> Vec<u8> {
    let kinds: Vec<u8> = chain.iter().map(|(kind, _)| *kind).chain([last]).collect();
    let headers = chain.iter().zip(&kinds[1..]).flat_map(|((_, rest), next)| [&[*next], *rest].concat());
    let body: Vec<u8> = headers.chain(upper.iter().copied()).collect();
    let ip = Ipv6::new(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, IpProtocol(kinds[0]), 64, body.len() as u16);
    [ip.as_bytes(), &body].concat()
}

/// Kind, offset and length of each header, and where the walk ended: protocol, offset, pointer.
type Walked = (Vec<(u8, usize, usize)>, (u8, usize, usize));

fn walked(packet: &[u8]) -> Result<Walked, BadChain> {
    let mut headers = Ipv6Extensions::of(packet);
    let mut seen = Vec::new();
    for header in headers.by_ref() {
        let header = header?;
        seen.push((header.kind.0, header.offset, header.bytes.len()));
    }
    Ok((seen, (headers.protocol().0, headers.offset(), headers.pointer())))
}

const HOPS: (u8, &[u8]) = (0, &[0, 1, 4, 0, 0, 0, 0]);
const LONG: (u8, &[u8]) = (60, &[1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
const ROUTING: (u8, &[u8]) = (43, &[0, 0, 3, 0, 0, 0, 0]);
/// Its second byte is reserved: no length.
const PIECE: (u8, &[u8]) = (44, &[9, 0, 1, 0, 0, 0, 7]);

/// RFC 8200 section 4: each names the next, and says how long it is in units of 8 bytes, the first not counted.
#[test]
fn the_chain() {
    let all = packet(&[HOPS, LONG, ROUTING, PIECE], 17, &[1, 2, 3]);
    let headers = vec![(0, 40, 8), (60, 48, 16), (43, 64, 8), (44, 72, 8)];
    assert_eq!(walked(&all), Ok((headers, (17, 80, 72))));
    assert_eq!(walked(&packet(&[], 6, &[])), Ok((vec![], (6, 40, 6))), "the next header field of the IPv6 header");
    assert_eq!(walked(&packet(&[HOPS], 59, &[])), Ok((vec![(0, 40, 8)], (59, 48, 40))));
    // Authentication and encryption hide what follows.
    for hides in [50, 51] {
        assert_eq!(walked(&packet(&[HOPS], hides, &[0; 16])).unwrap().1, (hides, 48, 40));
    }
    let routing = Ipv6Extensions::of(&all).map(Result::unwrap).find(|h| h.kind == IpProtocol::ROUTING).unwrap();
    assert_eq!((routing.segments_left(), routing.fragment()), (3, None));
}

#[test]
fn a_chain_that_lies() {
    let long = packet(&[LONG], 17, &[]);
    assert_eq!(walked(&long[..55]), Err(BadChain::CutOff));
    assert_eq!(walked(&packet(&[], 60, &[17])), Err(BadChain::CutOff));
    assert_eq!(walked(&packet(&[(60, &[255; 7])], 17, &[0; 2039])), Err(BadChain::CutOff));
    assert!(walked(&packet(&[(60, &[255; 7])], 17, &[0; 2040])).is_ok());
    assert_eq!(walked(&packet(&[HOPS; Ipv6Extensions::MAX + 1], 17, &[])), Err(BadChain::TooMany));
    assert!(walked(&packet(&[HOPS; Ipv6Extensions::MAX], 17, &[])).is_ok());
    let mut over = Ipv6Extensions::of(&long[..55]);
    assert!(over.next().is_some_and(|header| header.is_err()));
    assert_eq!(over.next(), None, "an error is the end");
    assert_eq!(walked(&long[..39]).unwrap().0, [], "no IPv6 header, no others");
}

#[test]
fn what_it_carries() {
    assert_eq!(upper_layer(&packet(&[], 58, &[1])), Some((IpProtocol::ICMP6, 40)));
    assert_eq!(upper_layer(&packet(&[HOPS, PIECE], 17, &[1])), Some((IpProtocol::UDP, 56)));
    // Behind a later fragment's header there are only data.
    let later = packet(&[HOPS, (44, &[0, 0, 8, 0, 0, 0, 7])], 0, &[255; 30]);
    assert_eq!(upper_layer(&later), Some((IpProtocol::FRAGMENT, 48)));
    for broken in [&packet(&[LONG], 17, &[])[..50], &packet(&[], 17, &[])[..39], &[]] {
        assert_eq!(upper_layer(broken), None);
    }
}

/// RFC 8200 section 4.2.
#[test]
fn options() {
    // Pad1, PadN of 2 bytes, router alert, one of each way to deal with unknown ones, Pad1.
    let body = [1, 0, 1, 0, 5, 2, 0, 0, 0x3e, 0, 0x7e, 0, 0x9e, 1, 9];
    let packet = packet(&[(0, &body)], 17, &[]);
    let header = Ipv6Extensions::of(&packet).next().unwrap().unwrap();
    let options: Vec<_> =
        header.options().map(Result::unwrap).map(|o| (o.kind, o.offset, o.data, o.unknown())).collect();
    assert_eq!(
        options,
        [
            (Ipv6Option::ROUTER_ALERT, 45, &[0, 0][..], UnknownOption::Skip),
            (0x3e, 49, &[], UnknownOption::Skip),
            (0x7e, 51, &[], UnknownOption::Drop),
            (0x9e, 53, &[9], UnknownOption::Tell),
        ]
    );
    let jumbo = Ipv6Option { kind: 0xc2, offset: 42, data: &[] };
    assert_eq!(jumbo.unknown(), UnknownOption::TellUnlessMulticast);
    for broken in [[17, 0, 5, 2, 0, 0, 5, 1], [17, 0, 1, 3, 0, 0, 0, 7], [17, 0, 0, 0, 0, 0, 255, 1]] {
        let mut options = Ipv6Extension { kind: IpProtocol::HOP_BY_HOP, offset: 40, bytes: &broken }.options();
        assert_eq!(options.find(Result::is_err), Some(Err(BadChain::CutOff)), "{broken:?}");
        assert_eq!(options.next(), None);
    }
}

#[test]
fn fragments() {
    let header = Ipv6Fragment::new(IpProtocol::UDP, 0x1238, true, 0xdead_beef);
    assert_eq!(header.as_bytes(), &[17, 0, 0x12, 0x39, 0xde, 0xad, 0xbe, 0xef]);
    assert_eq!((header.next_header(), header.offset(), header.more()), (IpProtocol::UDP, 0x1238, true));
    assert_eq!((header.id(), header.is_atomic()), (0xdead_beef, false));
    let last = Ipv6Fragment::new(IpProtocol::UDP, u16::MAX, false, 1);
    assert_eq!((last.offset(), last.more(), last.is_atomic()), (65_528, false, false));
    // RFC 6946, whatever the reserved bits are (RFC 8200: ignored on reception).
    let atomic = Ipv6Extension { kind: IpProtocol::FRAGMENT, offset: 40, bytes: &[58, 255, 0, 6, 0, 0, 0, 9] };
    assert!(atomic.fragment().unwrap().is_atomic());
}

proptest! {
    /// Any bytes: the walk ends, and everything that it says lies within them.
    #[test]
    fn any_bytes(first in prop::sample::select(vec![0, 43, 44, 60, 17]), mut bytes in prop::collection::vec(any::<u8>(), 0..300), kinds in prop::collection::vec(prop::sample::select(vec![0, 43, 44, 60, 58, 59]), 40)) {
        if let Some(next) = bytes.get_mut(6) { *next = first; }
        for (at, kind) in kinds.into_iter().enumerate() {
            if let Some(byte) = bytes.get_mut(40 + at * 8) { *byte = kind; }
        }
        let mut steps = 0;
        for header in Ipv6Extensions::of(&bytes) {
            steps += 1;
            let Ok(header) = header else { continue };
            prop_assert!(header.offset + header.bytes.len() <= bytes.len());
            prop_assert!(header.options().all(|o| o.is_err() || o.is_ok_and(|o| o.offset + o.data.len() < bytes.len())));
        }
        prop_assert!(steps <= Ipv6Extensions::MAX + 1);
        if let Some((_, offset)) = upper_layer(&bytes) {
            prop_assert!(offset <= bytes.len());
        }
    }
}
