//! nat44-out2in-slowpath: finds the flow of any packet that comes in, makes one where a mapping and its filter allow that, follows the
//! state of connections, and translates all that can be translated. What nobody asked for ends here.
//! Reads: marks. Writes: table, flow hash, marks. Uses the scratch slot.

use crate::forwarding::Forwarding;
use crate::nat44::parse::{Kind, Malformed, Parsed, parse};
use crate::nat44::state::{Opening, Refusal};
use crate::nat44::trace::Translated;
use crate::nat44::{Nat44, State, icmp as quotes, mss, rewrite, track};
use crate::{ip, marks};
use millrace_engine::{Ctx, Local, Node, NodeName, Packet, counters, edges};
use millrace_tables::flow::{Key, Side, Ticks, View};
use millrace_wire::{FromBytes, Icmp4, Icmp4Type, IpProtocol, Ipv4};

/// Its name.
pub const NAME: NodeName = NodeName::new("nat44-out2in-slowpath");

edges! {
    /// On along the arc of nat44-out2in.
    pub enum Next { Lookup => ip::lookup::NAME4 }
}

counters! {
    /// What becomes of packets.
    pub enum Count {
        Translated => "packets translated",
        Opened => "sessions opened",
        Local => "packets for the router itself",
        Unsolicited => "unsolicited: no mapping",
        Filtered => "unsolicited: mapping does not admit the sender",
        SessionLimit => "limit of sessions",
        HostLimit => "limit of sessions for the host",
        NoPort => "no free port for the twice-nat source",
        NoFlow => "ICMP error about no known session",
        Malformed => "not an IPv4 packet that can be translated",
        TcpFlags => "impossible TCP flags",
        UnknownPorts => "fragment without known ports",
        BadError => "ICMP error that is malformed or about an ICMP error",
        Busy => "sessions are in use elsewhere",
    }
}

/// The node.
pub struct Out2inSlowpath {
    nat: Nat44,
    /// Reads: what the router itself listens to.
    forwarding: Forwarding,
    state: Local<State>,
}

impl Out2inSlowpath {
    /// Reads rules, and in `forwarding` what the router itself listens to; reads and writes the flows of `worker`.
    pub fn new(nat: Nat44, forwarding: Forwarding, worker: usize) -> Out2inSlowpath {
        let state = nat.state(worker).clone();
        Out2inSlowpath { nat, forwarding, state }
    }
}

impl Node for Out2inSlowpath {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Translated;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        // Looked at where it was put: a copy would wait until it is written.
        let parsed = &parse(packet, Side::Outside);
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(malformed) => return cx.drop(cause(*malformed)),
        };
        if let Kind::Error(_) = parsed.kind {
            return self.error(packet, parsed, cx);
        }
        let rules = self.nat.rules(&cx.guard());
        let Some(mut state) = self.state.get() else { return cx.drop(Count::Busy) };
        let state = &mut *state;
        let now = Ticks::from_nanos(cx.now());
        let key = Key { view: parsed.view, protocol: parsed.protocol.0, table: 0 };
        let hash = state.flows.hash(&key);
        let id = match state.flows.find(Side::Outside, &key, hash) {
            Some(id) => id,
            None => {
                let opening = Opening { key, tx_interface: 0, tcp: parsed.tcp };
                match state.inbound(rules, &opening, now) {
                    Ok(id) => {
                        cx.count(Count::Opened);
                        id
                    }
                    Err(refusal) => return self.refused(refusal, packet, parsed, cx),
                }
            }
        };
        track(&mut state.flows, id, Side::Outside, parsed, now);
        let Some(flow) = state.flows.get_mut(id) else { return cx.drop(Count::NoFlow) };
        let to = flow.translated(Side::Outside);
        flow.count(packet.total_len() as u16);
        flow.touch(now);
        let table = u32::from(flow.table());
        cx.trace(packet, || Translated { flow: id, from: parsed.view, to });
        mss::clamp(packet, parsed, rules.mss_clamp());
        rewrite::rewrite(packet, parsed, &to);
        cx.count(Count::Translated);
        go_in(packet, table)
    }
}

/// On to an inside host.
fn go_in(packet: &mut Packet<'_>, table: u32) -> Next {
    packet.meta.table = table;
    packet.meta.flow_hash = 0;
    packet.meta.marks |= marks::NATTED;
    Next::Lookup
}

