use super::*;

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&LldpTlv::header(LldpType(kind), value.len())[..], value].concat()
}

/// What a Cisco Catalyst 3560 told its neighbour.
fn catalyst() -> Vec<u8> {
    let description = "Cisco IOS Software, C3560 Software (C3560-ADVIPSERVICESK9-M), Version 12.2(44)SE, RELEASE SOFTWARE (fc1)\n\
                       Copyright (c) 1986-2008 by Cisco Systems, Inc.\nCompiled Sat 05-Jan-08 00:15 by weiliu";
    [
        tlv(1, &[4, 0x00, 0x19, 0x2f, 0xa7, 0xb2, 0x8d]),
        tlv(2, b"\x01Uplink to S1"),
        tlv(3, &[0, 120]),
        tlv(5, b"S2.cisco.com"),
        tlv(6, description.as_bytes()),
        tlv(4, b"GigabitEthernet0/13"),
        tlv(7, &[0, 0x14, 0, 0x04]),
        tlv(127, &[0x00, 0x80, 0xc2, 1, 0, 1]),
        tlv(127, &[0x00, 0x12, 0x0f, 1, 0x03, 0xc0, 0x36, 0, 0x10]),
        tlv(0, &[]),
    ]
    .concat()
}

#[test]
fn a_switch_tells_of_itself() {
    let pdu = catalyst();
    // As long as it was on the wire.
    assert_eq!(pdu.len(), 282);
    // Padding is behind the end, and is nothing.
    let padded = [&pdu[..], &[0xff; 8]].concat();
    let tlvs: Vec<LldpTlv<'_>> = LldpTlvs::new(&padded).map(Result::unwrap).collect();
    let kinds: Vec<u8> = tlvs.iter().map(|tlv| tlv.kind.0).collect();
    assert_eq!(kinds, [1, 2, 3, 5, 6, 4, 7, 127, 127]);
    let chassis = LldpId::chassis(tlvs[0].value).unwrap();
    assert_eq!((chassis.kind, chassis.mac()), (LldpIdKind::Mac, "00:19:2f:a7:b2:8d".parse().ok()));
    let port = LldpId::port(tlvs[1].value).unwrap();
    assert_eq!((port.kind, port.id, port.mac()), (LldpIdKind::InterfaceAlias, &b"Uplink to S1"[..], None));
    assert_eq!(tlvs[2].value, [0, 120]);
    let (can, does) = LldpCapabilities::read(tlvs[6].value).unwrap();
    assert_eq!(can.names().collect::<Vec<_>>(), ["bridge", "router"]);
    assert_eq!(does, LldpCapabilities::BRIDGE);
    assert_eq!(can, LldpCapabilities::BRIDGE.with(LldpCapabilities::ROUTER));
    assert_eq!(tlvs[7].organization(), Some((oui::IEEE_802_1, subtype::PORT_VLAN, &[0, 1][..])));
    assert_eq!(tlvs[8].organization(), Some((oui::IEEE_802_3, 1, &[0x03, 0xc0, 0x36, 0, 0x10][..])));
}

#[test]
fn tlvs_that_end_behind_the_frame() {
    let pdu = catalyst();
    let whole: Vec<usize> = LldpTlvs::new(&pdu).map(|tlv| tlv.unwrap().value.len() + 2).collect();
    for len in 0..pdu.len() - 2 {
        let tlvs: Vec<_> = LldpTlvs::new(&pdu[..len]).collect();
        let mut ends = whole.iter().scan(0, |at, len| {
            *at += len;
            Some(*at)
        });
        let at_an_end = len == 0 || ends.any(|end| end == len);
        let errors = tlvs.iter().filter(|tlv| tlv.is_err()).count();
        assert_eq!(errors, usize::from(!at_an_end), "{len} bytes");
        assert!(tlvs.iter().rev().skip(1).all(Result::is_ok), "{len} bytes: an error is the last");
    }
    assert_eq!(LldpTlvs::new(&[0x02]).collect::<Vec<_>>(), [Err(LldpTruncated)]);
    assert_eq!(LldpTlvs::new(&[0xff, 0xff]).collect::<Vec<_>>(), [Err(LldpTruncated)], "511 bytes are missing");
}

