use super::*;

const US: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const THEM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const US6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const THEM6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);

fn packet(from: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let header = Ipv4::new(from, US, IpProtocol::ICMP, 61, message.len() as u16);
    [header.as_bytes(), message].concat()
}

#[test]
fn a_reply_finds_its_request() {
    for (us, them, header, kind) in
        [(IpAddr::from(US), IpAddr::from(THEM), Ipv4::LEN, 0), (US6.into(), THEM6.into(), Ipv6::LEN, 129)]
    {
        let (mut probes, now) = (Probes::default(), Instant::now());
        let id = probes.identifier();
        assert_ne!(probes.identifier(), id);
        let (mut first, mut second) = (probes.wait(id, 1), probes.wait(id, 2));
        let mut reply = request(them, us, 61, (id, 2), 56).unwrap();
        probes.answer(&reply, now);
        assert!(second.try_recv().is_err(), "that is a request");
        reply[header] = kind;
        probes.answer(&reply, now);
        let answer = second.try_recv().unwrap();
        assert_eq!((answer.from, answer.bytes, answer.ttl), (them, 64, 61));
        assert!(answer.is_reply() && !answer.is_end());
        assert!(first.try_recv().is_err());
    }
}

#[test]
fn an_error_finds_the_request_that_it_quotes() {
    let (mut probes, now) = (Probes::default(), Instant::now());
    let mut waiting = probes.wait(7, 3);
    let asked = request(US.into(), Ipv4Addr::new(198, 51, 100, 1).into(), 1, (7, 3), 0).unwrap();
    let error = |kind, code| [Icmp4::new(kind, code).as_bytes(), &asked[..28]].concat();
    probes.answer(&packet(THEM, &error(Icmp4Type::TIME_EXCEEDED, 0)[..30]), now);
    assert!(waiting.try_recv().is_err(), "cut short");
    probes.answer(&packet(THEM, &error(Icmp4Type::TIME_EXCEEDED, 0)), now);
    let answer = waiting.try_recv().unwrap();
    assert_eq!((answer.words().as_str(), answer.mark().as_str()), ("Time to live exceeded", ""));
    let mut waiting = probes.wait(7, 3);
    probes.answer(&packet(THEM, &error(Icmp4Type::UNREACHABLE, 1)), now);
    let answer = waiting.try_recv().unwrap();
    assert_eq!((answer.words().as_str(), answer.mark().as_str()), ("Destination Host Unreachable", "!H"));
}

#[test]
fn an_error_of_icmpv6_finds_it_too_behind_extension_headers() {
    let (mut probes, now) = (Probes::default(), Instant::now());
    let asked = request(US6.into(), "2001:db8:9::1".parse().unwrap(), 1, (7, 3), 0).unwrap();
    // The same with a destination options header, all padding.
    let mut longer = asked.clone();
    longer[6] = IpProtocol::DESTINATION_OPTIONS.0;
    longer.splice(40..40, [58, 0, 1, 4, 0, 0, 0, 0]);
    for (asked, kind, code, words, mark) in [
        (&asked, Icmp6Type::TIME_EXCEEDED, 0, "Time exceeded: Hop limit", ""),
        (&longer, Icmp6Type::TIME_EXCEEDED, 0, "Time exceeded: Hop limit", ""),
        (&asked, Icmp6Type::UNREACHABLE, 3, "Destination unreachable: Address unreachable", "!H"),
        (&asked, Icmp6Type::UNREACHABLE, 0, "Destination unreachable: No route", "!N"),
        (&asked, Icmp6Type::PACKET_TOO_BIG, 0, "Packet too big", "!F"),
    ] {
        let mut waiting = probes.wait(7, 3);
        let message = [Icmp6::new(kind, code).as_bytes(), asked].concat();
        let error = icmp6(THEM6, US6, 61, message);
        probes.answer(&error[..error.len() - 1], now);
        assert!(waiting.try_recv().is_err(), "cut short");
        probes.answer(&error, now);
        let answer = waiting.try_recv().unwrap();
        assert_eq!((answer.words().as_str(), answer.mark().as_str()), (words, mark));
        assert_eq!((answer.from, answer.is_end()), (THEM6.into(), kind == Icmp6Type::UNREACHABLE));
    }
}

#[test]
fn requests_are_right() {
    let bytes = request(US.into(), THEM.into(), 64, (7, 3), 3).unwrap();
    let header = Ipv4::ref_from_prefix(&bytes).unwrap().0;
    assert!(header.checksum_ok() && header.total_len() == 31);
    assert!(checksum::Sum::of(&bytes[20..]).is_ok());
    assert!(request(US.into(), THEM.into(), 64, (7, 3), 65_507).is_some());
    assert!(request(US.into(), THEM.into(), 64, (7, 3), 65_508).is_none());
    let bytes = request(US6.into(), THEM6.into(), 64, (7, 3), 3).unwrap();
    let header = Ipv6::ref_from_prefix(&bytes).unwrap().0;
    assert_eq!((header.payload_len(), header.hop_limit(), header.dst()), (11, 64, THEM6));
    let pseudo = checksum::pseudo_header6(&US6.octets(), &THEM6.octets(), IpProtocol::ICMP6, 11);
    assert!(pseudo.bytes(&bytes[40..]).is_ok());
    assert!(request(US6.into(), THEM6.into(), 64, (7, 3), 65_527).is_some());
    assert!(request(US6.into(), THEM6.into(), 64, (7, 3), 65_528).is_none());
    assert!(request(US.into(), THEM6.into(), 64, (7, 3), 0).is_none());
}
