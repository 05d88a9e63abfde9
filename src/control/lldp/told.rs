//! What the router tells: the frame of an interface.

use millrace_wire::lldp::{
    LldpCapabilities, LldpId, LldpTlv, LldpType, ManagementAddress, NEAREST_BRIDGE, oui, subtype,
};
use millrace_wire::{EtherType, Ethernet, IntoBytes, MacAddr};
use std::net::IpAddr;

/// The longest frame's payload: what doesn't fit is left out.
const MOST: usize = 1500;
/// The longest name of a VLAN (IEEE 802.1Q clause D.2.3).
const MAX_VLAN_NAME: usize = 32;
/// Which TLV of IEEE 802.1 tells of a bond: what of it, in a byte, and its number (IEEE 802.1Q clause D.2.7).
const LINK_AGGREGATION: u8 = 7;
/// The link can be one of several, and is.
const AGGREGATED: u8 = 3;

/// What is told of the router and one of its interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What names the router.
    pub chassis: MacAddr,
    /// What the frame comes from.
    pub source: MacAddr,
    /// The interface's name.
    pub port: String,
    /// What it is.
    pub port_description: String,
    /// For how many seconds it holds.
    pub ttl: u16,
    /// The router's name.
    pub system_name: String,
    /// What it is.
    pub system_description: String,
    /// What it can do.
    pub can: LldpCapabilities,
    /// What of that it does.
    pub does: LldpCapabilities,
    /// Where it is managed, and the number of the interface that has the address.
    pub management: Vec<(IpAddr, u32)>,
    /// The VLAN of untagged frames, on a port of a bridge with VLANs.
    pub port_vlan: Option<u16>,
    /// VLANs with their names.
    pub vlans: Vec<(u16, String)>,
    /// The number of the bond that it is a member of.
    pub bond: Option<u32>,
    /// The longest frame with header and checksum, in bytes.
    pub max_frame_size: u16,
}

struct Pdu(Vec<u8>);

impl Pdu {
    /// One more TLV, if there is room for it and the end.
    fn put(&mut self, kind: LldpType, value: &[&[u8]]) {
        let len = value.iter().map(|part| part.len()).sum::<usize>();
        let room = MOST + Ethernet::LEN - 2;
        if len <= LldpTlv::MAX && self.0.len() + 2 + len <= room {
            self.0.extend(LldpTlv::header(kind, len));
            value.iter().for_each(|part| self.0.extend(*part));
        }
    }

    fn put_text(&mut self, kind: LldpType, text: &str) {
        if !text.is_empty() {
            self.put(kind, &[cut(text, LldpId::MAX)]);
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend(LldpTlv::header(LldpType::END, 0));
        self.0
    }
}

/// The front of a text: whole characters, at most so many bytes.
fn cut(text: &str, most: usize) -> &[u8] {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.as_bytes().get(..end).unwrap_or_default()
}

impl Told {
    /// What a frame begins with: who tells, and for how long that holds.
    fn begin(&self, ttl: u16) -> Pdu {
        let header = Ethernet::new(NEAREST_BRIDGE, self.source, EtherType::LLDP);
        let mut pdu = Pdu(header.as_bytes().to_vec());
        pdu.put(LldpType::CHASSIS_ID, &[&[LldpId::CHASSIS_MAC], &self.chassis.0]);
        pdu.put(LldpType::PORT_ID, &[&[LldpId::PORT_INTERFACE_NAME], cut(&self.port, LldpId::MAX)]);
        pdu.put(LldpType::TTL, &[&ttl.to_be_bytes()]);
        pdu
    }

    /// The frame.
    pub fn frame(&self) -> Vec<u8> {
        let mut pdu = self.begin(self.ttl);
        pdu.put_text(LldpType::PORT_DESCRIPTION, &self.port_description);
        pdu.put_text(LldpType::SYSTEM_NAME, &self.system_name);
        pdu.put_text(LldpType::SYSTEM_DESCRIPTION, &self.system_description);
        pdu.put(LldpType::CAPABILITIES, &[&self.can.0.to_be_bytes(), &self.does.0.to_be_bytes()]);
        for (address, interface) in &self.management {
            let (family, octets) = match address {
                IpAddr::V4(address) => (1, address.octets().to_vec()),
                IpAddr::V6(address) => (2, address.octets().to_vec()),
            };
            let head = [octets.len() as u8 + 1, family];
            let counted = [ManagementAddress::IF_INDEX];
            pdu.put(LldpType::MANAGEMENT_ADDRESS, &[&head, &octets, &counted, &interface.to_be_bytes(), &[0]]);
        }
        let mut organization = |oui: [u8; 3], subtype: u8, value: &[&[u8]]| {
            let head = [&oui[..], &[subtype]];
            pdu.put(LldpType::ORGANIZATION, &[&head, value].concat());
        };
        if let Some(vlan) = self.port_vlan {
            organization(oui::IEEE_802_1, subtype::PORT_VLAN, &[&vlan.to_be_bytes()]);
        }
        if let Some(bond) = self.bond {
            organization(oui::IEEE_802_1, LINK_AGGREGATION, &[&[AGGREGATED], &bond.to_be_bytes()]);
        }
        let size = self.max_frame_size.to_be_bytes();
        organization(oui::IEEE_802_3, subtype::MAX_FRAME_SIZE, &[&size]);
        for (vlan, name) in &self.vlans {
            let name = cut(name, MAX_VLAN_NAME);
            organization(oui::IEEE_802_1, subtype::VLAN_NAME, &[&vlan.to_be_bytes(), &[name.len() as u8], name]);
        }
        pdu.end()
    }

    /// The frame that says good-bye (clause 9.2.7.4: the shutdown LLDPDU).
    pub fn good_bye(&self) -> Vec<u8> {
        self.begin(0).end()
    }
}
