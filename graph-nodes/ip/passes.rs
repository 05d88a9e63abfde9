//! Looking the packets of a frame up level by level, a pass over the frame for each: the node's passes before its last, and what is
//! left for that one. Uses the scratch slot in between.

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
    let Some(address) = packet.header::<F::Header>().map(address) else { return };
    let Some(fib) = F::fibs(forwarding).get(packet.meta.table, guard) else { return };
    if F::STAGES == 1 {
        return fib.prefetch(address);
    }
    let walk = match stage {
        0 => fib.start(address),
        _ => fib.step(guard, Walk::from_bits(packet.meta.scratch[0]), address, stage as u8 - 1),
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
    const { assert!(F::STAGES >= 1 && F::STAGES <= F::Address::LEVELS as usize + 1) };
    let Some(fib) = F::fibs(forwarding).get(packet.meta.table, guard) else { return Target::NO_ROUTE };
    Target::from_u32(match F::STAGES {
        1 => fib.lookup(guard, address),
        stages => fib.finish(guard, Walk::from_bits(packet.meta.scratch[0]), address, stages as u8 - 1),
    })
}
