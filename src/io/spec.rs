//! What can be opened: plain data, to be filled from any configuration.

use millrace_engine::memory::HugePages;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// A device to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// A network device of the kernel, by packet sockets.
    AfPacket {
        /// The kernel's name of it.
        device: String,
        /// Receive queues: sockets among which the kernel spreads flows; at least 1.
        queues: u16,
    },
    /// A tap device of the kernel, made if it isn't there.
    Tap {
        /// The kernel's name of it.
        device: String,
        /// Queues among which the kernel spreads flows; at least 1.
        queues: u16,
    },
    /// A network device of the kernel, by AF_XDP sockets.
    AfXdp(AfXdp),
    /// Shared memory with another process.
    Memif(Memif),
    /// The network card of a virtual machine.
    VhostUser(VhostUser),
    /// A device by one of DPDK's drivers.
    Dpdk(Dpdk),
    /// Capture files.
    Pcap {
        /// Frames of this file come in.
        read: Option<PathBuf>,
        /// Frames sent go to this file, which is overwritten.
        write: Option<PathBuf>,
        /// How often `read` is played.
        repeat: Repeat,
        /// How fast.
        rate: Rate,
    },
    /// No wire.
    Loopback,
    /// The built-in source and sink.
    Generator(Generator),
}

/// A network device of the kernel, by AF_XDP sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AfXdp {
    /// The kernel's name of it.
    pub device: String,
    /// The first so many of its receive queues; at least 1.
    pub queues: u16,
    /// Where in the kernel its program runs.
    pub mode: XdpMode,
    /// Whether the device itself reads and writes the router's memory.
    pub zero_copy: ZeroCopy,
    /// Whether the kernel's driver works when the worker polls, instead of on interrupts.
    pub busy_poll: bool,
    /// Slots of each ring; a power of two, 64 to 32,768.
    pub ring_size: u32,
}

/// Where in the kernel the program of an AF_XDP device runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver where it can, otherwise in the network stack.
    #[default]
    Auto,
    /// In the device's driver.
    Native,
    /// In the network stack, with any device.
    Generic,
}

/// Whether a device itself reads and writes the router's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroCopy {
    /// Where it can.
    #[default]
    Auto,
    /// Or it is not used.
    Required,
    /// The kernel copies.
    Off,
}

/// Which end of a connection makes its socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Makes it and listens.
    #[default]
    Server,
    /// Connects, again and again until somebody listens.
    Client,
}

/// Shared memory with another process, by the memif protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memif {
    /// The control socket: a path, or `@` and an abstract name.
    pub socket: String,
    /// Which of the socket's interfaces it is.
    pub id: u32,
    /// Server (master) or client (slave).
    pub role: Role,
    /// What both ends have to know; at most 24 bytes.
    pub secret: Option<String>,
    /// Queues each way; at least 1.
    pub queues: u16,
    /// Slots of each ring; a power of two, 32 to 16,384.
    pub ring_size: u32,
    /// Whether the server may reach into all of the router's packets, so that nothing is copied here; a client's choice.
    pub zero_copy: bool,
}

/// The network card of a virtual machine, by the vhost-user protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VhostUser {
    /// The path of the control socket.
    pub socket: String,
    /// Which end of the socket we are.
    pub role: Role,
    /// Queue pairs at most; at least 1.
    pub queues: u16,
    /// Whether the guest may leave checksums and segmentation to us.
    pub offloads: bool,
}

/// A device by one of DPDK's drivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dpdk {
    /// A PCI address, or a virtual device with its arguments, such as `net_null0,size=64`.
    pub device: String,
    /// Queues each way; at least 1.
    pub queues: u16,
    /// Descriptors of each queue.
    pub ring_size: u32,
    /// Whether it takes frames for any address.
    pub promiscuous: bool,
    /// How DPDK is started, by the first of its devices.
    pub eal: Eal,
}

/// How DPDK's environment is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eal {
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Where its own memory comes from; packets lie in the router's.
    pub huge_pages: HugePages,
    /// Its own memory in MiB, with ordinary pages.
    pub memory_mib: u32,
}

