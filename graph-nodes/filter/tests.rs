use super::*;
use crate::testing::*;
use proptest::prelude::*;

fn filter(text: &str) -> Filter {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn frame(middle: &[u8], packet: &[u8]) -> Vec<u8> {
    [&[2; 12], middle, packet].concat()
}

#[test]
fn what_is_chosen() {
    let arp: Vec<u8> = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &[2; 6], &HOST, &[0; 6], &LAN_IP].concat();
    // Behind a hop-by-hop header, as reports of multicast listeners are.
    let behind = [&[58, 0, 5, 2, 0, 0, 1, 0][..], &[143, 0, 0, 0, 0, 0, 0, 0]].concat();
    let icmp6 = packet6(&header6("fe80::9", "ff02::16", etherparse::IpNumber(0)), &behind);
    let frames = [
        ("udp", frame(&[8, 0], &udp(HOST, PEER))),
        ("tcp", frame(&[8, 0], &tcp(PEER, HOST, b"", |_| {}))),
        ("icmp", frame(&[8, 0], &echo(HOST, LAN_IP, b""))),
        ("later", frame(&[8, 0], &udp_with(HOST, PEER, 10, |h| h.fragment_offset = 1.try_into().unwrap()))),
        (
            "options",
            frame(&[8, 0], &{
                let mut header = header(PEER, HOST);
                header.options = [1; 8].into();
                packet(&header, &udp(PEER, HOST)[20..])
            }),
        ),
        ("arp", frame(&[8, 6], &arp)),
        ("vlan", frame(&[0x81, 0, 0xe0, 100, 8, 0], &udp(HOST, PEER))),
        ("vlan-arp", frame(&[0x81, 0, 0, 200, 8, 6], &arp)),
        ("two-tags", frame(&[0x88, 0xa8, 0, 100, 0x81, 0, 0, 7, 8, 6], &arp)),
        ("to-all", [&[0xff; 6][..], &[2, 0, 0, 0, 0, 9], &[0x88, 0xb5], &[0; 46]].concat()),
        ("ip6", frame(&[0x86, 0xdd], &udp6(HOST6, PEER6))),
        ("icmp6", frame(&[0x86, 0xdd], &icmp6)),
        ("short6", frame(&[0x86, 0xdd], &[0x60; 39])),
        ("short", vec![2; 13]),
    ];
    for (text, chosen) in [
        ("", "udp tcp icmp later options arp vlan vlan-arp two-tags to-all ip6 icmp6 short6 short"),
        ("ip", "udp tcp icmp later options vlan"),
        ("arp", "arp vlan-arp two-tags"),
        ("udp", "udp later options vlan ip6"),
        ("ip6", "ip6 icmp6"),
        ("icmp6", "icmp6"),
        ("proto icmp6", "icmp6"),
        ("host 2001:db8:2::10", "ip6"),
        ("src host fe80::9", "icmp6"),
        ("dst net ff00::/8", "icmp6"),
        ("net ::/0", "ip6 icmp6"),
        ("tcp", "tcp"),
        ("icmp", "icmp"),
        ("proto 6", "tcp"),
        ("proto icmp", "icmp"),
        ("proto 132", ""),
        ("host 203.0.113.10", "udp tcp later options vlan"),
        ("src host 203.0.113.10", "tcp options"),
        ("dst host 203.0.113.10", "udp later vlan"),
        ("host 192.168.1.1", "icmp arp vlan-arp two-tags"),
        ("net 192.168.1.0/24", "udp tcp icmp later options arp vlan vlan-arp two-tags"),
        ("dst net 192.168.0.0/16", "tcp icmp options arp vlan-arp two-tags"),
        ("net 0.0.0.0/0", "udp tcp icmp later options arp vlan vlan-arp two-tags"),
        ("port 7", "udp options vlan ip6"),
        ("src port 40000", "udp tcp options vlan ip6"),
        ("dst port 80", "tcp"),
        ("vlan", "vlan vlan-arp two-tags"),
        ("vlan 100", "vlan two-tags"),
        ("vlan 7", "two-tags"),
        ("ether proto 0x0806", "arp vlan-arp two-tags"),
        ("ether proto 2048", "udp tcp icmp later options vlan"),
        ("ether host 02:00:00:00:00:09", "to-all"),
        ("ether src host 02:00:00:00:00:09", "to-all"),
        ("ether dst 02:00:00:00:00:09", ""),
        ("ether dst ff:ff:ff:ff:ff:ff and not vlan", "to-all"),
        ("vlan and arp", "vlan-arp two-tags"),
        ("not ip", "arp vlan-arp two-tags to-all ip6 icmp6 short6 short"),
        ("! ip and !arp", "to-all ip6 icmp6 short6 short"),
        // From left to right, as tcpdump has it.
        ("arp or udp and vlan 100", "vlan two-tags"),
        ("arp or (udp and vlan 100)", "arp vlan vlan-arp two-tags"),
        ("tcp || icmp && host 192.168.1.1", "icmp"),
        ("not (arp or ip or ip6)", "to-all short6 short"),
        ("not arp or ip", "udp tcp icmp later options vlan to-all ip6 icmp6 short6 short"),
        ("not not tcp", "tcp"),
        ("(((tcp)))", "tcp"),
    ] {
        let filter = filter(text);
        let got: Vec<_> = frames.iter().filter(|(_, f)| filter.matches(Layer::Ethernet, f)).map(|(n, _)| *n).collect();
        assert_eq!(got.join(" "), chosen, "{text}");
    }
}

