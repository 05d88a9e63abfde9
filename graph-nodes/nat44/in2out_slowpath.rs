//! nat44-in2out-slowpath: finds or makes the flow of any packet on its way out, follows the state of connections, and translates all that
//! can be translated: first packets, ICMP, fragments, IP options, other protocols.
//! Reads: tx interface, table, adjacency, marks. Writes: marks. Uses the scratch slot.

use crate::forwarding::Forwarding;
use crate::icmp::reason::Reason;
use crate::nat44::in2out::goes_on;
use crate::nat44::parse::{ASKS_FOR_ECHO, Fragment, Kind, Malformed, Parsed, parse};
use crate::nat44::rules::Rules;
use crate::nat44::state::{Opening, Refusal};
use crate::nat44::trace::Translated;
use crate::nat44::{EXPIRE_AT_ONCE, Nat44, State, fast, icmp as quotes, mss, out2in, rewrite, track};
use crate::{icmp, ip, ip4, marks};
use millrace_engine::{Ctx, Local, Node, NodeName, Packet, counters, edges};
use millrace_tables::flow::{Key, Side, Ticks, View};

/// Its name.
pub const NAME: NodeName = NodeName::new("nat44-in2out-slowpath");

edges! {
    /// On along the arc of nat44-in2out, or that of nat44-hairpin; an error to the sender.
    pub enum Next {
        Rewrite => ip::rewrite::NAME4,
        Out2in => out2in::NAME,
        Local => ip4::local_end::NAME,
        IcmpError => icmp::error::NAME,
    }
}

counters! {
    /// What becomes of packets.
    pub enum Count {
        Translated => "packets translated",
        Opened => "sessions opened",
        Expired => "sessions expired",
        Reclaimed => "oldest transitory sessions closed for new ones",
        Exempt => "packets between networks that are not translated",
        Refused => "packets left to ip4-rewrite to refuse",
        NoPool => "no external address for the interface",
        NoPort => "no free port on the host's external address",
        SessionLimit => "limit of sessions",
        HostLimit => "limit of sessions for the host",
        NeedsOneToOne => "protocol needs a one-to-one mapping",
        NoFlow => "ICMP error about no known session",
        Malformed => "not an IPv4 packet that can be translated",
        TcpFlags => "impossible TCP flags",
        UnknownPorts => "fragment without known ports",
        BadError => "ICMP error that is malformed or about an ICMP error",
        Busy => "sessions are in use elsewhere",
    }
}

/// The node.
pub struct In2outSlowpath {
    forwarding: Forwarding,
    nat: Nat44,
    state: Local<State>,
}

impl In2outSlowpath {
    /// Reads adjacencies and rules; reads and writes the flows of `worker`.
    pub fn new(forwarding: Forwarding, nat: Nat44, worker: usize) -> In2outSlowpath {
        let state = nat.state(worker).clone();
        In2outSlowpath { forwarding, nat, state }
    }
}

impl Node for In2outSlowpath {
    const NAME: NodeName = NAME;
    const STAGES: usize = State::STAGES;
    type Next = Next;
    type Count = Count;
    type Trace = Translated;

    fn prefetch(&mut self, stage: usize, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) {
        let Some(key) = fast::key(packet, packet.meta.table as u16) else { return };
        if let Some(mut state) = self.state.get() {
            state.prefetch_outbound(self.nat.rules(&cx.guard()), &key, stage);
        }
    }

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let next = if packet.meta.marks & marks::HAIRPIN == 0 { Next::Rewrite } else { Next::Out2in };
        if packet.meta.marks & marks::OWN == 0 && !goes_on(&self.forwarding, packet, cx) {
            cx.count(Count::Refused);
            return next;
        }
        // Looked at where it was put: a copy would wait until it is written.
        let parsed = &parse(packet, Side::Inside);
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(malformed) => return cx.drop(cause(*malformed)),
        };
        if let Kind::Error(_) = parsed.kind {
            return self.error(packet, parsed, next, cx);
        }
        let rules = self.nat.rules(&cx.guard());
        if packet.meta.marks & marks::HAIRPIN != 0
            && parsed.fragment != Fragment::No
            && !is_behind(rules, packet, parsed)
        {
            packet.meta.marks &= !(marks::HAIRPIN | marks::PORTS_KNOWN);
            return Next::Local;
        }
        let Some(mut state) = self.state.get() else { return cx.drop(Count::Busy) };
        let state = &mut *state;
        let now = Ticks::from_nanos(cx.now());
        let key = Key { view: parsed.view, protocol: parsed.protocol.0, table: packet.meta.table as u16 };
        let hash = state.flows.hash(&key);
        let id = match state.flows.find(Side::Inside, &key, hash) {
            Some(id) => id,
            None => {
                let opening = Opening { key, tx_interface: packet.meta.tx_interface, tcp: parsed.tcp };
                let reclaimed = state.reclaimed();
                let opened = state.outbound(rules, &opening, now);
                cx.count_n(Count::Reclaimed, state.reclaimed() - reclaimed);
                match opened {
                    Ok(id) => {
                        cx.count(Count::Opened);
                        id
                    }
                    Err(refusal) => return refused(refusal, packet, next, cx),
                }
            }
        };
        track(&mut state.flows, id, Side::Inside, parsed, now);
        let Some(flow) = state.flows.get_mut(id) else { return cx.drop(Count::NoFlow) };
        let to = flow.translated(Side::Inside);
        flow.count(packet.total_len() as u16);
        flow.touch(now);
        cx.trace(packet, || Translated { flow: id, from: parsed.view, to });
        mss::clamp(packet, parsed, rules.mss_clamp());
        rewrite::rewrite(packet, parsed, &to);
        packet.meta.marks |= marks::NATTED;
        cx.count(Count::Translated);
        next
    }

    fn wants_tick(&self) -> bool {
        self.state.get().is_some_and(|state| !state.is_idle())
    }

    fn tick(&mut self, cx: &mut Ctx<'_, Self>) {
        let rules = self.nat.rules(&cx.guard());
        let Some(mut state) = self.state.get() else { return };
        let expired = state.expire(rules, Ticks::from_nanos(cx.now()), EXPIRE_AT_ONCE);
        cx.count_n(Count::Expired, expired as u64);
    }
}

