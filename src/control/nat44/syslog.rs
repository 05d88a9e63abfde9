//! Mappings of NAT as syslog messages: RFC 5424 over UDP (RFC 5426), with structured data that carries the names of the
//! information elements which RFC 8158 uses for the same events in IPFIX.
//!
//! Sending never waits: what the system can't take at once is lost, and counted.

use crate::control::time;
use millrace_wire::IpProtocol;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::SystemTime;

/// Facility local0 (16) and severity informational (6): RFC 5424 section 6.2.1.
const PRIORITY: u8 = 16 * 8 + 6;
/// Facility local0 and severity warning (4).
const PRIORITY_WARNING: u8 = 16 * 8 + 4;
/// The project has no enterprise number of its own: that of examples (RFC 5612).
const SD_ID: &str = "nat44@32473";
/// natEvent of IPFIX: "NAT44 BIB delete" and "NAT44 BIB create" (RFC 8158), in this order.
const BIB: [&str; 2] = ["9", "8"];

/// A mapping that came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// When.
    pub time: SystemTime,
    /// Whether it came.
    pub added: bool,
    /// The number of its protocol.
    pub protocol: u8,
    /// The VRF of the inside host.
    pub vrf: String,
    /// The inside host, with the port that it uses or the identifier of its queries.
    pub inside: SocketAddrV4,
    /// What is seen of that outside.
    pub outside: SocketAddrV4,
}

impl Mapped {
    /// In words: `tcp 192.168.1.10:40000 as 203.0.113.2:40000`.
    pub fn text(&self) -> String {
        let Mapped { inside, outside, .. } = self;
        let vrf = if self.vrf == millrace_config::DEFAULT_VRF { String::new() } else { format!(" vrf {}", self.vrf) };
        format!("{} {inside} as {outside}{vrf}", IpProtocol(self.protocol))
    }
}

/// Sends to one collector.
#[derive(Debug)]
pub struct Syslog {
    socket: UdpSocket,
    collector: SocketAddr,
    /// What follows the time: host, program and process.
    origin: String,
    lost: u64,
}

impl Syslog {
    /// To a collector, which needs not be reachable yet.
    ///
    /// # Errors
    /// The system has no socket.
    pub fn to(collector: SocketAddr) -> io::Result<Syslog> {
        let any = match collector {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        let origin = format!("{} millrace {}", host_name(), std::process::id());
        Ok(Syslog { socket, collector, origin, lost: 0 })
    }

    /// Messages that the system did not take.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Tells of a mapping.
    pub fn mapped(&mut self, mapped: &Mapped) {
        let text = message(&self.origin, mapped);
        self.send(&text);
    }

    /// Tells that messages were left out.
    pub fn suppressed(&mut self, count: u64, at: SystemTime) {
        let (origin, time) = (&self.origin, time::millis(at));
        let data = format!("[{SD_ID} suppressed=\"{count}\"]");
        let text = format!("<{PRIORITY_WARNING}>1 {time} {origin} nat44-suppressed {data} {count} events left out");
        self.send(&text);
    }

    fn send(&mut self, message: &str) {
        if self.socket.send_to(message.as_bytes(), self.collector).is_err() {
            self.lost += 1;
        }
    }
}

/// RFC 5424 section 6: `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [SD] MSG`.
fn message(origin: &str, mapped: &Mapped) -> String {
    let Mapped { time, added, protocol, vrf, inside, outside } = mapped;
    let kind = if *added { "nat44-bib-create" } else { "nat44-bib-delete" };
    let elements = [
        ("natEvent", BIB[usize::from(*added)].to_owned()),
        ("protocolIdentifier", protocol.to_string()),
        ("VRFname", vrf.clone()),
        ("sourceIPv4Address", inside.ip().to_string()),
        ("sourceTransportPort", inside.port().to_string()),
        ("postNATSourceIPv4Address", outside.ip().to_string()),
        ("postNAPTSourceTransportPort", outside.port().to_string()),
    ];
    let data: String = elements.iter().map(|(name, value)| format!(" {name}=\"{value}\"")).collect();
    let (time, text) = (time::millis(*time), mapped.text());
    format!("<{PRIORITY}>1 {time} {origin} {kind} [{SD_ID}{data}] {text}")
}

/// The name of this machine as a message may carry it: RFC 5424 section 6.2.4, `-` for none.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn mapped(added: bool, protocol: u8, vrf: &str) -> Mapped {
        let time = UNIX_EPOCH + Duration::from_millis(1_795_294_561_123);
        let [inside, outside] = ["192.168.1.10:40000", "203.0.113.2:1024"].map(|a| a.parse().unwrap());
        Mapped { time, added, protocol, vrf: vrf.to_owned(), inside, outside }
    }

    #[test]
    fn messages() {
        assert_eq!(
            message("router millrace 77", &mapped(true, 6, "default")),
            "<134>1 2026-11-21T20:56:01.123Z router millrace 77 nat44-bib-create [nat44@32473 natEvent=\"8\" \
             protocolIdentifier=\"6\" VRFname=\"default\" sourceIPv4Address=\"192.168.1.10\" sourceTransportPort=\"40000\" \
             postNATSourceIPv4Address=\"203.0.113.2\" postNAPTSourceTransportPort=\"1024\"] \
             tcp 192.168.1.10:40000 as 203.0.113.2:1024"
        );
        let gone = message("- millrace 77", &mapped(false, 132, "blue"));
        assert!(
            gone.contains(" - millrace 77 nat44-bib-delete [nat44@32473 natEvent=\"9\" protocolIdentifier=\"132\" ")
        );
        assert!(gone.ends_with("] 132 192.168.1.10:40000 as 203.0.113.2:1024 vrf blue"), "{gone}");
    }

    #[test]
    fn a_collector_hears_them() {
        let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
        collector.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut syslog = Syslog::to(collector.local_addr().unwrap()).unwrap();
        syslog.mapped(&mapped(true, 17, "default"));
        syslog.suppressed(42, mapped(true, 6, "").time);
        let heard = || {
            let mut bytes = [0; 2048];
            let len = collector.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..len].to_vec()).unwrap()
        };
        let (first, second) = (heard(), heard());
        let origin = format!("{} millrace {}", host_name(), std::process::id());
        assert_eq!(first, message(&origin, &mapped(true, 17, "default")));
        let end = format!("{origin} nat44-suppressed [nat44@32473 suppressed=\"42\"] 42 events left out");
        assert_eq!(second, format!("<132>1 2026-11-21T20:56:01.123Z {end}"));
        assert_eq!(syslog.lost(), 0);
    }

    #[test]
    fn what_can_not_be_sent_is_counted() {
        // Broadcasting takes a permission that this socket does not ask for.
        let mut syslog = Syslog::to("255.255.255.255:514".parse().unwrap()).unwrap();
        syslog.suppressed(1, SystemTime::now());
        syslog.suppressed(2, SystemTime::now());
        assert_eq!(syslog.lost(), 2);
    }
}
