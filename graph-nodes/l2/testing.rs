//! What the tests of bridging share: a bridge of four ports, and frames.

use super::{Bridging, Domain, Port, PortKind};
use crate::ethernet;
use crate::ip::{V4, V6};
use crate::link_control::Frames;
use crate::vxlan::Underlay;
use crate::{interface, tunnel};
use millrace_engine::builtin::INTERFACE_TX;
use millrace_engine::epoch::domain;
use millrace_engine::node::NoTrace;
use millrace_engine::testing::Testbed;
use millrace_engine::{Ctx, Feature, Graph, Node, NodeName, Packet, counters, edges};
use millrace_tables::mac::Station;

/// Ports of the tests' first domain.
pub const PORTS: [u32; 4] = [1, 2, 3, 4];
/// Everyone.
pub const ALL: [u8; 6] = [0xff; 6];
/// A group of some protocol.
pub const GROUP: [u8; 6] = [1, 0, 0x5e, 0, 0, 9];

/// Station number `n`.
pub fn mac(n: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, n]
}

/// A frame from one station to another.
pub fn frame(from: [u8; 6], to: [u8; 6], payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &[0x88, 0xb5], payload].concat()
}

edges! { pub enum Next { Tx => INTERFACE_TX } }
counters! { pub enum Count {} }

/// In the place of ethernet-input: what the router receives by an interface appears on that one's wire.
struct Router;

impl Node for Router {
    const NAME: NodeName = ethernet::input::NAME;
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, _: &mut Ctx<'_, Self>) -> Next {
        assert!(!packet.shared(), "the router's own frames are nobody else's");
        packet.meta.tx_interface = packet.meta.rx_interface;
        Next::Tx
    }
}

/// In the place of what sends by tunnels, which captures come before: on for nobody.
struct Encap<const N: usize>;

const ENCAPS: [NodeName; 3] = [tunnel::encap::NAME, <V4 as Underlay>::ENCAP, <V6 as Underlay>::ENCAP];

impl<const N: usize> Node for Encap<N> {
    const NAME: NodeName = ENCAPS[N];
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, _: &mut Packet<'_>, _: &mut Ctx<'_, Self>) -> Next {
        Next::Tx
    }
}

/// A bridge on a testbed.
pub struct Bridge {
    pub bridging: Bridging,
    pub link_control: Frames,
    pub bed: Testbed,
}

impl Bridge {
    /// With `ports`, which are in no domain yet, and so many workers.
    pub fn with(ports: &[u32], workers: usize) -> Bridge {
        Bridge::built(ports, workers, |_| {})
    }

    /// With these interfaces, and further nodes.
    pub fn built(ports: &[u32], workers: usize, more: impl FnOnce(&mut Graph)) -> Bridge {
        let bridging = Bridging::new(4096).unwrap();
        let link_control = Frames::new(millrace_engine::Waker::new().unwrap());
        let mut graph = Graph::new();
        let captures = crate::capture::Captures::new(millrace_engine::Waker::new().unwrap());
        interface::register(&mut graph);
        crate::capture::register_frames(&mut graph, &captures);
        super::register(&mut graph, &bridging);
        crate::link_control::register(&mut graph, &link_control);
        graph.node(|_| Router).input(ethernet::input::NAME);
        graph.node(|_| Encap::<0>).node(|_| Encap::<1>).node(|_| Encap::<2>);
        for node in ENCAPS {
            graph.feature(Feature { arc: interface::output::ARC.name, node, after: &[], before: &[] });
        }
        more(&mut graph);
        let bed = Testbed::new(graph, workers, ports);
        ports.iter().for_each(|port| bed.switch(super::FEATURE.arc, super::FEATURE.node, *port, true));
        Bridge { bridging, link_control, bed }
    }

    /// With [`PORTS`] in domain 1.
    pub fn new() -> Bridge {
        let bridge = Bridge::with(&PORTS, 1);
        PORTS.into_iter().for_each(|port| bridge.port(port, Port::new(1)));
        bridge.members(1, &PORTS);
        bridge
    }

    /// Sets what a port is.
    pub fn port(&self, interface: u32, port: Port) {
        // What the router receives by its own interface doesn't enter the bridge again.
        self.bed.switch(super::FEATURE.arc, super::FEATURE.node, interface, port.kind == PortKind::Device);
        self.bridging.ports.set(&domain(), interface, port).unwrap();
    }

    /// Sets the ports that a domain floods to.
    pub fn members(&self, number: u16, members: &[u32]) {
        self.bridging
            .domains
            .set(&domain(), number.into(), Domain { members: members.to_vec(), ..Domain::default() })
            .unwrap();
    }

    /// The ports that a frame leaves by, all as it came.
    pub fn sent(&mut self, port: u32, frame: &[u8]) -> Vec<u32> {
        self.bed.put(0, port, frame);
        let sent = self.bed.run();
        assert!(sent.iter().all(|sent| sent.data == frame), "it changed on its way");
        let mut ports: Vec<u32> = sent.into_iter().map(|sent| sent.interface).collect();
        ports.sort_unstable();
        ports
    }

    /// What was counted since the last time.
    pub fn counts(&mut self) -> Vec<(NodeName, &'static str, u64)> {
        self.bed.counts()
    }

    /// The port that a station is behind.
    pub fn behind(&self, number: u16, mac: [u8; 6]) -> Option<u16> {
        let (table, station) = (&self.bridging.stations, Station::new(number, mac));
        table.find(station, table.place(station)).map(|known| known.port)
    }
}
