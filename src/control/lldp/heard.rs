//! What a neighbour tells, taken from its frame (IEEE 802.1AB-2016 clause 9.2.8.7): anybody can send one, so all of it is checked, bounded,
//! and made fit to be printed.

use millrace_wire::MacAddr;
use millrace_wire::lldp::{
    LldpCapabilities, LldpId, LldpIdKind, LldpTlv, LldpTlvs, LldpType, ManagementAddress, oui, subtype,
};

/// Management addresses, and names of VLANs, that are kept of a neighbour.
const MOST: usize = 16;
/// The longest text of a TLV (clause 8.5.5).
const MAX_TEXT: usize = 255;
/// The longest name of a VLAN (IEEE 802.1Q clause D.2.3).
const MAX_VLAN_NAME: usize = 32;

/// The name of a system or a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// What kind of name it is.
    pub kind: LldpIdKind,
    /// The name as it was sent.
    pub bytes: Vec<u8>,
    /// The name as it is printed.
    pub text: String,
}

/// What a neighbour tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The system.
    pub chassis: Id,
    /// Its port.
    pub port: Id,
    /// For how many seconds it holds; 0: no more.
    pub ttl: u16,
    /// What the port is called.
    pub port_description: Option<String>,
    /// What the system is called.
    pub system_name: Option<String>,
    /// What it is.
    pub system_description: Option<String>,
    /// What it can do, and does.
    pub capabilities: Option<(LldpCapabilities, LldpCapabilities)>,
    /// Where it is managed.
    pub management: Vec<String>,
    /// The VLAN of untagged frames; 0: it has none.
    pub port_vlan: Option<u16>,
    /// VLANs with their names.
    pub vlans: Vec<(u16, String)>,
    /// The longest frame with header and checksum, in bytes.
    pub max_frame_size: Option<u16>,
    /// TLVs that were left out, as they are none.
    pub discarded: u32,
    /// TLVs that are not known here.
    pub unrecognized: u32,
}

/// Why a frame is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A TLV ends behind the frame.
    Truncated,
    /// It doesn't begin with chassis, port and TTL.
    Incomplete,
    /// What there may be only one of is there twice.
    Repeated,
}

impl Heard {
    /// Reads what follows the Ethernet header.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn read(pdu: &[u8]) -> Result<Heard, Refused> {
        let mut tlvs = LldpTlvs::new(pdu);
        let mut first = |kind: LldpType| match tlvs.next() {
            Some(Ok(tlv)) if tlv.kind == kind => Ok(tlv.value),
            Some(Err(_)) => Err(Refused::Truncated),
            _ => Err(Refused::Incomplete),
        };
        let chassis = LldpId::chassis(first(LldpType::CHASSIS_ID)?).ok_or(Refused::Incomplete)?;
        let port = LldpId::port(first(LldpType::PORT_ID)?).ok_or(Refused::Incomplete)?;
        let ttl = first(LldpType::TTL)?.first_chunk().ok_or(Refused::Incomplete)?;
        let mut heard = Heard {
            chassis: Id::of(&chassis),
            port: Id::of(&port),
            ttl: u16::from_be_bytes(*ttl),
            port_description: None,
            system_name: None,
            system_description: None,
            capabilities: None,
            management: Vec::new(),
            port_vlan: None,
            vlans: Vec::new(),
            max_frame_size: None,
            discarded: 0,
            unrecognized: 0,
        };
        // Who says good-bye has nothing more to tell.
        if heard.ttl == 0 {
            return Ok(heard);
        }
        for tlv in tlvs {
            heard.take(&tlv.map_err(|_| Refused::Truncated)?)?;
        }
        Ok(heard)
    }

    fn take(&mut self, tlv: &LldpTlv<'_>) -> Result<(), Refused> {
        let text = || Some(printable(tlv.value)).filter(|_| tlv.value.len() <= MAX_TEXT);
        let good = match tlv.kind {
            LldpType::CHASSIS_ID | LldpType::PORT_ID | LldpType::TTL => return Err(Refused::Repeated),
            LldpType::PORT_DESCRIPTION => once(&mut self.port_description, text())?,
            LldpType::SYSTEM_NAME => once(&mut self.system_name, text())?,
            LldpType::SYSTEM_DESCRIPTION => once(&mut self.system_description, text())?,
            LldpType::CAPABILITIES => once(&mut self.capabilities, LldpCapabilities::read(tlv.value))?,
            LldpType::MANAGEMENT_ADDRESS => several(&mut self.management, management(tlv.value)),
            LldpType::ORGANIZATION => self.take_organization(tlv),
            _ => {
                self.unrecognized += 1;
                true
            }
        };
        self.discarded += u32::from(!good);
        Ok(())
    }

    fn take_organization(&mut self, tlv: &LldpTlv<'_>) -> bool {
        let number = |value: &[u8]| <[u8; 2]>::try_from(value).ok().map(u16::from_be_bytes);
        match tlv.organization() {
            Some((oui::IEEE_802_1, subtype::PORT_VLAN, value)) => {
                self.port_vlan = number(value);
                self.port_vlan.is_some()
            }
            Some((oui::IEEE_802_1, subtype::VLAN_NAME, value)) => several(&mut self.vlans, vlan(value)),
            Some((oui::IEEE_802_3, subtype::MAX_FRAME_SIZE, value)) => {
                self.max_frame_size = number(value);
                self.max_frame_size.is_some()
            }
            Some(_) => {
                self.unrecognized += 1;
                true
            }
            None => false,
        }
    }

    /// Whether it says the same, as far as an operator sees.
    pub fn says_as(&self, other: &Heard) -> bool {
        let anyhow = |heard: &Heard| Heard { ttl: 0, ..heard.clone() };
        anyhow(self) == anyhow(other)
    }
}

