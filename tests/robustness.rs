//! Frames that no one should send: 20,000 of them of either family, and the same process forwards on with all its buffers.

use harness::account::Books;
use harness::frames::{self, Arp, Mac};
use harness::frames6::{self, Ip6};
use harness::nd::{self, Nd};
use harness::{LAN, LAN6, SIGTERM, WAN, WAN6, Wires, eventually};

/// xorshift64: the same frames in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// Good frames of every kind that the router knows, to be spoilt.
fn seeds() -> Vec<Vec<u8>> {
    let header = |change: &dyn Fn(&mut etherparse::Ipv4Header)| {
        let mut header = frames::header(LAN.ip, WAN.ip);
        change(&mut header);
        header
    };
    let arp = |operation, target| Arp { operation, sender: (LAN.mac, LAN.ip), target };
    let through = |header: &etherparse::Ipv4Header, body: &[u8]| LAN.frame(&frames::packet(header, body));
    vec![
        LAN.frame(&frames::udp_packet(LAN.ip, WAN.ip, 7, &[0; 64])),
        LAN.frame(&frames::udp_packet(LAN.ip, LAN.router_ip, 7, &[0; 64])),
        LAN.frame(&frames::udp_packet(LAN.ip, [192, 0, 2, 1], 7, &[0; 64])),
        LAN.frame(&frames::echo_request(LAN.ip, LAN.router_ip, 1, 1, &[0; 64])),
        LAN.frame(&frames::echo_request(LAN.ip, WAN.ip, 1, 1, &[0; 1400])),
        through(&header(&|h| h.options = [0x9e, 6, 1, 2, 3, 4, 1, 0].into()), &[0; 32]),
        through(&header(&|h| h.more_fragments = true), &[0; 800]),
        through(&header(&|h| h.time_to_live = 1), &[0; 100]),
        frames::tagged(100, &LAN.frame(&frames::udp_packet(LAN.ip, WAN.ip, 7, &[0; 64]))),
        frames::tagged(7, &LAN.frame(&frames::udp_packet(LAN.ip, WAN.ip, 7, &[0; 64]))),
        arp(1, ([0; 6], LAN.router_ip)).frame(frames::BROADCAST),
        arp(2, (LAN.router_mac, LAN.router_ip)).frame(LAN.router_mac),
    ]
}

/// The same for IPv6, where more is to be understood.
fn seeds6() -> Vec<Vec<u8>> {
    let (me, local) = ((LAN6.mac, LAN6.ip), (LAN6.mac, frames6::link_local(LAN6.mac)));
    let with = |protocol: u8, to: Ip6, body: &[u8]| {
        let mut header = frames6::header(LAN6.ip, to);
        header.next_header = etherparse::IpNumber(protocol);
        LAN6.frame(&frames6::packet(&header, body))
    };
    let question = frames6::echo_request(LAN6.ip, LAN6.router_ip, 1, 1, &[0; 1000]);
    let behind = |headers: &[u8]| [headers, &question[40..]].concat();
    let mut advertisement = Nd::router_solicitation(local);
    (advertisement.kind, advertisement.word, advertisement.body) = (nd::RA, [64, 0, 7, 8], vec![0; 8]);
    vec![
        LAN6.frame(&frames6::udp_packet(LAN6.ip, WAN6.ip, 7, &[0; 64])),
        LAN6.frame(&frames6::udp_packet(LAN6.ip, LAN6.router_ip, 7, &[0; 64])),
        LAN6.frame(&frames6::udp_packet(LAN6.ip, frames6::ip6("2001:db8:77::1"), 7, &[0; 64])),
        LAN6.frame(&question),
        with(0, LAN6.router_ip, &behind(&[60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0, 58, 0, 0, 0, 0, 0, 0, 0])),
        with(60, LAN6.router_ip, &behind(&[58, 1, 0x1e, 4, 1, 2, 3, 4, 1, 4, 0, 0, 0, 0, 0, 0])),
        with(44, LAN6.router_ip, &behind(&[58, 0, 0, 0, 0, 0, 0, 1])),
        with(6, LAN6.router_ip, &[0x50; 40]),
        with(58, WAN6.ip, &[1, 4, 0, 0, 0, 0, 0, 0]),
        LAN6.frame(&frames6::fragment(&question, 0, &question[40..840], true, 7)),
        Nd::solicitation(me, LAN6.router_ip).frame(),
        Nd::detection(LAN6.mac, LAN6.router_ip).frame(),
        Nd::unicast_solicitation(local, (LAN6.router_mac, LAN6.router_link_local())).frame(),
        Nd::advertisement(me, (LAN6.router_mac, LAN6.router_ip), nd::SOLICITED | nd::OVERRIDE).frame(),
        Nd::announcement(LAN6.station(0x55), nd::OVERRIDE).frame(),
        Nd::router_solicitation(local).frame(),
        advertisement.frame(),
        nd::query(local, None, 100),
        nd::query(local, Some(frames6::solicited_node(LAN6.router_ip)), 100),
        frames::tagged(100, &Nd::solicitation(me, LAN6.router_ip).frame()),
    ]
}