/// How fast packets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// As fast as the worker polls.
    Max,
    /// So many packets a second; at least 1.
    PerSecond(u64),
}

/// How often something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// So many times.
    Times(NonZeroU32),
    /// Without end.
    Forever,
}

/// The built-in source and sink; without streams a sink only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generator {
    /// What it sends, in turns.
    pub streams: Vec<Stream>,
    /// The most packets that it gives to one poll; 1 to 256.
    pub burst: u16,
    /// Whether the sink verifies checksums.
    pub check: bool,
    /// Whether the sink measures how long packets take from a source's poll to it.
    pub latency: bool,
}

/// A stream of packets. With several queues each makes its share: every n-th packet, at an n-th of the rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// What its frames are.
    pub frames: Frames,
    /// How fast, over all queues.
    pub rate: Rate,
    /// After how many frames it ends, over all queues; none: never.
    pub count: Option<u64>,
}

/// Where a stream's frames come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frames {
    /// Made from these headers.
    Made(Box<Flow>),
    /// Those of a capture file, over and over.
    Template(PathBuf),
}

/// The headers of made frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Who sends.
    pub source_mac: [u8; 6],
    /// Whom to; none: the interface's own address, so that the router takes the frame.
    pub destination_mac: Option<[u8; 6]>,
    /// One 802.1Q tag, or none.
    pub vlan: Option<u16>,
    /// Source addresses.
    pub source: AddressRange,
    /// Destination addresses, of the same family.
    pub destination: AddressRange,
    /// What follows the IP header.
    pub protocol: Protocol,
    /// Source ports; unused with ICMP.
    pub source_ports: PortRange,
    /// Destination ports; unused with ICMP.
    pub destination_ports: PortRange,
    /// Sizes of the frames.
    pub size: FrameSize,
    /// How it walks through its ranges.
    pub order: Order,
}

/// Addresses from first to last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    /// The lowest.
    pub first: IpAddr,
    /// The highest; of the same family, and at least `first`.
    pub last: IpAddr,
}

/// Ports from first to last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest; at least `first`.
    pub last: u16,
}

/// Sizes of Ethernet frames in bytes with their check sequence of 4, as RFC 2544 clause 9.1 counts; 64 to 9238. Frames that
/// are too short for the headers of IPv6 are as long as those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameSize {
    /// All the same.
    Fixed(u16),
    /// From the first to the second, both included.
    Range(u16, u16),
    /// Of twelve frames seven of 64, four of 594 and one of 1518, mixed.
    Imix,
}

/// What follows the IP header of a made frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// UDP with a right checksum.
    Udp,
    /// TCP segments with ACK set.
    Tcp,
    /// ICMP or ICMPv6 echo requests.
    Icmp,
}

/// How a stream walks through its ranges of addresses, ports and sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Every range steps on by one with each frame and starts again at its end.
    Sequential,
    /// Each range by itself, at random; the same sequence at every start, which comes again after at most 1,048,576 frames.
    Random,
    /// Every combination of the ranges' values once, in a random order that is the same at every start; then over and over in
    /// another one, so that a table which the first round has filled is not read in the order of its entries. At most
    /// [`Order::SHUFFLED_MAX`] combinations.
    Shuffled,
}

impl Order {
    /// The most combinations that can be shuffled: each takes 64 bytes of memory.
    pub const SHUFFLED_MAX: u64 = 1 << 21;
}

impl Flow {
    /// UDP frames of 64 bytes between these addresses, from port 1024 to 9 (discard).
    #[must_use]
    pub fn new(source: AddressRange, destination: AddressRange) -> Flow {
        Flow {
            source_mac: [2, 0, 0, 0, 0, 1],
            destination_mac: None,
            vlan: None,
            source,
            destination,
            protocol: Protocol::Udp,
            source_ports: PortRange { first: 1024, last: 1024 },
            destination_ports: PortRange { first: 9, last: 9 },
            size: FrameSize::Fixed(64),
            order: Order::Sequential,
        }
    }
}

/// Spreads the bits of a number over all of its bits (the finalizer of SplitMix64).
pub(crate) const fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