/// Keeps what there may be one of. Whether it is good.
fn once<T>(kept: &mut Option<T>, value: Option<T>) -> Result<bool, Refused> {
    if kept.is_some() {
        return Err(Refused::Repeated);
    }
    *kept = value;
    Ok(kept.is_some())
}

/// Keeps what there may be several of. Whether it is good, and there is room.
fn several<T: PartialEq>(kept: &mut Vec<T>, value: Option<T>) -> bool {
    match value {
        Some(value) if kept.contains(&value) => true,
        Some(value) if kept.len() < MOST => {
            kept.push(value);
            true
        }
        _ => false,
    }
}

fn management(value: &[u8]) -> Option<String> {
    let address = ManagementAddress::read(value)?;
    let mac = || <[u8; 6]>::try_from(address.address).ok().map(|mac| MacAddr(mac).to_string());
    let ip = address.ip().map(|ip| ip.to_string());
    Some(ip.or_else(mac).unwrap_or_else(|| format!("family {}: {}", address.family, hex(address.address))))
}

fn vlan(value: &[u8]) -> Option<(u16, String)> {
    let (number, rest) = value.split_first_chunk::<2>()?;
    let (&len, name) = rest.split_first()?;
    let good = usize::from(len) == name.len() && name.len() <= MAX_VLAN_NAME;
    good.then(|| (u16::from_be_bytes(*number), printable(name)))
}

impl Id {
    fn of(id: &LldpId<'_>) -> Id {
        let text = match (id.mac(), id.address()) {
            (Some(mac), _) => mac.to_string(),
            (_, Some(address)) => address.to_string(),
            _ if matches!(id.kind, LldpIdKind::NetworkAddress | LldpIdKind::Reserved(_)) => hex(id.id),
            // Some call numbers names.
            _ if id.id.iter().any(|byte| byte.is_ascii_control()) => hex(id.id),
            _ => printable(id.id),
        };
        Id { kind: id.kind, bytes: id.id.to_vec(), text }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// Text that does nothing to a terminal: white space becomes a space, what can't be printed U+FFFD.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let safe = |c: char| match c {
        c if c.is_whitespace() => ' ',
        // Marks that turn the direction of writing make one name look like another.
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.trim_end_matches('\0').chars().map(safe).collect::<String>().trim().to_owned()
}
