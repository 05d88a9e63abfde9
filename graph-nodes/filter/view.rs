//! What a filter can ask of a packet, read once.

use super::Layer;
use millrace_wire::{Arp, EtherType, Ethernet, FromBytes, IpProtocol, Ipv4, Udp, Vlan};
use std::net::Ipv4Addr;

/// See the fields; a pair is (source, destination).
#[derive(Default)]
pub(super) struct View {
    pub vlan: Option<u16>,
    pub arp: bool,
    /// Of an IPv4 packet.
    pub protocol: Option<IpProtocol>,
    pub addresses: Option<(Ipv4Addr, Ipv4Addr)>,
    pub ports: Option<(u16, u16)>,
}

impl View {
    pub fn of(layer: Layer, packet: &[u8]) -> View {
        let mut view = View::default();
        match layer {
            Layer::Ethernet => view.frame(packet),
            Layer::Arp => view.arp(packet),
            Layer::Ip => view.ip(packet),
        }
        view
    }

    fn frame(&mut self, frame: &[u8]) {
        let Ok((header, mut rest)) = Ethernet::ref_from_prefix(frame) else { return };
        let mut ether_type = header.ether_type();
        if let (EtherType::VLAN, Ok((tag, behind))) = (ether_type, Vlan::ref_from_prefix(rest)) {
            self.vlan = Some(tag.id());
            (ether_type, rest) = (tag.ether_type(), behind);
        }
        match ether_type {
            EtherType::ARP => self.arp(rest),
            EtherType::IPV4 => self.ip(rest),
            _ => {}
        }
    }

    fn arp(&mut self, packet: &[u8]) {
        self.arp = true;
        if let Ok((arp, _)) = Arp::ref_from_prefix(packet)
            && arp.is_ipv4_over_ethernet()
        {
            self.addresses = Some((arp.sender(), arp.target()));
        }
    }

    fn ip(&mut self, packet: &[u8]) {
        let Some((ip, _)) = Ipv4::ref_from_prefix(packet).ok().filter(|(ip, _)| ip.version() == 4) else { return };
        self.protocol = Some(ip.protocol());
        self.addresses = Some((ip.src(), ip.dst()));
        let has_ports = matches!(ip.protocol(), IpProtocol::TCP | IpProtocol::UDP) && !ip.is_later_fragment();
        // Both protocols begin with their ports.
        let transport = packet.get(ip.header_len()..).filter(|_| has_ports);
        if let Some(Ok((ports, _))) = transport.map(Udp::ref_from_prefix) {
            self.ports = Some((ports.src_port(), ports.dst_port()));
        }
    }
}