impl In2outSlowpath {
    /// An ICMP error about a packet that came in: from the inside host, from a router on the way to it, or from this router.
    fn error(&self, packet: &mut Packet<'_>, parsed: &Parsed, next: Next, cx: &mut Ctx<'_, Self>) -> Next {
        let Kind::Error(quoted) = &parsed.kind else { return cx.drop(Count::BadError) };
        let rules = self.nat.rules(&cx.guard());
        let Some(state) = self.state.get() else { return cx.drop(Count::Busy) };
        let own = packet.meta.marks & marks::OWN != 0;
        // The table of the inside host; an error of the router's own is looked up in the outside's, and tells the other.
        let table = if own { packet.meta.scratch[2] as u32 } else { packet.meta.table };
        let key = Key { view: quoted.view, protocol: quoted.protocol.0, table: table as u16 };
        let flow = state.flows.find(Side::Inside, &key, state.flows.hash(&key)).and_then(|id| state.flows.get(id));
        let to = match flow {
            Some(flow) => flow.view(Side::Outside),
            None if rules.exempt(quoted.view.source(), quoted.view.destination()) => {
                cx.count(Count::Exempt);
                packet.meta.marks |= marks::NATTED;
                return next;
            }
            // RFC 5508 REQ-5: a mapping is enough.
            None => {
                let (host, port) = (quoted.view.source(), quoted.view.source_port());
                match state.external_of(rules, table, host, port, quoted.protocol.0) {
                    Some((external, port)) => {
                        View::new(quoted.view.destination(), quoted.view.destination_port(), external, port)
                    }
                    // The router's own error about what was never translated.
                    None if own => return next,
                    None => return cx.drop(Count::NoFlow),
                }
            }
        };
        drop(state);
        let source = if own { None } else { quotes::new_source(Side::Inside, parsed, quoted, &to) };
        cx.trace(packet, || Translated { flow: 0, from: quoted.view, to });
        // RFC 5508 REQ-6 (and RFC 4787 REQ-10): the session neither ends by it nor lives longer.
        quotes::translate(packet, parsed, quoted, &to, source);
        packet.meta.marks |= marks::NATTED;
        cx.count(Count::Translated);
        next
    }
}

/// Whether somebody inside has the endpoint that a fragment is for, whose ports are known by now.
fn is_behind(rules: &Rules, packet: &Packet<'_>, parsed: &Parsed) -> bool {
    let (external, protocol) = (parsed.view.destination(), parsed.protocol.0);
    let port = match parsed.kind {
        Kind::Query => parsed.view.source_port(),
        _ => parsed.view.destination_port(),
    };
    match packet.meta.scratch[1] & ASKS_FOR_ECHO != 0 {
        // As of whole ones: see nat44-hairpin.
        true => rules.is_static((external, port), protocol),
        false => rules.in_use(external, protocol, port),
    }
}

fn cause(malformed: Malformed) -> Count {
    match malformed {
        Malformed::TcpFlags => Count::TcpFlags,
        Malformed::UnknownPorts => Count::UnknownPorts,
        Malformed::Header | Malformed::Transport | Malformed::IcmpType => Count::Malformed,
        _ => Count::BadError,
    }
}

#[cold]
fn refused(refusal: Refusal, packet: &mut Packet<'_>, next: Next, cx: &mut Ctx<'_, In2outSlowpath>) -> Next {
    let count = match refusal {
        Refusal::Exempt => {
            cx.count(Count::Exempt);
            packet.meta.marks |= marks::NATTED;
            return next;
        }
        Refusal::NeedsOneToOne => return cx.drop(Count::NeedsOneToOne),
        Refusal::NoPool => Count::NoPool,
        Refusal::NoPort => Count::NoPort,
        Refusal::SessionLimit => Count::SessionLimit,
        Refusal::HostLimit => Count::HostLimit,
        _ => return cx.drop(Count::NoFlow),
    };
    // RFC 5508 REQ-8: administratively prohibited, when resources are at an end.
    cx.count(count);
    Reason::Prohibited.note(packet);
    Next::IcmpError
}
