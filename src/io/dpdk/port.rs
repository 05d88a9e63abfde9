//! One of DPDK's ports, as control sees it: the shim's functions with Rust's types.

use super::log::explain;
use super::pool::Known;
use dpdk_sys as sys;
use millrace_engine::Waker;
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The text of an error of DPDK's.
pub(super) fn error_text(code: c_int) -> String {
    // SAFETY: any number has a text.
    unsafe { text(sys::mr_error(code)) }
}

/// A string of DPDK's; empty when there is none.
///
/// # Safety
/// `of` is null or a string that stays for the call.
pub(super) unsafe fn text(of: *const c_char) -> String {
    if of.is_null() {
        return String::new();
    }
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(of) }.to_string_lossy().into_owned()
}

/// What a buffer of DPDK's says, up to its NUL.
fn named(buffer: &[c_char]) -> String {
    let bytes: Vec<u8> = buffer.iter().map(|c| *c as u8).take_while(|b| *b != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn check(code: c_int) -> io::Result<c_int> {
    if code < 0 { Err(io::Error::other(error_text(code))) } else { Ok(code) }
}

/// Who is to hear of a port's changes.
struct Listener {
    changed: Waker,
    gone: Arc<AtomicBool>,
}

static LISTENERS: Mutex<Option<HashMap<u16, Listener>>> = Mutex::new(None);
/// Devices come and go one at a time.
static PROBING: Mutex<()> = Mutex::new(());

fn listeners<R>(with: impl FnOnce(&mut HashMap<u16, Listener>) -> R) -> R {
    with(LISTENERS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

unsafe extern "C" fn changed(port: u16, gone: c_int) {
    listeners(|all| {
        if let Some(listener) = all.get(&port) {
            listener.gone.fetch_or(gone != 0, Relaxed);
            listener.changed.wake();
        }
    });
}

/// Has all ports' changes told.
pub(super) fn watch() {
    // SAFETY: the environment runs.
    let code = unsafe { sys::mr_watch(changed) };
    if code < 0 {
        tracing::warn!("links of DPDK's ports are asked after every few seconds only: {}", error_text(code));
    }
}

/// A port; its device is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Port {
    pub id: u16,
    /// Its device went, says DPDK.
    pub gone: Arc<AtomicBool>,
}

impl Port {
    /// Finds or makes a device by DPDK's string for it. The error is DPDK's number and words.
    pub fn probe(device: &CString, changed: &Waker) -> Result<Port, (c_int, String)> {
        let _one = PROBING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut id = 0;
        // SAFETY: a string, and where the answer goes.
        explain(|| unsafe { sys::mr_probe(device.as_ptr(), &mut id) })?;
        let gone = Arc::new(AtomicBool::new(false));
        listeners(|all| all.insert(id, Listener { changed: changed.clone(), gone: gone.clone() }));
        Ok(Port { id, gone })
    }

    pub fn info(&self) -> io::Result<sys::Info> {
        // SAFETY: all zero is a value of this plain structure.
        let mut info: sys::Info = unsafe { std::mem::zeroed() };
        // SAFETY: DPDK fills it in.
        check(unsafe { sys::mr_info(self.id, &mut info) })?;
        Ok(info)
    }

    /// Lets its device reach the packets, if it is one that does by itself.
    pub fn map(&self, pool: &Known) -> io::Result<()> {
        // SAFETY: the pool's region stays mapped.
        let code = unsafe { sys::mr_dma_map(self.id, pool.shim(), pool.pool().region().len()) };
        if code == -libc::ENOTSUP { Ok(()) } else { check(code).map(drop) }
    }

    pub fn configure(&self, pool: &Known, config: &sys::Config) -> Result<(), (c_int, String)> {
        // SAFETY: the pool stays for ever; the port is stopped.
        explain(|| unsafe { sys::mr_configure(self.id, pool.shim(), config) }).map(drop)
    }

    pub fn start(&self) -> Result<(), (c_int, String)> {
        // SAFETY: the port is set up.
        explain(|| unsafe { sys::mr_port_start(self.id) }).map(drop)
    }

    /// Stops it. No worker is in a burst of it.
    pub fn stop(&self) {
        // SAFETY: a port that is stopped already stays so.
        let code = unsafe { sys::mr_port_stop(self.id) };
        if code < 0 {
            tracing::warn!(port = self.id, "a port of DPDK's did not stop: {}", error_text(code));
        }
    }

    pub fn link(&self) -> Option<sys::Link> {
        let mut link = sys::Link::default();
        // SAFETY: DPDK fills it in.
        check(unsafe { sys::mr_link(self.id, &mut link) }).ok()?;
        Some(link)
    }

    pub fn set_mac(&self, mac: [u8; 6]) -> io::Result<()> {
        // SAFETY: six bytes.
        check(unsafe { sys::mr_set_mac(self.id, mac.as_ptr()) }).map(drop)
    }

    pub fn mtu(&self) -> Option<u16> {
        let mut mtu = 0;
        // SAFETY: DPDK fills it in.
        check(unsafe { sys::mr_mtu(self.id, &mut mtu) }).ok().map(|_| mtu)
    }

    /// Sets the largest IP packet; whether the driver has such a thing. The port is set up and at rest.
    pub fn set_mtu(&self, mtu: u16) -> Result<bool, (c_int, String)> {
        // SAFETY: numbers.
        match explain(|| unsafe { sys::mr_set_mtu(self.id, mtu) }) {
            Err((code, _)) if code == -libc::ENOTSUP => Ok(false),
            result => result.map(|_| true),
        }
    }

    pub fn set_promiscuous(&self, on: bool) -> io::Result<()> {
        // SAFETY: numbers.
        check(unsafe { sys::mr_set_promiscuous(self.id, on.into()) }).map(drop)
    }

    pub fn promiscuous(&self) -> bool {
        // SAFETY: a number.
        unsafe { sys::mr_is_promiscuous(self.id) == 1 }
    }

    /// The function that the driver chose for receiving, or sending.
    pub fn burst_mode(&self, tx: bool) -> Option<String> {
        let mut buffer = [0; 128];
        // SAFETY: a buffer of this length.
        check(unsafe { sys::mr_burst_mode(self.id, tx.into(), buffer.as_mut_ptr(), buffer.len()) }).ok()?;
        Some(named(&buffer)).filter(|mode| !mode.is_empty())
    }

    /// The names of what it counts, in the order of [`counts`](Port::counts).
    pub fn count_names(&self) -> Vec<&'static str> {
        // SAFETY: no room is given, none is written to.
        let room = unsafe { sys::mr_xstats_names(self.id, std::ptr::null_mut(), 0) };
        let mut names = vec![[0; 64]; usize::try_from(room).unwrap_or(0)];
        // SAFETY: room for as many as there are said to be.
        let n = unsafe { sys::mr_xstats_names(self.id, names.as_mut_ptr(), names.len() as u32) };
        names.iter().take(usize::try_from(n).unwrap_or(0)).map(|name| lasting(named(name))).collect()
    }

    /// Fills in what it has counted; how many numbers that is.
    pub fn counts(&self, to: &mut [u64]) -> usize {
        // SAFETY: room for as many as the slice holds.
        let n = unsafe { sys::mr_xstats(self.id, to.as_mut_ptr(), to.len() as u32) };
        usize::try_from(n).unwrap_or(0).min(to.len())
    }

    pub fn reset_counts(&self) {
        // SAFETY: a number. A driver that can't goes on counting.
        unsafe { sys::mr_xstats_reset(self.id) };
    }

    /// Throws away what waits in a queue that no worker polls any more, `most` packets at most.
    pub fn drain(&self, queue: u16, most: u32) {
        // SAFETY: the queue is nobody else's.
        unsafe { sys::mr_drain(self.id, queue, most) }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let _one = PROBING.lock().unwrap_or_else(PoisonError::into_inner);
        listeners(|all| all.remove(&self.id));
        // SAFETY: stopped, and no queue of it is used any more.
        if let Err((_, error)) = explain(|| unsafe { sys::mr_remove(self.id) }) {
            tracing::warn!(port = self.id, "a device of DPDK's was not removed: {error}");
        }
    }
}

/// The same text for ever: statistics' names are few, and the same for all devices of a driver.
fn lasting(name: String) -> &'static str {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    match names.get(name.as_str()) {
        Some(known) => known,
        None => {
            let name: &'static str = name.leak();
            names.insert(name);
            name
        }
    }
}

/// What a port is called.
pub(super) fn name_of(info: &sys::Info) -> String {
    named(&info.name)
}

/// What its driver is called.
pub(super) fn driver_of(info: &sys::Info) -> String {
    named(&info.driver)
}
