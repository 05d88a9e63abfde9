//! nat44-in2out: packets of known flows from inside hosts, on their way out; all others go to nat44-in2out-slowpath.
//! Reads: rx interface, tx interface, table, adjacency, marks. Writes: marks. Uses the scratch slot.

use crate::forwarding::Forwarding;
use crate::nat44::parse::{Kind, parse};
use crate::nat44::rules::Rules;
use crate::nat44::{Nat44, State, fast, in2out_slowpath, is_icmp_error, out2in, reass, trace};
use crate::{ip, marks};
use millrace_engine::{Ctx, Feature, Local, Node, NodeName, Packet, counters, edges};
use millrace_tables::flow::{FlowId, Side, Ticks};
use millrace_wire::Ipv4;
use std::net::Ipv4Addr;

/// Its name.
pub const NAME: NodeName = NodeName::new("nat44-in2out");

/// On for outside interfaces: packets are translated when they leave by one.
pub const FEATURE: Feature = Feature { arc: ip::lookup::ARC4.name, node: NAME, after: &[], before: &[] };

edges! {
    /// Past the flow table, or to whom it takes longer.
    pub enum Next {
        Slowpath => in2out_slowpath::NAME,
        Reass => reass::IN2OUT,
        Out2in => out2in::NAME,
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
pub struct In2out {
    forwarding: Forwarding,
    nat: Nat44,
    state: Local<State>,
    /// Packets of this frame that were translated.
    translated: u64,
}

impl In2out {
    /// Reads adjacencies and rules; reads and writes the flows of `worker`.
    pub fn new(forwarding: Forwarding, nat: Nat44, worker: usize) -> In2out {
        let state = nat.state(worker).clone();
        In2out { forwarding, nat, state, translated: 0 }
    }
}

impl Node for In2out {
    const NAME: NodeName = NAME;
    const STAGES: usize = 2;
    const HANDS_OFF: bool = true;
    type Next = Next;
    type Count = Count;
    type Trace = trace::Found;

    #[inline(always)]
    fn prefetch(&mut self, stage: usize, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) {
        let Some(state) = self.state.get() else { return };
        if stage == 0 {
            let rules = self.nat.rules(&cx.guard());
            packet.meta.scratch[0] = match fast::key(packet, packet.meta.table as u16) {
                Some(key) if rules.role(packet.meta.rx_interface).inside() && is_here(rules, packet, cx) => {
                    fast::hashed(&state.flows, &key)
                }
                _ => 0,
            };
        } else {
            packet.meta.scratch[0] = fast::candidate(&state.flows, packet.meta.scratch[0]);
        }
    }

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let id = packet.meta.scratch[0] as FlowId;
        cx.trace(packet, || trace::Found { flow: id });
        let Some(mut state) = self.state.get() else { return Next::Slowpath };
        let table = packet.meta.table as u16;
        if id != 0
            && let Some(key) = fast::key_again(packet, table)
            && let Some(flow) = state.flows.get_mut(id)
            && flow.matches(Side::Inside, &key)
            && goes_on(&self.forwarding, packet, cx)
            && fast::translate(packet, flow, Side::Inside, Ticks::from_nanos(cx.now()))
        {
            self.translated += 1;
            if packet.meta.marks & marks::HAIRPIN == 0 {
                return cx.next_feature(packet);
            }
            return Next::Out2in;
        }
        drop(state);
        self.other(packet, cx)
    }

    #[inline(always)]
    fn end_of_frame(&mut self, cx: &mut Ctx<'_, Self>) {
        cx.count_n(Count::Translated, std::mem::take(&mut self.translated));
    }
}

/// Whether the flows of the packet's source live on this worker.
#[inline(always)]
fn is_here(rules: &Rules, packet: &Packet<'_>, cx: &Ctx<'_, In2out>) -> bool {
    rules.workers() == 1 || packet.header::<Ipv4>().is_some_and(|header| rules.host_worker(header.src()) == cx.worker())
}

/// Whether ip4-rewrite will let the packet pass: an error about it has to quote what the inside host sent.
#[inline(always)]
pub(super) fn goes_on<N: Node>(forwarding: &Forwarding, packet: &Packet<'_>, cx: &Ctx<'_, N>) -> bool {
    let Some(header) = packet.header::<Ipv4>() else { return false };
    // A hairpin's way in is looked up after the translation.
    if packet.meta.marks & marks::HAIRPIN != 0 {
        return header.ttl() > 1;
    }
    let mtu = || forwarding.adjacencies.get(packet.meta.adjacency, &cx.guard()).map_or(0, |adjacency| adjacency.mtu);
    header.ttl() > 1 && (!header.dont_fragment() || header.total_len() <= mtu())
}

impl In2out {
    /// What is not a plain packet of a known flow.
    #[cold]
    fn other(&self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(&header) = packet.header::<Ipv4>() else { return cx.drop(Count::Short) };
        let rules = self.nat.rules(&cx.guard());
        let packet_marks = packet.meta.marks;
        if packet_marks & marks::OWN != 0 {
            // They are from nobody's inside address, but what the router's errors quote may have to be translated.
            return match is_icmp_error(packet) {
                // Once: what turned round at the router comes here again when it leaves.
                _ if packet_marks & marks::NATTED != 0 => cx.next_feature(packet),
                true => Next::Slowpath,
                false if packet_marks & marks::HAIRPIN != 0 => Next::Out2in,
                false => cx.next_feature(packet),
            };
        }
        if packet_marks & marks::NATTED != 0 || !rules.role(packet.meta.rx_interface).inside() {
            return cx.next_feature(packet);
        }
        if rules.workers() > 1 {
            let home = rules.host_worker(inside_host(packet, header.src()));
            if home != cx.worker() {
                return cx.hand_off(packet, home);
            }
        }
        if header.is_fragment() && packet_marks & marks::PORTS_KNOWN == 0 {
            return Next::Reass;
        }
        Next::Slowpath
    }
}

/// Whose flows a packet from inside is about: its source's; of an ICMP error those of the receiver of what it quotes, which is another
/// host if a router on the way there reports it.
fn inside_host(packet: &Packet<'_>, source: Ipv4Addr) -> Ipv4Addr {
    match parse(packet, Side::Inside).map(|parsed| parsed.kind) {
        Ok(Kind::Error(quoted)) => quoted.view.source(),
        _ => source,
    }
}