impl Out2inSlowpath {
    /// An ICMP error about a packet that went out.
    fn error(&self, packet: &mut Packet<'_>, parsed: &Parsed, cx: &mut Ctx<'_, Self>) -> Next {
        let Kind::Error(quoted) = &parsed.kind else { return cx.drop(Count::BadError) };
        let rules = self.nat.rules(&cx.guard());
        let Some(state) = self.state.get() else { return cx.drop(Count::Busy) };
        let key = Key { view: quoted.view, protocol: quoted.protocol.0, table: 0 };
        let flow = state.flows.find(Side::Outside, &key, state.flows.hash(&key)).and_then(|id| state.flows.get(id));
        let inside = match flow {
            Some(flow) => Some((u32::from(flow.table()), flow.view(Side::Inside))),
            // RFC 5508 REQ-4: a mapping is enough.
            None => {
                let (external, port) = (quoted.view.destination(), quoted.view.destination_port());
                let remote = (quoted.view.source(), quoted.view.source_port());
                state
                    .inside_of(rules, external, port, quoted.protocol.0)
                    .map(|(table, host, port)| (table, View::new(host, port, remote.0, remote.1)))
            }
        };
        drop(state);
        let Some((table, to)) = inside else {
            // About what the router itself sent; but what turned round here already would do so for ever.
            if packet.meta.marks & marks::HAIRPIN == 0 && rules.is_own(parsed.view.destination()) {
                cx.count(Count::Local);
                return Next::Lookup;
            }
            return cx.drop(Count::NoFlow);
        };
        let own = packet.meta.marks & marks::OWN != 0;
        let source = if own { None } else { quotes::new_source(Side::Outside, parsed, quoted, &to) };
        cx.trace(packet, || Translated { flow: 0, from: quoted.view, to });
        // RFC 5508 REQ-6 (and RFC 4787 REQ-10): the session neither ends by it nor lives longer.
        quotes::translate(packet, parsed, quoted, &to, source);
        cx.count(Count::Translated);
        go_in(packet, table)
    }

    #[cold]
    fn refused(&self, refusal: Refusal, packet: &mut Packet<'_>, parsed: &Parsed, cx: &mut Ctx<'_, Self>) -> Next {
        let (rules, destination) = (self.nat.rules(&cx.guard()), parsed.view.destination());
        match refusal {
            Refusal::SessionLimit => cx.drop(Count::SessionLimit),
            Refusal::HostLimit => cx.drop(Count::HostLimit),
            Refusal::NoPort | Refusal::NoPool => cx.drop(Count::NoPort),
            // The router answers pings to its external addresses, and gets the answers to its own, and what comes through its tunnels.
            // What else is for an address that it shares with nobody is its own to answer, too. Not what turned round here, because somebody is behind the address: to
            // look that up again would lead here again, for ever.
            _ if packet.meta.marks & marks::HAIRPIN == 0
                && (rules.is_the_routers_alone(destination)
                    || rules.is_own(destination) && self.is_service(packet, parsed, cx)
                    || for_the_router(packet, parsed, rules.is_own(destination))) =>
            {
                cx.count(Count::Local);
                Next::Lookup
            }
            // RFC 5382 REQ-4: without a word, so that a simultaneous open succeeds.
            Refusal::Filtered => cx.drop(Count::Filtered),
            _ => cx.drop(Count::Unsolicited),
        }
    }
}

impl Out2inSlowpath {
    /// Whether a packet to one of the router's own addresses is of a tunnel that ends there.
    fn is_service(&self, packet: &Packet<'_>, parsed: &Parsed, cx: &Ctx<'_, Self>) -> bool {
        let ends = (parsed.view.destination(), parsed.view.source());
        match parsed.protocol {
            IpProtocol::UDP => self.forwarding.udp_services.is_open(parsed.view.destination_port()),
            protocol => self.forwarding.tunnels.takes(packet.meta.table, ends, protocol, &cx.guard()),
        }
    }
}

/// Whether a packet that belongs to no session is one that the router itself answers or waits for.
fn for_the_router(packet: &Packet<'_>, parsed: &Parsed, own_address: bool) -> bool {
    if parsed.protocol != IpProtocol::ICMP {
        return false;
    }
    // Of its own pings' answers only the first fragment says that they are ones; the router's do not come in pieces.
    let message = packet.data().get(parsed.header_len..).and_then(|bytes| Icmp4::ref_from_prefix(bytes).ok());
    let later = packet.header::<Ipv4>().is_none_or(Ipv4::is_later_fragment);
    match message.map(|(message, _)| message.kind()) {
        _ if later => true,
        Some(Icmp4Type::ECHO_REQUEST) => true,
        Some(_) => own_address,
        None => false,
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
