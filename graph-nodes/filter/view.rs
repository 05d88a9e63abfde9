//! What a filter can ask of a packet, read once.

use super::Layer;
use millrace_wire::{Arp, EtherType, Ethernet, FromBytes, IpProtocol, Ipv4, Ipv6, MacAddr, Udp, Vlan, upper_layer};
use std::net::IpAddr;

/// See the fields; a pair is (source, destination).
#[derive(Default)]
pub(super) struct View {
    pub macs: Option<(MacAddr, MacAddr)>,
    /// The outer tag's and the inner one's.
    pub vlans: [Option<u16>; 2],
    /// Behind the tags.
    pub ether_type: Option<EtherType>,
    pub arp: bool,
    /// Of an IP packet.
    pub version: Option<u8>,
    pub protocol: Option<IpProtocol>,
    pub addresses: Option<(IpAddr, IpAddr)>,
    pub ports: Option<(u16, u16)>,
}

impl View {
    pub fn of(layer: Layer, packet: &[u8]) -> View {
        let mut view = View::default();
        match layer {
            Layer::Ethernet => view.frame(packet),
            Layer::Arp => view.arp(packet),
            Layer::Ip => view.ip(packet),
            Layer::Either if begins_with_ip(packet) => view.ip(packet),
            Layer::Either => view.frame(packet),
        }
        view
    }

    fn frame(&mut self, frame: &[u8]) {
        let Ok((header, mut rest)) = Ethernet::ref_from_prefix(frame) else { return };
        self.macs = Some((header.src, header.dst));
        let mut ether_type = header.ether_type();
        for vlan in &mut self.vlans {
            if let (EtherType::VLAN | EtherType::SERVICE_VLAN, Ok((tag, behind))) =
                (ether_type, Vlan::ref_from_prefix(rest))
            {
                *vlan = Some(tag.id());
                (ether_type, rest) = (tag.ether_type(), behind);
            }
        }
        self.ether_type = Some(ether_type);
        match ether_type {
            EtherType::ARP => self.arp(rest),
            EtherType::IPV4 | EtherType::IPV6 => self.ip(rest),
            _ => {}
        }
    }

    fn arp(&mut self, packet: &[u8]) {
        self.arp = true;
        if let Ok((arp, _)) = Arp::ref_from_prefix(packet)
            && arp.is_ipv4_over_ethernet()
        {
            self.addresses = Some((arp.sender().into(), arp.target().into()));
        }
    }

    fn ip(&mut self, packet: &[u8]) {
        match packet.first().map(|first| first >> 4) {
            Some(4) => self.ip4(packet),
            Some(6) => self.ip6(packet),
            _ => {}
        }
    }

    fn ip4(&mut self, packet: &[u8]) {
        let Ok((ip, _)) = Ipv4::ref_from_prefix(packet) else { return };
        (self.version, self.protocol) = (Some(4), Some(ip.protocol()));
        self.addresses = Some((ip.src().into(), ip.dst().into()));
        if !ip.is_later_fragment() {
            self.ports(ip.protocol(), packet.get(ip.header_len()..));
        }
    }

    fn ip6(&mut self, packet: &[u8]) {
        let Ok((ip, _)) = Ipv6::ref_from_prefix(packet) else { return };
        (self.version, self.protocol) = (Some(6), Some(ip.next_header()));
        self.addresses = Some((ip.src().into(), ip.dst().into()));
        if let Some((protocol, at)) = upper_layer(packet) {
            self.protocol = Some(protocol);
            self.ports(protocol, packet.get(at..));
        }
    }

    /// TCP and UDP begin with their ports.
    fn ports(&mut self, protocol: IpProtocol, transport: Option<&[u8]>) {
        let transport = transport.filter(|_| matches!(protocol, IpProtocol::TCP | IpProtocol::UDP));
        if let Some(Ok((ports, _))) = transport.map(Udp::ref_from_prefix) {
            self.ports = Some((ports.src_port(), ports.dst_port()));
        }
    }
}

/// Whether bytes that begin with an Ethernet header or an IP header do so with the latter. An IP header is known by its checksum or
/// its length, a frame by an EtherType and what follows that; what is neither by the version that it would have.
fn begins_with_ip(bytes: &[u8]) -> bool {
    let version = bytes.first().map(|first| first >> 4);
    let whole = match version {
        Some(4) => Ipv4::ref_from_prefix(bytes).is_ok_and(|(ip, _)| ip.is_plain() && ip.checksum_ok()),
        Some(6) => {
            Ipv6::ref_from_prefix(bytes).is_ok_and(|(ip, _)| Ipv6::LEN + usize::from(ip.payload_len()) == bytes.len())
        }
        _ => return false,
    };
    let frame = || {
        let Ok((header, rest)) = Ethernet::ref_from_prefix(bytes) else { return false };
        let inside = rest.first().map(|first| first >> 4);
        match header.ether_type() {
            EtherType::IPV4 => inside == Some(4),
            EtherType::IPV6 => inside == Some(6),
            EtherType::ARP => rest.starts_with(&[0, 1]),
            EtherType::VLAN | EtherType::SERVICE_VLAN | EtherType::LLDP | EtherType::SLOW_PROTOCOLS => true,
            _ => false,
        }
    };
    whole || !frame()
}
