//! l2-fwd: finds the port that a frame's destination is behind.
//! Reads: rx interface, scratch. Writes: tx interface, adjacency (the number of a remote).

use super::news::News;
use super::storm::Kind;
use super::tables::{Bridging, Found};
use super::{flood, output};
use millrace_engine::counters::MAX_INTERFACES;
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("l2-fwd");

edges! {
    /// By whether the destination is known.
    pub enum Next { Output => output::NAME, Flood => flood::NAME }
}

counters! {
    /// Why frames end here.
    pub enum Count {
        Unknown => "destination is unknown, and the port floods no such",
        Storm => "storm control: unknown destinations",
        NoForward => "port doesn't forward",
        NoPort => "interface is no port any more",
        NoRemote => "remote end of a tunnel is no more",
    }
}

/// What `show trace` tells.
pub struct Trace(Option<u16>);

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(port) if usize::from(port) < MAX_INTERFACES => write!(f, "destination is behind interface {port}"),
            Some(remote) => write!(f, "destination is behind remote {remote}"),
            None => write!(f, "destination is unknown"),
        }
    }
}

/// The node.
pub struct Fwd {
    /// Reads: stations, ports.
    pub bridging: Bridging,
}

impl Node for Fwd {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    #[inline(always)]
    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let found = Found::of(packet);
        let known = self.bridging.stations.find(found.destination, found.destination_place);
        let port = known.map(|known| known.port);
        cx.trace(packet, move || Trace(port));
        match port {
            Some(_) if !found.forward => cx.drop(Count::NoForward),
            Some(port) if usize::from(port) < MAX_INTERFACES => {
                packet.meta.tx_interface = port.into();
                Next::Output
            }
            Some(remote) => self.remote(remote, packet, cx),
            None => self.unknown(packet.meta.rx_interface, cx),
        }
    }
}

impl Fwd {
    /// To the tunnel that the remote is an end of.
    fn remote(&self, remote: u16, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Fwd>) -> Next {
        let Some(interface) = self.bridging.behind(remote) else { return cx.drop(Count::NoRemote) };
        packet.meta.tx_interface = interface;
        packet.meta.adjacency = remote.into();
        Next::Output
    }

    /// Nobody knows where the destination is.
    fn unknown(&self, interface: u32, cx: &mut Ctx<'_, Fwd>) -> Next {
        let Some(from) = self.bridging.ports.get(interface, &cx.guard()) else { return cx.drop(Count::NoPort) };
        if !from.flood_unknown {
            return cx.drop(Count::Unknown);
        }
        if !from.storm.allows(Kind::Unknown, cx.now()) {
            self.bridging.journal.tell(News::Storm { interface, kind: Kind::Unknown }, cx.now());
            return cx.drop(Count::Storm);
        }
        Next::Flood
    }
}
