//! Packets of any protocol, options and fragment, made as a host would make them for the endpoints that a view says: what a translated
//! packet has to look like.

use super::{Ip, checksum, header, icmp_with, packet};
use etherparse::{Icmpv4Type, IpFragOffset, IpNumber, Ipv4Options, TcpHeader, UdpHeader};
use millrace_tables::flow::{Side, View};
use proptest::prelude::*;

pub fn view(source: Ip, source_port: u16, destination: Ip, destination_port: u16) -> View {
    View::new(source.into(), source_port, destination.into(), destination_port)
}

/// A packet as its sender would make it.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub protocol: u8,
    pub options: Vec<u8>,
    pub tcp_options: Vec<u8>,
    pub data: Vec<u8>,
    /// UDP without a checksum.
    pub unsummed: bool,
    pub icmp: u8,
    /// Which fragment: from and up to a byte of the payload.
    pub piece: Option<(usize, usize)>,
}

impl Sent {
    pub fn bytes(&self, view: &View) -> Vec<u8> {
        let mut header = header(view.source().octets(), view.destination().octets());
        header.protocol = IpNumber(self.protocol);
        header.options = Ipv4Options::try_from(&self.options[..]).unwrap();
        let (from, to) = (view.source_port(), view.destination_port());
        let payload = match self.protocol {
            1 => {
                let id = (from | to).to_be_bytes();
                let kind = Icmpv4Type::Unknown { type_u8: self.icmp, code_u8: 0, bytes5to8: [id[0], id[1], 0, 1] };
                icmp_with([0; 4], [0; 4], kind, &self.data, |_| {})[20..].to_vec()
            }
            6 => {
                let mut tcp = TcpHeader::new(from, to, 7, 500);
                (tcp.ack, tcp.acknowledgment_number) = (true, 9);
                tcp.set_options_raw(&self.tcp_options).unwrap();
                tcp.checksum = tcp.calc_checksum_ipv4(&header, &self.data).unwrap();
                [&tcp.to_bytes()[..], &self.data].concat()
            }
            17 => {
                let mut udp = UdpHeader::with_ipv4_checksum(from, to, &header, &self.data).unwrap();
                udp.checksum = if self.unsummed { 0 } else { udp.checksum };
                [&udp.to_bytes()[..], &self.data].concat()
            }
            // UDP-Lite (RFC 3828) and DCCP (RFC 4340) have theirs where UDP has it, and under it the pseudo header.
            33 | 136 => {
                let mut payload = [&[0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0][..], &self.data].concat();
                let pseudo = [&header.source[..], &header.destination, &[0, self.protocol]].concat();
                let sum = checksum(&[&pseudo, &(payload.len() as u16).to_be_bytes()[..], &payload].concat());
                payload[6..8].copy_from_slice(&sum.to_be_bytes());
                payload
            }
            _ => self.data.clone(),
        };
        let Some((start, end)) = self.piece else { return packet(&header, &payload) };
        let end = end.min(payload.len());
        header.fragment_offset = IpFragOffset::try_new((start / 8) as u16).unwrap();
        header.more_fragments = end < payload.len();
        packet(&header, &payload[start.min(end)..end])
    }
}

pub fn sent() -> impl Strategy<Value = Sent> {
    let words = |max: usize| prop::collection::vec(any::<[u8; 4]>(), 0..max).prop_map(|words| words.concat());
    let protocol = prop::sample::select(vec![1, 6, 17, 6, 17, 33, 47, 50, 132, 136]);
    let icmp = prop::sample::select(vec![0, 8, 13, 14, 15, 16, 17, 18]);
    let data = prop_oneof![prop::collection::vec(any::<u8>(), 66..160), prop::collection::vec(any::<u8>(), 2000..5000)];
    let piece = prop_oneof![
        2 => Just(None),
        1 => Just(Some((0, 104))),
        1 => Just(Some((0, 2408))),
        1 => Just(Some((64, 72))),
        1 => Just(Some((64, 9999)))
    ];
    (protocol, words(10), words(10), data, any::<bool>(), icmp, piece).prop_map(
        |(protocol, options, tcp_options, data, unsummed, icmp, piece)| Sent {
            protocol,
            options,
            tcp_options,
            data,
            unsummed,
            icmp,
            piece,
        },
    )
}

/// Views as flows have them, of ICMP or of others.
pub fn views(icmp: bool, side: Side) -> impl Strategy<Value = View> {
    any::<([u8; 4], [u8; 4], u16, u16)>().prop_map(move |(from, to, port, other)| match (icmp, side) {
        (false, _) => view(from, port, to, other),
        (true, Side::Inside) => view(from, port, to, 0),
        (true, Side::Outside) => view(from, 0, to, port),
    })
}
