//! What happens: packets that a station sends, with the external port of a flow left open, as each side chooses its own.

use crate::side::EXTERNAL;
use std::net::SocketAddrV4;

/// Where a packet is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// Inside.
    Lan,
    /// Outside.
    Wan,
}

/// A flow as the inside host sees it. Of ICMP queries the inside's port is the identifier and the remote's is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// IP protocol.
    pub protocol: u8,
    /// The inside's end.
    pub inside: SocketAddrV4,
    /// The remote's.
    pub remote: SocketAddrV4,
}

/// Makes the packets of an event; the argument is the flow's external end.
type Make = Box<dyn Fn(&str) -> Vec<Vec<u8>>>;

/// Packets sent by a station, one right after the other.
pub struct Event {
    /// What it is, for messages.
    pub name: &'static str,
    /// Where they are sent.
    pub from: Where,
    /// The flow that they belong to.
    pub flow: Flow,
    make: Make,
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} from the {:?}, {:?}", self.name, self.from, self.flow)
    }
}

impl Event {
    /// Packets from inside.
    pub fn out(name: &'static str, flow: Flow, packets: Vec<Vec<u8>>) -> Event {
        Event { name, from: Where::Lan, flow, make: Box::new(move |_| packets.clone()) }
    }

    /// Packets from outside, to the external end that the closure is given.
    pub fn back(name: &'static str, flow: Flow, make: impl Fn(&str) -> Vec<Vec<u8>> + 'static) -> Event {
        Event { name, from: Where::Wan, flow, make: Box::new(make) }
    }

    /// Its packets, for a side that gave this external port to the flow. None: the side knows nothing of the flow.
    pub fn packets(&self, given: impl Fn(&Flow) -> Option<u16>) -> Option<Vec<Vec<u8>>> {
        match self.from {
            Where::Lan => Some((self.make)("")),
            Where::Wan => given(&self.flow).map(|port| (self.make)(&format!("{EXTERNAL}:{port}"))),
        }
    }

    /// The flow that a packet of this event opens, or uses, on its way out.
    pub fn opens(&self) -> Option<Flow> {
        (self.from == Where::Lan).then_some(self.flow)
    }
}
