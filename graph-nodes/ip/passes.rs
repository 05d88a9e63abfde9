//! Looking the packets of a frame up level by level, a pass over the frame for each: the node's passes before its last, and what is
//! left for that one. Uses the scratch slot in between: for the walk, and for the bytes of the address that it goes by, so that the
//! passes after the first read nothing but the packet's metadata and the table.

use super::Family;
use crate::forwarding::Forwarding;
use millrace_engine::Packet;
use millrace_engine::epoch::Guard;
use millrace_tables::fib::Target;
use millrace_tables::lpm::{Address, Walk};

/// The pass `stage`, for the lookup of an address of the packet in its table.
#[inline(always)]
pub fn prepare<F: Family>(
    forwarding: &Forwarding,
    guard: &Guard<'_>,
    stage: usize,
    packet: &mut Packet<'_>,
    address: impl FnOnce(&F::Header) -> F::Address,
) {
    let Some(fib) = F::fibs(forwarding).get(packet.meta.table, guard) else { return };
    let walk = if stage == 0 {
        let Some(address) = packet.header::<F::Header>().map(address) else { return };
        if F::STAGES == 1 {
            return fib.prefetch(address);
        }
        // Bytes 4 to 7, of the levels from 1 on, above.
        let upper = (address.into() >> 64) as u64;
        packet.meta.scratch[1] = upper << 32;
        // The first level is read at once: the Internet fills so little of it that it stays in the cache.
        fib.step(guard, fib.start(address), address.byte(0))
    } else {
        let byte = (packet.meta.scratch[1] >> (64 - 8 * stage)) as usize;
        fib.step(guard, Walk::from_bits(packet.meta.scratch[0]), byte)
    };
    packet.meta.scratch[0] = walk.to_bits();
}

/// Where the packet's table leads for that address, in the last pass.
#[inline(always)]
pub fn finish<F: Family>(
    forwarding: &Forwarding,
    guard: &Guard<'_>,
    packet: &Packet<'_>,
    address: F::Address,
) -> Target {
    const { assert!(F::STAGES >= 1 && F::STAGES <= 4 && F::STAGES <= F::Address::LEVELS as usize) };
    let Some(fib) = F::fibs(forwarding).get(packet.meta.table, guard) else { return Target::NO_ROUTE };
    Target::from_u32(match F::STAGES {
        1 => fib.lookup(guard, address),
        stages => fib.finish(guard, Walk::from_bits(packet.meta.scratch[0]), address, stages as u8),
    })
}
