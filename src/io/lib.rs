//! Devices: what moves packets between the engine and the world, behind one trait.
//!
//! [`open`] turns a [`Spec`] into a [`Device`], which control keeps: it hands out the queues that workers poll and send by,
//! and answers for link, address, MTU and statistics. When a device is missing, or went away, control waits for
//! [`link_watch`] to say that something changed and opens it again.
//!
//! | file | what |
//! |---|---|
//! | `device` `spec` | the trait, and what can be opened |
//! | `af_packet` | a network device of the kernel, by packet sockets |
//! | `af_xdp` | the same, by AF_XDP sockets: packets lie in the router's memory from the start |
//! | `tap` | a device that the kernel sees and we are the wire of |
//! | `memif` | shared memory with another process |
//! | `vhost_user` | the network card of a virtual machine |
//! | `pcap` | capture files |
//! | `loopback` | no wire at all |
//! | `generator` | the built-in source and sink of traffic |
//! | `segment` | undoing what peers leave to their hardware: checksums and segmentation |
//! | `kernel_ip6` | the kernel's own IPv6 on a device, off while it is the router's |
//! | `netlink` | network devices of the kernel: looking them up, changing them, hearing of changes |
//! | `seat` `bell` | what a worker's queue works on while peers come and go, and what wakes it |
//! | `foreign` | memory that other processes share, and may take away |
//! | `pace` `counts` `sys` | a packet rate; statistics; system calls |

mod af_packet;
mod af_xdp;
mod bell;
mod counts;
mod device;
#[cfg(feature = "dpdk")]
mod dpdk;
mod foreign;
mod generator;
mod kernel_ip6;
mod loopback;
mod memif;
mod netlink;
mod pace;
mod pcap;
mod seat;
mod segment;
mod spec;
mod sys;
mod tap;
mod vhost_user;

use millrace_engine::{Pool, Waker};

pub use device::{Device, Info, Link, OpenError, QueuePair, derived_mac};
pub use netlink::{LinkWatch, link_watch};
pub use pcap::{FileError, Frames as PcapFrames, Writer as PcapWriter};
pub use spec::{
    AddressRange, AfXdp, Dpdk, Eal, Flow, FrameSize, Frames, Generator, Memif, Order, PortRange, Protocol, Rate,
    Repeat, Role, Spec, Stream, VhostUser, XdpMode, ZeroCopy,
};

/// What devices get from the router.
#[derive(Clone)]
pub struct Context {
    /// Where packets lie.
    pub pool: &'static Pool,
    /// Rung when a device has something to say that no [`link_watch`] hears: its peer came or went. Every [`Device::link`] is
    /// to be asked then.
    pub changed: Waker,
}

/// Opens a device for the interface that the operator calls `name`.
///
/// # Errors
/// [`OpenError::Missing`] when the device isn't there and may come later, [`OpenError::Refused`] when it will not work as
/// specified.
pub fn open(spec: &Spec, name: &str, context: &Context) -> Result<Box<dyn Device>, OpenError> {
    Ok(match spec {
        Spec::AfPacket { device, queues } => Box::new(af_packet::AfPacket::open(device, *queues)?),
        Spec::Memif(memif) => Box::new(memif::Memif::open(memif, name, context)?),
        Spec::AfXdp(xdp) => Box::new(af_xdp::AfXdp::open(xdp, context.pool)?),
        Spec::Tap { device, queues } => Box::new(tap::Tap::open(device, *queues, name)?),
        #[cfg(feature = "dpdk")]
        Spec::Dpdk(dpdk) => Box::new(dpdk::Dpdk::open(dpdk, name, context)?),
        #[cfg(not(feature = "dpdk"))]
        Spec::Dpdk(dpdk) => {
            let reason = "this build has no DPDK: build with `make`, or with the cargo feature `dpdk`";
            return Err(OpenError::refused(&dpdk.device, reason));
        }
        Spec::Pcap { read, write, repeat, rate } => {
            Box::new(pcap::Pcap::open(read.as_deref(), write.as_deref(), *repeat, *rate, name)?)
        }
        Spec::VhostUser(vhost) => Box::new(vhost_user::VhostUser::open(vhost, name, context)?),
        Spec::Loopback => Box::new(loopback::Loopback::open(name)),
        Spec::Generator(generator) => Box::new(generator::Device::open(generator, name)?),
    })
}
