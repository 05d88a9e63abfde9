//! The real bridge on a testbed: some ports, one of which is a tunnel with several remotes, and one the router's own.

use crate::interface;
use crate::l2::testing::{self, Bridge};
use crate::l2::{BVI_FEATURE, input, set_behind};
use millrace_engine::builtin::DEVICE_INPUT_ARC;
use millrace_engine::node::NoTrace;
use millrace_engine::{ArcName, Ctx, Feature, Node, NodeName, Packet, counters, edges};

/// The ports.
pub const PORTS: [u32; 6] = [1, 2, 3, 4, TUNNEL, BVI];
/// The one whose frames come from, and go to, remotes.
pub const TUNNEL: u32 = 5;
/// The one that is, with some settings, the router's own: what is sent to it appears on its wire.
pub const BVI: u32 = 6;
/// No port: what comes in here the router sends by its own interface in the bridge.
pub const ROUTER: u32 = 7;
/// Remotes of the tunnel.
pub const REMOTES: [u16; 3] = [1024, 2000, 4095];

edges! { pub enum Next { Output => interface::output::NAME } }
counters! { pub enum Count { Short => "no number of a remote" } }

/// In the place of what takes frames out of a tunnel: the number of the remote comes before each frame.
struct Decap;

impl Node for Decap {
    const NAME: NodeName = NodeName::new("test-decap");
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(number) = packet.data().first_chunk().copied() else { return cx.drop(Count::Short) };
        let _ = packet.advance(2);
        set_behind(packet, u16::from_be_bytes(number));
        cx.next_feature(packet)
    }
}

/// In the place of what puts frames into a tunnel: the number of the remote goes before each frame; 0: to all.
struct Encap;

impl Node for Encap {
    const NAME: NodeName = NodeName::new("test-encap");
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let number = (packet.meta.adjacency as u16).to_be_bytes();
        if !packet.retreat(2) {
            return cx.drop(Count::Short);
        }
        packet.data_mut()[..2].copy_from_slice(&number);
        cx.next_feature(packet)
    }
}

/// In the place of the router, which has routed what it sends.
struct Routed;

impl Node for Routed {
    const NAME: NodeName = NodeName::new("test-routed");
    type Next = Next;
    type Count = Count;
    type Trace = NoTrace;

    fn packet(&mut self, packet: &mut Packet<'_>, _: &mut Ctx<'_, Self>) -> Next {
        (packet.meta.tx_interface, packet.meta.adjacency, packet.meta.scratch) = (BVI, 2000, [u64::MAX; 3]);
        Next::Output
    }
}

/// The bridge, with no port yet.
pub fn bridge(workers: usize) -> Bridge {
    let on = |arc: ArcName, node, before| Feature { arc, node, after: &[], before };
    let interfaces: Vec<u32> = PORTS.into_iter().chain([ROUTER]).collect();
    let bridge = Bridge::built(&interfaces, workers, |graph| {
        graph.node(|_| Decap).feature(on(DEVICE_INPUT_ARC.name, Decap::NAME, &[input::NAME]));
        graph.node(|_| Encap).feature(on(interface::output::ARC.name, Encap::NAME, &[]));
        graph.node(|_| Routed).feature(on(DEVICE_INPUT_ARC.name, Routed::NAME, &[input::NAME]));
    });
    let bed = &bridge.bed;
    bed.switch(DEVICE_INPUT_ARC.name, Decap::NAME, TUNNEL, true);
    bed.switch(interface::output::ARC.name, Encap::NAME, TUNNEL, true);
    bed.switch(DEVICE_INPUT_ARC.name, Routed::NAME, ROUTER, true);
    bed.switch(BVI_FEATURE.arc, BVI_FEATURE.node, BVI, true);
    bridge
}

/// A frame with these tags, each an EtherType and control information.
pub fn frame(from: [u8; 6], to: [u8; 6], tags: &[(u16, u16)], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let tags = tags.iter().flat_map(|(kind, control)| [kind.to_be_bytes(), control.to_be_bytes()]).flatten();
    let whole = testing::frame(from, to, payload);
    let tagged = whole[..12].iter().copied().chain(tags).chain(ether_type.to_be_bytes());
    tagged.chain(whole[14..].iter().copied()).collect()
}
