//! probe: the load's only node. A packet of the generator gets the time and the trial's number and goes out into the router; one that
//! comes back is looked at, timed, and ends here.
//! Reads: `rx_interface`. Sets: `tx_interface`.

use super::latency::Histogram;
use super::{GENERATOR, OUT};
use millrace_engine::builtin::INTERFACE_TX;
use millrace_engine::node::NoTrace;
use millrace_engine::{Ctx, Local, Node, NodeName, Packet, clock, counters, edges};
use millrace_wire::checksum::Sum;

edges! {
    /// Where packets go.
    pub enum Next { Tx => INTERFACE_TX }
}

counters! {
    /// What becomes of packets.
    pub enum Count {
        Back => "packets back",
        Stray => "packets of nobody's trial",
    }
}

/// What a trial expects, and what it saw.
#[derive(Default)]
pub struct Trial {
    /// Its number, in every packet of it.
    pub number: u64,
    /// Bytes of a packet without the check sequence.
    pub len: usize,
    /// Packets that came back.
    pub packets: u64,
    /// Those of them that were not as they should be: of another length, not forwarded, with a wrong checksum.
    pub wrong: u64,
    /// How long they took.
    pub times: Histogram,
    /// When the first and the last came, by the worker's own clock: who asks may be late.
    pub first: u64,
    pub last: u64,
}

/// Where the IPv4 header lies, its time to live, and the checksum of UDP.
const IP: std::ops::Range<usize> = 14..34;
const TTL: usize = IP.start + 8;
const UDP_CHECKSUM: std::ops::Range<usize> = 40..42;
/// Where the stamp lies, in the payload: the trial's number, then the time in nanoseconds.
const NUMBER: std::ops::Range<usize> = 42..50;
const TIME: std::ops::Range<usize> = 50..58;
/// What the generator sends with.
const TTL_SENT: u8 = 64;

/// The node.
pub struct Probe {
    trial: Local<Trial>,
    /// The time of the frame; 0 before its first packet.
    now: u64,
}

impl Probe {
    pub fn new(trial: Local<Trial>) -> Probe {
        Probe { trial, now: 0 }
    }
}

/// Puts number and time into a packet. UDP goes without a checksum then (RFC 768), as the stamp changes it.
fn stamp(bytes: &mut [u8], number: u64, now: u64) -> Option<()> {
    bytes.get_mut(UDP_CHECKSUM)?.fill(0);
    bytes.get_mut(NUMBER)?.copy_from_slice(&number.to_le_bytes());
    bytes.get_mut(TIME)?.copy_from_slice(&now.to_le_bytes());
    Some(())
}

/// Number and time of a packet.
fn stamped(bytes: &[u8]) -> Option<(u64, u64)> {
    let number = |range: std::ops::Range<usize>| bytes.get(range)?.first_chunk().copied().map(u64::from_le_bytes);
    Some((number(NUMBER)?, number(TIME)?))
}

/// Whether a router made of what was sent what it should.
fn forwarded(bytes: &[u8]) -> bool {
    bytes.get(TTL) == Some(&(TTL_SENT - 1)) && bytes.get(IP).is_some_and(|header| Sum::of(header).is_ok())
}

impl Node for Probe {
    const NAME: NodeName = NodeName::new("probe");
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        if self.now == 0 {
            self.now = clock::now();
        }
        let Some(mut trial) = self.trial.get() else { return cx.consume(Count::Stray) };
        if packet.meta.rx_interface == GENERATOR {
            let _ = stamp(packet.data_mut(), trial.number, self.now);
            packet.meta.tx_interface = OUT;
            return Next::Tx;
        }
        match stamped(packet.data()) {
            Some((number, sent)) if number == trial.number => {
                trial.first = if trial.packets == 0 { self.now } else { trial.first };
                trial.last = self.now;
                trial.packets += 1;
                trial.wrong += u64::from(packet.total_len() != trial.len || !forwarded(packet.data()));
                trial.times.add(self.now.saturating_sub(sent));
                cx.consume(Count::Back)
            }
            _ => cx.consume(Count::Stray),
        }
    }

    fn end_of_frame(&mut self, _cx: &mut Ctx<'_, Self>) {
        self.now = 0;
    }
}