#[test]
fn names_of_systems_and_ports() {
    use LldpIdKind::*;
    let of_chassis = |number: u8| LldpId::chassis(&[number, 1, 2, 3, 4, 5, 6]).unwrap().kind;
    let expected =
        [Reserved(0), Component, InterfaceAlias, Component, Mac, NetworkAddress, InterfaceName, Local, Reserved(8)];
    assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, 8].map(of_chassis), expected);
    let of_port = |number: u8| LldpId::port(&[number, 1, 2, 3, 4, 5, 6]).unwrap().kind;
    let expected =
        [Reserved(0), InterfaceAlias, Component, Mac, NetworkAddress, InterfaceName, AgentCircuit, Local, Reserved(8)];
    assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, 8].map(of_port), expected);
    for (value, why) in [
        (&[][..], "nothing"),
        (&[7], "no name"),
        (&[4, 1, 2, 3, 4, 5], "a MAC address of five bytes"),
        (&[4, 1, 2, 3, 4, 5, 6, 7], "and one of seven"),
        (&[7; 257], "256 bytes"),
    ] {
        assert_eq!(LldpId::chassis(value), None, "{why}");
    }
    assert!(LldpId::chassis(&[7; 256]).is_some());
    let v4 = LldpId::chassis(&[5, 1, 192, 0, 2, 7]).unwrap();
    assert_eq!((v4.address(), v4.mac()), ("192.0.2.7".parse().ok(), None));
    assert_eq!(LldpId::chassis(&[5, 1, 192, 0, 2]).unwrap().address(), None);
    assert_eq!(LldpId::chassis(&[7, 1, 192, 0, 2, 7]).unwrap().address(), None, "a local name that looks like one");
}

#[test]
fn management_addresses() {
    let v4 = [5, 1, 10, 32, 253, 44, 2, 0, 0x1e, 0x87, 0xe0, 0];
    let read = ManagementAddress::read(&v4).unwrap();
    assert_eq!((read.ip(), read.interface), ("10.32.253.44".parse().ok(), (2, 2_000_864)));
    let v6 = [&[17, 2][..], &"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets(), &[1, 0, 0, 0, 0, 2, 9, 9]].concat();
    assert_eq!(ManagementAddress::read(&v6).unwrap().ip(), "2001:db8::1".parse().ok());
    let mac = ManagementAddress::read(&[7, 6, 2, 0, 0, 0, 0, 9, 1, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!((mac.ip(), mac.address), (None, &[2, 0, 0, 0, 0, 9][..]));
    let with = |at: usize, to: u8| {
        let mut bytes = v4;
        bytes[at] = to;
        ManagementAddress::read(&bytes).is_some()
    };
    for (at, to) in [(0, 0), (0, 1), (0, 4), (0, 6), (0, 255), (11, 1)] {
        assert!(!with(at, to), "byte {at} is {to}");
    }
    (0..v4.len()).for_each(|len| assert_eq!(ManagementAddress::read(&v4[..len]), None, "{len} bytes"));
    assert_eq!(ManagementAddress::read(&[&v4[..], &[0]].concat()), None, "something behind");
    // Clause 8.5.9.4: an address has 1 to 31 bytes.
    let of_length = |len: u8| [&[len + 1, 200][..], &vec![7; len.into()], &[2, 0, 0, 0, 1, 0]].concat();
    for (len, good) in [(0, false), (1, true), (31, true), (32, false)] {
        assert_eq!(ManagementAddress::read(&of_length(len)).is_some(), good, "an address of {len} bytes");
    }
}

#[test]
fn other_organizations() {
    let of = |value| LldpTlv { kind: LldpType::ORGANIZATION, value }.organization();
    assert_eq!(of(&[0, 0x12, 0x0f]), None);
    assert_eq!(of(&[0, 0x12, 0x0f, 4]), Some((oui::IEEE_802_3, subtype::MAX_FRAME_SIZE, &[][..])));
    assert_eq!(LldpTlv::header(LldpType::ORGANIZATION, LldpTlv::MAX), [0xff, 0xff]);
}