/// Either bytes at random behind a plausible link header, or a good frame with a few things wrong.
fn frame(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    if random.below(4) == 0 {
        let types = [frames::IP4, frames::ARP, 0x8100, 0x88a8, 0x86dd, random.next() as u16];
        let to: Mac = [LAN.router_mac, frames::BROADCAST, [1, 0, 0x5e, 0, 0, 1]][random.below(3)];
        let length = random.below(1500);
        return frames::ethernet(LAN.mac, to, types[random.below(types.len())], &random.bytes(length));
    }
    let mut frame = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        // Most of the harm can be done in the first 60 bytes.
        let at = 12 + random.below(frame.len().min(60) - 12);
        match random.below(5) {
            0 => frame[at] ^= 1 << random.below(8),
            1 => frame[at] = random.next() as u8,
            2 => frame[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            3 => frame.truncate(at.max(14)),
            _ => {
                let extra = random.below(20);
                let extra = random.bytes(extra);
                frame.splice(at..at, extra);
            }
        }
        frame.resize(frame.len().clamp(14, 1514), 0);
    }
    // With a right checksum a spoilt packet gets further.
    if let Some((header, message)) =
        frames6::ip6_of(&frame).filter(|(header, body)| header.next_header.0 == 58 && body.len() >= 8)
        && random.below(4) > 0
    {
        let mut message = message.to_vec();
        message[2..4].fill(0);
        let sum = frames6::checksum(&header, 58, &message).to_be_bytes();
        frame[56..58].copy_from_slice(&sum);
    }
    let header = 14 + frame.get(14).map_or(0, |first| usize::from(first & 15) * 4);
    if frames::ether_type(&frame) == frames::IP4 && random.below(2) == 0 && (34..=frame.len()).contains(&header) {
        frame[24..26].fill(0);
        let sum = frames::checksum(&frame[14..header]).to_be_bytes();
        frame[24..26].copy_from_slice(&sum);
    }
    frame
}

#[test]
fn twenty_thousand_bad_frames() {
    let lan = "addresses: [192.168.1.1/24]";
    let config = Wires::CONFIG.replace(lan, &format!("{lan}, sub-interfaces: {{100: {{addresses: [10.100.0.1/24]}}}}"));
    bombard(&mut Wires::with(&config), &seeds());
}

#[test]
fn twenty_thousand_bad_frames_of_ip6() {
    let lan = "'2001:db8:1::1/64']";
    let more = "sub-interfaces: {100: {addresses: ['2001:db8:64::1/64']}}, router-advertisements: {interval: 4s}";
    let mut net = Wires::dual_with(&Wires::DUAL.replace(lan, &format!("{lan}, {more}")));
    bombard(&mut net, &seeds6());
    // Fragments wait for others for a minute (RFC 8200 4.5), a buffer each; all else is accounted for.
    eventually("the books balance but for what waits", || {
        let books = Books::read(&net.router);
        let gone = books.sent + books.dropped + books.consumed;
        (books.received + books.made == gone + books.buffers && books.causes == books.dropped).then_some(())
    });
    let end = net.router.end(SIGTERM).code(0);
    assert!(!end.stderr.contains("buffers leaked"), "{}", end.stderr);
}

fn bombard(net: &mut Wires, seeds: &[Vec<u8>]) {
    let mut random = Random(0x4d69_6c6c_7261_6365);
    for batch in 0..40 {
        let frames: Vec<_> = (0..500).map(|_| frame(&mut random, seeds)).collect();
        // After each batch it must still answer and forward.
        net.pass(&frames);
        assert!(net.router.process().ended().is_none(), "it ended in batch {batch}");
    }
    let errors = net.router.run("show errors");
    assert!(!errors.contains("panic"), "{errors}");
    assert!(!net.router.log().contains("panicked"), "{}", net.router.log());
}