#[test]
fn from_any_header_on() {
    let packet = udp(HOST, PEER);
    assert!(filter("udp and port 7 and src host 192.168.1.10").matches(Layer::Ip, &packet));
    assert!(!filter("vlan or arp").matches(Layer::Ip, &packet), "what was before is not there");
    let arp: Vec<u8> = [&[0, 1, 8, 0, 6, 4, 0, 2][..], &[2; 6], &HOST, &[2; 6], &LAN_IP].concat();
    assert!(filter("arp and src host 192.168.1.10").matches(Layer::Arp, &arp));
    for (node, layer) in [
        (DEVICE_INPUT, Layer::Ethernet),
        (l2::fwd::NAME, Layer::Ethernet),
        (V6::ENCAP, Layer::Ethernet),
        (interface::output::NAME, Layer::Either),
        (capture::TX.node, Layer::Either),
        (ERROR_DROP, Layer::Either),
        (arp::input::NAME, Layer::Arp),
        (crate::ip::lookup::NAME4, Layer::Ip),
        (capture::TUNNEL.node, Layer::Ip),
    ] {
        assert_eq!(Layer::at(node), layer, "{node}");
    }
}

#[test]
fn with_ethernet_or_without() {
    let spoilt = udp_with(HOST, PEER, 10, |header| header.header_checksum ^= 1);
    // Looks like a frame: 8.0.69.1 is where an EtherType and an IPv4 header would be.
    let like_a_frame = udp([8, 0, 69, 1], PEER);
    let to_a_station = |ether_type: [u8; 2], packet: &[u8]| [&[0x45; 12][..], &ether_type, packet].concat();
    for (name, bytes) in [
        ("IPv4", udp(HOST, PEER)),
        ("spoilt", spoilt.clone()),
        ("like a frame", like_a_frame),
        ("IPv6", udp6(HOST6, PEER6)),
        ("a frame", frame(&[8, 0], &udp(HOST, PEER))),
        ("to a station that begins like IPv4", to_a_station([8, 0], &udp(HOST, PEER))),
        ("spoilt, to such a one", to_a_station([8, 0], &spoilt)),
        ("IPv6, to such a one", to_a_station([0x86, 0xdd], &udp6(HOST6, PEER6))),
        ("with a tag, to such a one", to_a_station([0x81, 0], &[&[0, 7, 8, 0], &udp(HOST, PEER)[..]].concat())),
    ] {
        assert!(filter("udp and port 7").matches(Layer::Either, &bytes), "{name}");
    }
    let arp: Vec<u8> = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &[2; 6], &HOST, &[0; 6], &LAN_IP].concat();
    assert!(filter("arp and ether src 45:45:45:45:45:45").matches(Layer::Either, &to_a_station([8, 6], &arp)));
}

