//! Messages and options byte by byte, as the RFCs draw them.

use super::*;
use proptest::prelude::*;

const MAC: MacAddr = MacAddr([0x02, 0xfe, 0x11, 0x22, 0x33, 0x44]);

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

#[test]
fn groups_and_addresses() {
    // RFC 4291 section 2.7.1's own example.
    assert_eq!(solicited_node(address("4037::01:800:200e:8c6c")), address("ff02::1:ff0e:8c6c"));
    assert_eq!(solicited_node(address("2001:db8::1")), address("ff02::1:ff00:1"));
    // RFC 2464 section 7.
    assert_eq!(multicast_mac(address("ff02::1:ff0e:8c6c")).to_string(), "33:33:ff:0e:8c:6c");
    assert_eq!(multicast_mac(ALL_NODES).to_string(), "33:33:00:00:00:01");
    // RFC 2464 section 4's example: 34-56-78-9A-BC-DE makes 36-56-78-FF-FE-9A-BC-DE.
    assert_eq!(link_local(MacAddr([0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde])), address("fe80::3656:78ff:fe9a:bcde"));
    assert_eq!((ALL_ROUTERS, ALL_MLD2_ROUTERS), (address("ff02::2"), address("ff02::16")));
}

#[test]
fn solicitations_and_advertisements() {
    let target = address("2001:db8::7");
    let octets = target.octets();
    let solicitation = NeighborSolicitation::new(target);
    assert_eq!(solicitation.as_bytes(), [&[135, 0, 0, 0, 0, 0, 0, 0][..], &octets].concat());
    assert_eq!(solicitation.target(), target);
    for (flags, byte) in [((true, false, false), 0x80), ((false, true, false), 0x40), ((false, false, true), 0x20)] {
        let (router, solicited, override_) = flags;
        let flags = NeighborFlags { router, solicited, override_ };
        let advertisement = NeighborAdvertisement::new(flags, target);
        assert_eq!(advertisement.as_bytes(), [&[136, 0, 0, 0, byte, 0, 0, 0][..], &octets].concat());
        assert_eq!((advertisement.flags(), advertisement.target()), (flags, target));
    }
    assert_eq!((RouterSolicitation::LEN, NeighborSolicitation::LEN, NeighborAdvertisement::LEN), (8, 24, 24));
}

#[test]
fn router_advertisement() {
    let flags = RouterAdvertisement::MANAGED | RouterAdvertisement::OTHER | RouterAdvertisement::HIGH;
    let advertisement = RouterAdvertisement::new(64, flags, 1800, 30_000, 1000);
    let bytes = [134, 0, 0, 0, 64, 0xc8, 0x07, 0x08, 0, 0, 0x75, 0x30, 0, 0, 0x03, 0xe8];
    assert_eq!(advertisement.as_bytes(), &bytes);
    let prefix = PrefixInformation::new(address("2001:db8::"), 64, 0xc0, 2_592_000, 604_800);
    let head = [3, 4, 64, 0xc0, 0, 0x27, 0x8d, 0, 0, 0x09, 0x3a, 0x80, 0, 0, 0, 0, 0x20, 0x01, 0x0d, 0xb8];
    assert_eq!(prefix.as_bytes(), [&head[..], &[0; 12]].concat());
    assert_eq!(MtuOption::new(1492).as_bytes(), &[5, 1, 0, 0, 0, 0, 0x05, 0xd4]);
}

#[test]
fn options() {
    let source = LinkLayerOption::source(MAC);
    assert_eq!(source.as_bytes(), &[1, 1, 0x02, 0xfe, 0x11, 0x22, 0x33, 0x44]);
    let two = [source.as_bytes(), &[14, 2], &[9; 14], LinkLayerOption::target(MAC).as_bytes()].concat();
    let found: Vec<_> = NdOptions::new(&two).map(Result::unwrap).collect();
    let kinds: Vec<_> = found.iter().map(|o| (o.kind, o.body.len(), o.link_layer())).collect();
    let (nonce, target) = (NdOptionType::NONCE, NdOptionType::TARGET_LINK_LAYER);
    assert_eq!(kinds, [(NdOptionType::SOURCE_LINK_LAYER, 6, Some(MAC)), (nonce, 14, None), (target, 6, Some(MAC))]);
    // An address longer than Ethernet's, and six bytes that are no address.
    let longer = NdOption { kind: NdOptionType::SOURCE_LINK_LAYER, body: &[0; 14] };
    assert_eq!((longer.link_layer(), NdOption { kind: NdOptionType::MTU, body: &[0; 6] }.link_layer()), (None, None));
    assert_eq!(NdOptions::new(&[]).next(), None);
}

/// RFC 4861 section 4.6: "Nodes MUST silently discard an ND packet that contains an option with length zero."
#[test]
fn malformed_options() {
    for (name, bytes) in [
        ("no length", &[1, 0, 0, 0, 0, 0, 0, 0][..]),
        ("one byte", &[1]),
        ("beyond the end", &[1, 1, 0, 0, 0, 0, 0]),
        ("far beyond the end", &[1, 255, 0, 0, 0, 0, 0, 0]),
        ("the second", &[5, 1, 0, 0, 0, 0, 5, 0, 1, 0]),
    ] {
        let found: Vec<_> = NdOptions::new(bytes).collect();
        assert_eq!(found.last(), Some(&Err(MalformedOptions)), "{name}");
        assert!(found.len() <= 2, "{name}: it ends there");
    }
}

proptest! {
    /// Options fill their bytes exactly, or the last one is malformed.
    #[test]
    fn any_bytes(bytes: Vec<u8>) {
        let found: Vec<_> = NdOptions::new(&bytes).collect();
        let good: usize = found.iter().flatten().map(|o| o.body.len() + 2).sum();
        prop_assert_eq!(good == bytes.len(), found.iter().all(Result::is_ok));
    }
}
