//! Mappings: which external address and port an inside host gets (RFC 4787 section 4, RFC 5382 REQ-1 and REQ-7).

use harness::l4::{self, Packet, segment};
use harness::{Nat, remote};
use std::collections::{BTreeMap, BTreeSet};

/// The external address and port of a packet that came out.
fn external(seen: &Packet) -> (String, u16) {
    (seen.ip.source.map(|byte| byte.to_string()).join("."), seen.from)
}

/// RFC 4787 REQ-1, RFC 5382 REQ-1: the same mapping whatever the other end. RFC 5508 REQ-1: the same for queries.
#[test]
fn endpoint_independent_mapping() {
    let nat = Nat::start("pool: [203.0.113.2]");
    for to in ["198.51.100.1:53", "198.51.100.1:54", "198.51.100.2:53"] {
        let seen = nat.out(&l4::udp("192.168.1.10:5000", to, b"?"));
        assert_eq!(seen.flow(), format!("udp 203.0.113.2:5000 > {to}"));
        let seen = nat.out(&l4::tcp("192.168.1.10:5000", to, &segment("S", 1, 0)));
        assert_eq!(seen.flow(), format!("tcp 203.0.113.2:5000 > {to}"));
        let back = nat.back(&l4::udp(to, "203.0.113.2:5000", b"!"));
        assert_eq!(back.flow(), format!("udp {to} > 192.168.1.10:5000"));
    }
    let mut seen = Vec::new();
    for to in [remote(1), remote(2)] {
        let asked = nat.out(&l4::echo("192.168.1.10:7777", to, 1, b"ping"));
        let answer = nat.back(&l4::echo_reply(to, &asked.source(), 1, b"ping"));
        assert_eq!(answer.destination(), "192.168.1.10:7777");
        seen.push(asked.source());
    }
    assert_eq!(seen[0], seen[1]);
}

/// RFC 4787 REQ-3 and RFC 5382 REQ-7: no overloading, not even towards different remotes. RFC 4787 REQ-11: who came
/// second and got another port is treated in the same way from then on.
#[test]
fn no_port_is_given_twice() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let mut held = BTreeSet::new();
    for host in 10..=13 {
        let inside = format!("192.168.1.{host}:5000");
        let mut first = BTreeMap::new();
        for to in ["198.51.100.1:53", "198.51.100.2:53", "198.51.100.2:5353"] {
            let udp = nat.out(&l4::udp(&inside, to, b"?"));
            let tcp = nat.out(&l4::tcp(&inside, to, &segment("S", 1, 0)));
            let echo = nat.out(&l4::echo(&inside, l4::at(to).ip().octets(), 1, b""));
            for (protocol, seen) in [("udp", udp), ("tcp", tcp), ("icmp", echo)] {
                let port = first.entry(protocol).or_insert(seen.from);
                assert_eq!(*port, seen.from, "{protocol} of {inside} to {to} (RFC 4787 REQ-1 and REQ-11)");
            }
        }
        for (protocol, port) in first {
            assert!(held.insert((protocol, port)), "{protocol} port {port} was given twice");
        }
    }
    // And each is reached by its own.
    let back = |port: u16| nat.back(&l4::udp("198.51.100.1:53", &format!("203.0.113.2:{port}"), b"!")).destination();
    let udp = held.iter().filter(|(protocol, _)| *protocol == "udp").map(|(_, port)| back(*port));
    assert_eq!(udp.collect::<BTreeSet<_>>().len(), 4);
}

/// RFC 4787 REQ-3a: ports below 1024 stay there, others stay above. REQ-4: even stays even, odd stays odd.
#[test]
fn range_and_parity_are_kept() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let mut taken = BTreeSet::new();
    for port in [67, 500, 501, 1022, 1023, 1024, 5000, 5001, 65534, 65535] {
        let mut given = BTreeSet::new();
        for host in 10..=13 {
            let from = format!("192.168.1.{host}:{port}");
            let seen = nat.out(&l4::udp(&from, "198.51.100.1:53", b"?"));
            assert_eq!(seen.from < 1024, port < 1024, "the range of {from}, which became {}", seen.from);
            assert_eq!(seen.from % 2, port % 2, "the parity of {from}, which became {}", seen.from);
            // Of several workers, another one may have the block that the port is in.
            if host == 10 && nat.workers == 1 && !taken.contains(&port) {
                assert_eq!(seen.from, port, "a free port is preserved");
            }
            given.insert(seen.from);
            taken.insert(seen.from);
            let tcp = nat.out(&l4::tcp(&from, "198.51.100.1:53", &segment("S", 1, 0)));
            assert_eq!(tcp.from < 1024, port < 1024, "the range of TCP port {from}, which became {}", tcp.from);
        }
        assert_eq!(given.len(), 4, "four hosts, four ports");
    }
}