#[test]
fn what_is_wrong_and_where() {
    for (text, message) in [
        ("bogus", "at character 1: expected one of arp, ip, ip6, icmp"),
        ("ip and", "at character 7: expected one of arp, ip, ip6, icmp"),
        ("ip and ", "at character 8: expected one of arp"),
        ("ip udp", "at character 4: expected and or or, found udp"),
        ("ip and and", "at character 8: expected one of arp"),
        ("(ip", "at character 4: expected and, or or ), found the end"),
        ("(ip udp)", "at character 5: expected and, or or ), found udp"),
        ("ip)", "at character 3: a ) without its ("),
        ("()", "at character 2: expected one of arp"),
        ("host", "at character 5: expected an address, such as 192.0.2.1 or 2001:db8::1, found the end"),
        ("host 1.2.3", "at character 6: expected an address, such as 192.0.2.1 or 2001:db8::1, found 1.2.3"),
        (
            "src net 10.0.0.0",
            "at character 9: expected a prefix, such as 192.0.2.0/24 or 2001:db8::/32, found 10.0.0.0",
        ),
        ("net 10.0.0.0/33", "at character 5: expected a prefix"),
        ("src arp", "at character 5: expected host, net or port, found arp"),
        ("dst", "at character 4: expected host, net or port, found the end"),
        ("port 65536", "at character 6: expected a port, from 0 to 65535, found 65536"),
        (
            "proto 256",
            "at character 7: expected a protocol: icmp, icmp6, tcp, udp or a number from 0 to 255, found 256",
        ),
        ("ether", "at character 6: expected host, src, dst or proto, found the end"),
        ("ether 1", "at character 7: expected host, src, dst or proto, found 1"),
        ("ether src ip", "at character 11: expected a MAC address, such as 02:00:00:00:00:01, found ip"),
        ("ether proto x", "at character 13: expected an EtherType, such as 0x0806 or 2054, found x"),
        ("vlan 4096", "at character 6: expected a VLAN, from 0 to 4095, found 4096"),
        ("ärp", "at character 1: expected one of arp"),
        ("ip and äh", "at character 8: expected one of arp"),
    ] {
        let error = text.parse::<Filter>().expect_err(text).to_string();
        assert!(error.starts_with(message), "{text}: {error}");
    }
    let deep = "(".repeat(10_000);
    let error = deep.parse::<Filter>().expect_err("too deep").to_string();
    assert_eq!(error, "at character 66: more than 64 ( and not inside each other");
    assert_eq!(filter("not (not ip)"), Filter(Expr::Not(Box::new(Expr::Not(Box::new(Expr::Ip))))));
}

proptest! {
    #[test]
    fn no_text_and_no_packet_is_too_odd(words in prop::collection::vec(
        prop::sample::select(vec![
            "ip", "ip6", "icmp6", "arp", "udp", "not", "!", "(", ")", "and", "or", "host", "net", "src", "port", "vlan", "ether", "2:0:0:0:0:1", "7", "10.0.0.0/8", "2001:db8::/32", "::1", "\u{e4}", " ",
        ]), 0..12), packet: Vec<u8>)
    {
        if let Ok(filter) = words.join(" ").parse::<Filter>() {
            for layer in [Layer::Ethernet, Layer::Arp, Layer::Ip, Layer::Either] {
                let _ = filter.matches(layer, &packet);
            }
        }
    }
}
