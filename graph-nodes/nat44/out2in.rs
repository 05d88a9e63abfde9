//! nat44-out2in: packets of known flows from outside, to inside hosts; all others go to nat44-out2in-slowpath.
//! Reads: marks. Writes: table, flow hash, marks. Uses the scratch slot.

use crate::nat44::rules::Rules;
use crate::nat44::{Nat44, State, external_view, fast, out2in_slowpath, reass, trace};
use crate::{ip4, marks};
use millrace_engine::{Ctx, Feature, Local, Node, NodeName, Packet, counters, edges};
use millrace_tables::flow::{FlowId, Side, Ticks};
use millrace_wire::Ipv4;

/// Its name.
pub const NAME: NodeName = NodeName::new("nat44-out2in");

/// On for outside interfaces: packets are translated when they come by one.
pub const FEATURE: Feature = Feature { arc: ip4::input::ARC.name, node: NAME, after: &[], before: &[] };

edges! {
    /// Past the flow table, or to whom it takes longer.
    pub enum Next {
        Slowpath => out2in_slowpath::NAME,
        Reass => reass::OUT2IN,
    }
}

counters! {
    /// What becomes of packets.
    pub enum Count {
        Translated => "packets translated",
        Short => "no IPv4 header",
    }
}

/// The node.
pub struct Out2in {
    nat: Nat44,
    state: Local<State>,
    /// Packets of this frame that were translated.
    translated: u64,
}

impl Out2in {
    /// Reads rules; reads and writes the flows of `worker`.
    pub fn new(nat: Nat44, worker: usize) -> Out2in {
        let state = nat.state(worker).clone();
        Out2in { nat, state, translated: 0 }
    }
}

impl Node for Out2in {
    const NAME: NodeName = NAME;
    const STAGES: usize = 2;
    const HANDS_OFF: bool = true;
    type Next = Next;
    type Count = Count;
    type Trace = trace::Found;

    #[inline(always)]
    fn prefetch(&mut self, stage: usize, packet: &mut Packet<'_>, _cx: &mut Ctx<'_, Self>) {
        let Some(state) = self.state.get() else { return };
        if stage == 0 {
            packet.meta.scratch[0] = fast::key(packet, 0).map_or(0, |key| fast::hashed(&state.flows, &key));
        } else {
            packet.meta.scratch[0] = fast::candidate(&state.flows, packet.meta.scratch[0]);
        }
    }

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let id = packet.meta.scratch[0] as FlowId;
        cx.trace(packet, || trace::Found { flow: id });
        let Some(mut state) = self.state.get() else { return Next::Slowpath };
        if id != 0
            && let Some(key) = fast::key_again(packet, 0)
            && let Some(flow) = state.flows.get_mut(id)
            && flow.matches(Side::Outside, &key)
            && fast::translate(packet, flow, Side::Outside, Ticks::from_nanos(cx.now()))
        {
            self.translated += 1;
            packet.meta.table = u32::from(flow.table());
            packet.meta.flow_hash = 0;
            return cx.next_feature(packet);
        }
        drop(state);
        self.other(packet, cx)
    }

    #[inline(always)]
    fn end_of_frame(&mut self, cx: &mut Ctx<'_, Self>) {
        cx.count_n(Count::Translated, std::mem::take(&mut self.translated));
    }
}

impl Out2in {
    /// What is not a plain packet of a flow of this worker.
    #[cold]
    fn other(&self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&header) = packet.header::<Ipv4>() else { return cx.drop(Count::Short) };
        let rules = self.nat.rules(&cx.guard());
        if rules.external(header.dst()).is_none() {
            return cx.next_feature(packet);
        }
        let ports_known = packet.meta.marks & marks::PORTS_KNOWN != 0;
        let home = match header.is_fragment() && !ports_known {
            true => fragment_worker(rules, &header),
            false => endpoint_worker(rules, packet, cx.worker()),
        };
        if home != cx.worker() {
            return cx.hand_off(packet, home);
        }
        if header.is_fragment() && !ports_known { Next::Reass } else { Next::Slowpath }
    }
}

/// The worker where the fragments of a datagram meet, until their ports are known.
fn fragment_worker(rules: &Rules, header: &Ipv4) -> usize {
    let flow = header.src_u32() ^ header.dst_u32().rotate_left(16) ^ u32::from(header.id());
    (flow.wrapping_mul(0x9e37_79b1) >> 16) as usize % rules.workers()
}

/// The worker that has the flows of the endpoint that a packet is for. For an error that is the one that it quotes as the source.
fn endpoint_worker(rules: &Rules, packet: &Packet<'_>, here: usize) -> usize {
    if rules.workers() == 1 {
        return here;
    }
    let view = external_view(packet);
    view.and_then(|(view, protocol)| rules.inbound_worker(&view, protocol)).unwrap_or(here)
}