/// RFC 4787 REQ-2 (RFC 7857 section 4): an inside host keeps one external address for all its sessions; and RFC 6888
/// REQ-1, as the pool here has holes.
#[test]
fn a_host_keeps_its_external_address() {
    let nat = Nat::start("pool: [203.0.113.2, 203.0.113.16/30, 203.0.113.64-203.0.113.66]");
    let mut used = BTreeSet::new();
    for host in 100..150 {
        let inside = |port: u16| format!("192.168.1.{host}:{port}");
        let mut addresses = BTreeSet::new();
        for number in 1..4 {
            let to = format!("198.51.100.{number}:80");
            addresses.insert(external(&nat.out(&l4::udp(&inside(5000), &to, b"?"))).0);
            addresses.insert(external(&nat.out(&l4::tcp(&inside(5000 + number), &to, &segment("S", 1, 0)))).0);
            addresses.insert(external(&nat.out(&l4::echo(&inside(9), remote(number as u8), 1, b""))).0);
        }
        assert_eq!(addresses.len(), 1, "192.168.1.{host} has {addresses:?}");
        used.extend(addresses);
    }
    let pool = [2, 16, 17, 18, 19, 64, 65, 66].map(|last| format!("203.0.113.{last}"));
    assert!(used.iter().all(|address| pool.contains(address)), "{used:?}");
    assert!(used.len() >= 3, "fifty hosts share the pool: {used:?}");
}

/// RFC 6888 REQ-15, RFC 6056: who learns one port can't tell the next.
#[test]
fn ports_can_not_be_guessed() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let ask = |host| nat.out(&l4::udp(&format!("192.168.1.{host}:5000"), "198.51.100.1:53", b"?")).from;
    let ports: Vec<u16> = (100..164).map(ask).collect();
    let steps: Vec<i32> = ports[1..].windows(2).map(|two| i32::from(two[1]) - i32::from(two[0])).collect();
    let different: BTreeSet<i32> = steps.iter().copied().collect();
    assert!(different.len() > 50, "steps from port to port: {steps:?}");
    let (least, most) = (ports[1..].iter().min().unwrap(), ports.iter().max().unwrap());
    assert!(most - least > 20_000, "all of {} ports lie between {least} and {most}", ports.len());
}

/// RFC 6888 REQ-8: a UDP port or identifier that was given back rests for two minutes, so that nobody gets what is meant for
/// who had it; TCP's, whose state is known, may be given again at once (exception A).
#[test]
fn ports_rest_before_others_get_them() {
    let nat = Nat::start("pool: [203.0.113.2]");
    let ask = |host: u8| {
        let inside = format!("192.168.1.{host}:5000");
        let udp = nat.out(&l4::udp(&inside, "198.51.100.1:53", b"?")).from;
        let echo = nat.out(&l4::echo(&inside, remote(1), 1, b"")).from;
        [udp, echo, nat.out(&l4::tcp(&inside, "198.51.100.1:53", &segment("S", 1, 0))).from]
    };
    assert_eq!(ask(10), [5000; 3]);
    nat.router().run("nat44 sessions clear");
    let [udp, echo, tcp] = ask(11);
    assert!(udp != 5000 && echo != 5000, "{udp} and {echo}");
    assert_eq!(tcp, 5000);
}

/// RFC 5508 REQ-1: queries are translated by their identifier, both ways and unchanged otherwise.
#[test]
fn queries_with_the_same_identifier_stay_apart() {
    let nat = Nat::start("pool: [203.0.113.2]");
    for host in 10..=13 {
        let inside = format!("192.168.1.{host}:4242");
        let asked = nat.out(&l4::echo(&inside, remote(1), host, b"who am I"));
        assert_eq!((asked.icmp_kind(), asked.data.as_slice()), ((8, 0), b"who am I".as_slice()));
        let (_, _, rest) = asked.icmp.expect("ICMP");
        assert_eq!(u16::from_be_bytes([rest[2], rest[3]]), host, "the sequence number");
        let answer = nat.back(&l4::echo_reply(remote(1), &asked.source(), host, b"you"));
        assert_eq!((answer.destination(), answer.icmp_kind()), (inside, (0, 0)));
    }
    // Other queries, too: timestamp (13 and its reply 14).
    let mut question = l4::echo("192.168.1.10:4242", remote(1), 1, &[0; 12]);
    question[20] = 13;
    fix_icmp(&mut question);
    let asked = nat.out(&question);
    let (_, _, rest) = asked.icmp.expect("ICMP");
    let outside = u16::from_be_bytes([rest[0], rest[1]]);
    let mut answer = l4::echo_reply(remote(1), &format!("203.0.113.2:{outside}"), 1, &[0; 12]);
    answer[20] = 14;
    fix_icmp(&mut answer);
    let answered = nat.back(&answer);
    assert_eq!((answered.ip.destination, answered.icmp), ([192, 168, 1, 10], Some((14, 0, [0x10, 0x92, 0, 1]))));
}

/// Puts the checksum right after a change of an ICMP packet without IP options.
fn fix_icmp(packet: &mut [u8]) {
    packet[22..24].fill(0);
    let sum = harness::frames::checksum(&packet[20..]).to_be_bytes();
    packet[22..24].copy_from_slice(&sum);
}
