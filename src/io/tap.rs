//! `tap`: a device that the kernel sees, whose wire ends here (Documentation/networking/tuntap.rst of Linux).
//!
//! The device is made if there is none of its name, goes with the last of its queues, and is switched on. Every frame has
//! a `virtio_net_hdr` in front, so that the kernel may leave checksums and segmentation to us: a TCP sender then hands over 64
//! KiB at a time, one `read`, and the segments are cut here. One `read` or `writev` a packet, there is no batched call.
//! The router's address on it is derived from the interface's name; the kernel's end has one of its own.

mod queue;

use crate::counts::Board;
use crate::device::{Device, Info, Link, OpenError, QueuePair, derived_mac};
use crate::netlink::{NetDevice, Netlink};
use crate::sys;
use queue::{Receiver, Sender};
use std::ffi::{c_int, c_short};
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

/// Bytes of the offload header: as in virtio 1.0, with the number of buffers that only network devices of virtual machines use.
const HEADER: usize = 12;

/// What a queue pair counts.
mod count {
    pub const TRUNCATED: usize = 0;
    pub const MALFORMED: usize = 1;
    pub const CHECKSUMS: usize = 2;
    pub const SEGMENTS: usize = 3;
    pub const TX_FULL: usize = 4;
    pub const TX_DOWN: usize = 5;
    pub const TX_REFUSED: usize = 6;
    pub const NAMES: [&str; 7] = [
        "rx_truncated",
        "rx_bad_offload_header",
        "rx_checksums_completed",
        "rx_segments_cut",
        "tx_device_full",
        "tx_device_down",
        "tx_refused",
    ];
}

type Counts = crate::counts::Counts<{ count::NAMES.len() }>;

/// `struct ifreq`, as `TUNSETIFF` reads and writes it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: c_short,
    rest: [u8; 22],
}

/// The control side. It holds the descriptors, too, so that the device stays while queues move between workers.
pub(crate) struct Tap {
    name: String,
    kernel: NetDevice,
    mac: [u8; 6],
    files: Vec<Arc<File>>,
    offloads: &'static str,
    /// To ask the kernel for it where it was made.
    netlink: Netlink,
    board: Board<{ count::NAMES.len() }>,
    queues: usize,
}

impl Tap {
    pub fn open(name: &str, queues: u16, interface: &str) -> Result<Tap, OpenError> {
        let refused = |e: io::Error| OpenError::refused(name, e);
        let netlink = Netlink::open().map_err(refused)?;
        let (mut files, mut offloads) = (Vec::new(), "none");
        for _ in 0..queues.max(1) {
            let file = attach(name, queues > 1).map_err(|e| refused_because(name, e))?;
            offloads = set_offloads(&file).map_err(refused)?;
            files.push(Arc::new(file));
        }
        let kernel = netlink.find(name).map_err(refused)?;
        let kernel = kernel.ok_or_else(|| OpenError::Missing { device: name.to_owned() })?;
        netlink.set_up(kernel.index).map_err(refused)?;
        Ok(Tap {
            name: name.to_owned(),
            kernel,
            mac: derived_mac(interface),
            files,
            offloads,
            netlink,
            board: Board::new(&count::NAMES),
            queues: 0,
        })
    }

    /// The device as it is now, unless it is gone, and where to ask the kernel for it when that is elsewhere: it may be moved to
    /// another network namespace, to be the card of a container, and its descriptors go on working.
    ///
    /// A socket in that namespace is not kept, as it would keep the namespace, and the device in it, when the container is gone.
    fn current(&self) -> Option<(NetDevice, Option<Netlink>)> {
        let file = self.files.first()?;
        let name = current_name(file)?;
        let here = self.netlink.find(&name).ok().flatten();
        if let Some(device) = here.filter(|device| device.index == self.kernel.index) {
            return Some((device, None));
        }
        let netlink = Netlink::open_in(&namespace_of(file).ok()?).ok()?;
        let device = netlink.find(&name).ok().flatten()?;
        Some((device, Some(netlink)))
    }
}

/// What the device is called now; nothing when it was deleted.
fn current_name(file: &File) -> Option<String> {
    let mut request = InterfaceRequest { name: [0; libc::IFNAMSIZ], flags: 0, rest: [0; 22] };
    // SAFETY: the kernel writes a `struct ifreq`, which is this long.
    sys::check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNGETIFF, &mut request) }).ok()?;
    let name = request.name.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(String::from_utf8_lossy(name).into_owned())
}

