//! The router's pool as DPDK's drivers see it: an mbuf for each cell, bound to it for ever, and behind the mempool's functions the
//! pool's own lists of free cells. So nothing is copied, there is one pool, and a cell is free or in use for both.
//!
//! While a worker is in a burst, drivers take cells from and give them to the worker's own [`Cache`]; at other times (a port is set
//! up or closed) it is the depot.

use super::port::error_text;
use dpdk_sys as sys;
use millrace_engine::memory::{HUGE_PAGE, HugePages, Region};
use millrace_engine::{CELL, Cache, Pool};
use std::ffi::{CString, c_void};
use std::sync::{Mutex, PoisonError};

/// A pool that DPDK knows.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pool: &'static Pool,
    shim: *mut sys::Pool,
    /// Whether devices may be given access to it.
    registered: bool,
}

// SAFETY: what `shim` points to stays for ever, and doesn't change once the mempool is made.
unsafe impl Send for Known {}

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

impl Known {
    /// For the shim's functions.
    pub fn shim(&self) -> *const sys::Pool {
        self.shim
    }

    /// The same pool.
    pub fn pool(&self) -> &'static Pool {
        self.pool
    }
}

/// Makes a pool known to DPDK, unless it is; with `devices` its memory is one that a PCI device may be given access to.
pub(super) fn know(pool: &'static Pool, devices: bool) -> Result<Known, String> {
    let mut all = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let at = match all.iter().position(|known| std::ptr::eq(known.pool, pool)) {
        Some(at) => at,
        None => {
            let known = make(pool, all.len())?;
            all.push(known);
            all.len() - 1
        }
    };
    let known = &mut all[at];
    if devices && !known.registered {
        let page = if pool.region().huge() { HUGE_PAGE } else { 4096 };
        // SAFETY: the region is mapped for ever, and its length a multiple of either size.
        let code = unsafe { sys::mr_pool_register(known.shim, pool.region().len(), page) };
        match code {
            0 => known.registered = true,
            code if code == -libc::ENOTSUP => {
                return Err("DPDK chose physical addresses: PCI devices need an IOMMU, and the driver vfio-pci".into());
            }
            code => return Err(format!("DPDK can't be given the packets' memory: {}", error_text(code))),
        }
    }
    Ok(*known)
}

fn make(pool: &'static Pool, number: usize) -> Result<Known, String> {
    let failed = |error: &dyn std::fmt::Display| format!("DPDK can't use the packets' memory: {error}");
    // SAFETY: a question.
    let bytes = unsafe { sys::mr_pool_bytes(pool.count()) };
    let pages = if pool.region().huge() { HugePages::Auto } else { HugePages::Off };
    let memory = Region::new(bytes, pages).map_err(|e| failed(&e))?;
    let (base, len) = (memory.base(), memory.len());
    // As the pool itself, it stays.
    std::mem::forget(memory);
    let shim = Box::leak(Box::new(sys::Pool {
        mbufs: std::ptr::null_mut(),
        cells: pool.region().base().as_ptr(),
        cell: CELL as u32,
        count: pool.count(),
        depot: std::ptr::from_ref(pool).cast_mut().cast(),
        depot_take,
        cache_take,
        depot_put,
        cache_put,
        mempool: std::ptr::null_mut(),
    }));
    let name = CString::new(format!("millrace-{number}")).map_err(|e| failed(&e))?;
    // SAFETY: the structure and the memory, whose base is a page's, stay for ever.
    let code = unsafe { sys::mr_pool_create(shim, name.as_ptr(), base.as_ptr().cast(), len) };
    if code < 0 {
        return Err(failed(&format!("{} (its own memory is `memory` below `dpdk:`)", error_text(code))));
    }
    Ok(Known { pool, shim, registered: false })
}

unsafe extern "C" fn depot_take(from: *mut c_void, to: *mut u32, n: u32) -> u32 {
    // SAFETY: what `make` gave as `depot`, and room for `n`.
    unsafe { (*from.cast::<Pool>()).take(std::slice::from_raw_parts_mut(to, n as usize)) as u32 }
}

unsafe extern "C" fn depot_put(to: *mut c_void, cells: *const u32, n: u32) {
    // SAFETY: what `make` gave as `depot`; DPDK has freed the `n` mbufs, whose cells are nobody's then.
    unsafe { (*to.cast::<Pool>()).put(std::slice::from_raw_parts(cells, n as usize)) }
}

unsafe extern "C" fn cache_take(from: *mut c_void, to: *mut u32, n: u32) -> u32 {
    // SAFETY: the cache that the burst was called with by this thread, which waits for it; room for `n`.
    unsafe { (*from.cast::<Cache>()).take_many(std::slice::from_raw_parts_mut(to, n as usize)) as u32 }
}

unsafe extern "C" fn cache_put(to: *mut c_void, cells: *const u32, n: u32) {
    // SAFETY: the cache as above; DPDK has freed the `n` mbufs, whose cells are nobody's then.
    unsafe { (*to.cast::<Cache>()).put(std::slice::from_raw_parts(cells, n as usize)) }
}
