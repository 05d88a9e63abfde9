//! `driver: dpdk`: a device that DPDK drives; and `dpdk`: how DPDK itself is started, once in a process.

use crate::{
    buffers::HugePages,
    decode::{Fields, Scalar, Unreadable},
    diagnostic::Reader,
    driver,
    socket::ring_size,
    units::ByteSize,
    yaml::Node,
};

/// `driver: dpdk`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dpdk {
    /// Which device: a PCI address with its domain in lower case, or a virtual device with its arguments.
    pub device: String,
    /// Queues each way, among which the device spreads flows; 1 to [`Driver::MAX_QUEUES`](crate::Driver::MAX_QUEUES), default 1.
    pub queues: u16,
    /// Descriptors of each ring; a power of two from 32 to 16384, default [`Dpdk::RING_SIZE`].
    pub ring_size: u32,
    /// Whether frames for any address come in; default true.
    pub promiscuous: bool,
}

/// `dpdk`: DPDK's environment (EAL), which starts with the first interface of driver dpdk and stays as it is until the daemon ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eal {
    /// Whether DPDK's own memory lies in huge pages.
    pub huge_pages: HugePages,
    /// How much memory it takes for its own use; 16 MiB to 64 GiB in whole MiB, default 64 MiB. Packets don't live there.
    pub memory: ByteSize,
    /// Further arguments, as on the command line of a DPDK program.
    pub arguments: Vec<String>,
}

impl Dpdk {
    /// The descriptors of each ring by default.
    pub const RING_SIZE: u32 = 1024;

    /// What DPDK calls the device: what stands before the arguments.
    pub(crate) fn name(&self) -> &str {
        self.device.split(',').next().unwrap_or_default()
    }

    pub(crate) fn decode(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Self> {
        let device = fields.required("device", reader).map(|Device(device)| device);
        let queues = driver::queues(fields, reader);
        let ring_size = ring_size(fields, 1 << 5..=1 << 14, Self::RING_SIZE, reader);
        let promiscuous = fields.scalar("promiscuous", reader).unwrap_or(true);
        Some(Self { device: device?, queues, ring_size, promiscuous })
    }

    pub(crate) fn encode(&self, node: Node) -> Node {
        node.with("device", Node::text(&self.device))
            .with_unless(&1, "queues", &self.queues)
            .with_unless(&Self::RING_SIZE, "ring-size", &self.ring_size)
            .with_unless(&true, "promiscuous", &self.promiscuous)
    }
}

struct Device(String);

impl Scalar for Device {
    const WANTED: &'static str = "a PCI address such as 0000:8a:00.0, or a virtual device such as net_null0,size=64";
    fn read(text: &str) -> Result<Self, Unreadable> {
        // DPDK's limit for names of devices, with a zero behind it (RTE_DEV_NAME_MAX_LEN).
        const NAME: usize = 63;
        let name = text.split(',').next().unwrap_or_default();
        let word = name.strip_prefix("net_").filter(|word| !word.is_empty() && name.len() <= NAME);
        let virtual_device = word.is_some_and(|word| word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        let name = pci(name).or_else(|| virtual_device.then(|| name.to_owned()));
        let arguments = text.find(',').map_or("", |at| &text[at..]);
        let plain = !arguments.contains(|c: char| c.is_control() || c.is_whitespace());
        let device = name.filter(|_| plain).map(|name| Self(name + arguments));
        device.ok_or_else(|| Unreadable::wanted(Self::WANTED))
    }
}

/// A PCI address, `[domain:]bus:device.function` in hexadecimal, with its domain and in lower case.
fn pci(text: &str) -> Option<String> {
    let (rest, function) = text.split_once('.')?;
    let parts: Vec<&str> = rest.split(':').collect();
    let (domain, bus, device) = match parts[..] {
        [bus, device] => ("0000", bus, device),
        [domain, bus, device] => (domain, bus, device),
        _ => return None,
    };
    let hex = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    let right = hex(domain, 4) && hex(bus, 2) && hex(device, 2) && matches!(function.as_bytes(), [b'0'..=b'7']);
    right.then(|| format!("{domain}:{bus}:{device}.{function}").to_ascii_lowercase())
}

impl Eal {
    /// The least memory.
    pub const MEMORY_MIN: ByteSize = ByteSize(16 << 20);
    /// The most memory.
    pub const MEMORY_MAX: ByteSize = ByteSize(64 << 30);