/// The network namespace that the device is in now.
fn namespace_of(file: &File) -> io::Result<OwnedFd> {
    // SAFETY: no argument is passed.
    let fd = sys::check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNGETDEVNETNS) })?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn refused_because(name: &str, error: io::Error) -> OpenError {
    let reason = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "tap devices need the capability CAP_NET_ADMIN".to_owned(),
        Some(libc::ENOENT) => "the kernel has no /dev/net/tun: load its module `tun`".to_owned(),
        Some(libc::EBUSY) => "another program has it".to_owned(),
        Some(libc::EINVAL) => {
            "there is a device of this name that is no tap device, or has another number of queues".to_owned()
        }
        Some(libc::E2BIG) => "the kernel allows no more queues".to_owned(),
        _ => error.to_string(),
    };
    OpenError::refused(name, reason)
}

/// A queue of the tap device `name`, which is made if there is none.
fn attach(name: &str, several: bool) -> io::Result<File> {
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    match set_interface(&file, name, flags | libc::IFF_MULTI_QUEUE) {
        // Somebody made it for one queue.
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) && !several => set_interface(&file, name, flags)?,
        other => other?,
    }
    Ok(file)
}

fn set_interface(file: &File, name: &str, flags: c_int) -> io::Result<()> {
    let mut request = InterfaceRequest { name: [0; libc::IFNAMSIZ], flags: flags as c_short, rest: [0; 22] };
    let fits = name.len() < libc::IFNAMSIZ && !name.contains('%');
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "the name of a device has at most 15 bytes and no `%`");
    request.name.get_mut(..name.len()).filter(|_| fits).ok_or_else(wrong)?.copy_from_slice(name.as_bytes());
    // SAFETY: the kernel reads and writes a `struct ifreq`, which is this long.
    sys::check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut request) })?;
    let size = HEADER as c_int;
    // SAFETY: the kernel reads an int.
    sys::check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETVNETHDRSZ, &size) }).map(drop)
}

/// Tells the kernel what it may leave to us; what it agreed to.
fn set_offloads(file: &File) -> io::Result<&'static str> {
    let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    let udp = tcp | libc::TUN_F_USO4 | libc::TUN_F_USO6;
    let set = |flags: libc::c_uint| {
        let flags = libc::c_ulong::from(flags);
        // SAFETY: the argument is a number.
        sys::check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, flags) })
    };
    match set(udp) {
        Ok(_) => Ok("checksum, tso4, tso6, uso4, uso6"),
        // Before Linux 6.2.
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => set(tcp).map(|_| "checksum, tso4, tso6"),
        Err(e) => Err(e),
    }
}

impl Device for Tap {
    fn queues(&mut self, count: usize) -> io::Result<Vec<QueuePair>> {
        self.queues = self.files.len().min(count);
        let mut pairs = Vec::with_capacity(count);
        for (at, file) in (0..count).zip(self.files.iter().cycle()) {
            let counts = self.board.queue();
            // Any number of threads may write to one descriptor; only one reads.
            let tx = Sender::new(file.clone(), counts.clone());
            let rx = (at < self.queues).then(|| Box::new(Receiver::new(file.clone(), counts)) as Box<_>);
            pairs.push(QueuePair { rx, tx: Some(Box::new(tx)) });
        }
        // The kernel deals flows out to all descriptors: those that nobody reads have to go.
        self.files.truncate(self.queues.max(1));
        Ok(pairs)
    }

    fn link(&self) -> Link {
        self.current().map_or(Link::Missing, |(device, _)| device.link())
    }

    fn mac(&self) -> Option<[u8; 6]> {
        Some(self.mac)
    }

    fn set_mac(&mut self, mac: [u8; 6]) -> io::Result<()> {
        self.mac = mac;
        Ok(())
    }

    fn mtu_range(&self) -> RangeInclusive<u32> {
        self.kernel.mtu_range()
    }

    fn set_mtu(&mut self, mtu: u32) -> io::Result<()> {
        match self.current() {
            None => Err(io::Error::from_raw_os_error(libc::ENODEV)),
            Some((device, _)) if device.mtu == mtu => Ok(()),
            Some((device, elsewhere)) => elsewhere.as_ref().unwrap_or(&self.netlink).set_mtu(device.index, mtu),
        }
    }

    fn stats(&self) -> Vec<(&'static str, u64)> {
        self.board.sums()
    }

    fn info(&self) -> Info {
        let now = self.current();
        let device = now.as_ref().map_or(&self.kernel, |(device, _)| device);
        let address = |mac: [u8; 6]| mac.map(|b| format!("{b:02x}")).join(":");
        Info {
            driver: "tap",
            device: self.name.clone(),
            queues: self.queues,
            modes: vec![
                ("kernel-mtu", device.mtu.to_string()),
                ("kernel-mac", device.mac.map_or_else(|| "none".to_owned(), address)),
                ("offloads", self.offloads.to_owned()),
            ],
            notes: if now.is_none() { vec![format!("{} is gone", self.name)] } else { Vec::new() },
        }
    }
}
