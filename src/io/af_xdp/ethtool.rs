//! What ethtool(8) asks a device's driver for: its receive queues, and to leave VLAN tags in packets.

use crate::sys;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

// `linux/ethtool.h`.
const GET_CHANNELS: u32 = 0x3c;
const GET_FLAGS: u32 = 0x25;
const SET_FLAGS: u32 = 0x26;
/// `ETH_FLAG_RXVLAN`: the device takes tags out of packets.
const RX_VLAN: u32 = 1 << 8;

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    max: [u32; 4],
    rx: u32,
    _tx: u32,
    _other: u32,
    combined: u32,
}

/// Asks the driver of a device of this thread's network namespace.
fn ask<T>(device: &str, value: &mut T) -> io::Result<()> {
    let socket: OwnedFd = sys::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero.
    let room = libc::IFNAMSIZ - 1;
    request.ifr_name.iter_mut().take(room).zip(device.bytes()).for_each(|(to, from)| *to = from as libc::c_char);
    request.ifr_ifru.ifru_data = std::ptr::from_mut(value).cast();
    // SAFETY: the request has a name and points at a structure that its command, the first word, has the kernel read and write.
    sys::check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &mut request) }).map(drop)
}

/// Receive queues that are in use; `None` when the driver doesn't tell.
pub(super) fn rx_queues(device: &str) -> Option<u32> {
    let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
    ask(device, &mut channels).ok()?;
    Some(channels.rx + channels.combined).filter(|queues| *queues > 0)
}

/// Has a device leave VLAN tags in packets: an XDP program doesn't see those that are beside.
///
/// # Errors
/// When the driver won't.
pub(super) fn keep_tags(device: &str) -> io::Result<()> {
    let mut flags = [GET_FLAGS, 0];
    if ask(device, &mut flags).is_err() {
        // No such driver has the feature.
        return Ok(());
    }
    if flags[1] & RX_VLAN == 0 {
        return Ok(());
    }
    ask(device, &mut [SET_FLAGS, flags[1] & !RX_VLAN])
}
