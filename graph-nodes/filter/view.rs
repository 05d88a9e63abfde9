//! What a filter can ask of a packet, read once.

use super::Layer;
use millrace_wire::{Arp, EtherType, Ethernet, FromBytes, IpProtocol, Ipv4, Ipv6, Udp, Vlan, upper_layer};
use std::net::IpAddr;

/// See the fields; a pair is (source, destination).
#[derive(Default)]
pub(super) struct View {
    pub vlan: Option<u16>,
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