    /// The memory in MiB.
    pub fn memory_mib(&self) -> u32 {
        u32::try_from(self.memory.0 >> 20).unwrap_or(u32::MAX)
    }

    pub(crate) fn decode(node: &Node, reader: &mut Reader) -> Self {
        let mut eal = Self::default();
        let Some(mut fields) = Fields::open(node, "dpdk", "dpdk", reader) else { return eal };
        eal.huge_pages = fields.scalar("huge-pages", reader).unwrap_or(eal.huge_pages);
        eal.memory = fields.read("memory", reader, memory).unwrap_or(eal.memory);
        let arguments = fields.list("arguments", reader, argument).unwrap_or_default();
        eal.arguments = arguments.into_iter().map(|(argument, _)| argument).collect();
        fields.close(reader);
        eal
    }

    pub(crate) fn encode(&self) -> Node {
        let default = Self::default();
        let node = Node::map().with_unless(&default.huge_pages, "huge-pages", &self.huge_pages).with_unless(
            &default.memory,
            "memory",
            &self.memory,
        );
        if self.arguments.is_empty() {
            return node;
        }
        node.with("arguments", Node::list(self.arguments.iter().map(Node::text)))
    }
}

impl Default for Eal {
    fn default() -> Self {
        Self { huge_pages: HugePages::Auto, memory: ByteSize(64 << 20), arguments: Vec::new() }
    }
}

fn memory(text: &str) -> Result<ByteSize, Unreadable> {
    let right = |size: &ByteSize| (Eal::MEMORY_MIN..=Eal::MEMORY_MAX).contains(size) && size.0.is_multiple_of(1 << 20);
    let wanted = || Unreadable::wanted(format_args!("whole MiB from {} to {}", Eal::MEMORY_MIN, Eal::MEMORY_MAX));
    text.parse().ok().filter(right).ok_or_else(wanted)
}

/// One argument. What the configuration has keys for is not given twice.
fn argument(text: &str) -> Result<String, Unreadable> {
    /// What DPDK calls what the configuration has keys for.
    const OURS: &[(&str, &str)] = &[("-m", "`memory`"), ("--no-huge", "`huge-pages: off`")];
    let word = text.split('=').next().unwrap_or_default();
    if let Some((_, instead)) = OURS.iter().find(|(ours, _)| *ours == word) {
        return Err(Unreadable::wanted(format_args!("{instead} in its place")));
    }
    if text.is_empty() || text.contains('\0') {
        return Err(Unreadable::wanted("an argument of DPDK's environment, such as --log-level=lib.eal:debug"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices() {
        for (text, device) in [
            ("0000:8a:00.0", "0000:8a:00.0"),
            ("8A:00.7", "0000:8a:00.7"),
            ("8a:00.0,txq_inline_max=0", "0000:8a:00.0,txq_inline_max=0"),
            ("net_null0", "net_null0"),
            ("net_af_packet0,iface=veth0,blocksz=4096", "net_af_packet0,iface=veth0,blocksz=4096"),
        ] {
            assert_eq!(Device::read(text).map(|Device(device)| device), Ok(device.to_owned()));
        }
        for bad in
            ["", "eth0", "net_", "net_null0 size=64", "8a:00.8", "8a:0.0", "00000:8a:00.0", "0000:8a:00", "net_n/0"]
        {
            assert!(Device::read(bad).is_err(), "{bad:?} must be refused");
        }
    }
}
