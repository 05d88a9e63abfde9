//! link-control: hands frames of LACP and LLDP, and markers, to the control plane. The current header is the frame's Ethernet header.
//! Reads: rx interface.

use super::{Frame, Frames, LONGEST};
use millrace_engine::{Ctx, Node, NodeName, Packet, counters, edges};
use millrace_wire::{EtherType, Ethernet};
use std::fmt;

/// Its name.
pub const NAME: NodeName = NodeName::new("link-control");

edges! {
    /// Packets end here.
    pub enum Next {}
}

counters! {
    /// What becomes of frames.
    pub enum Count {
        Handed => "frames handed to the control plane",
        Short => "shorter than its Ethernet header",
        Long => "longer than a control frame can be",
        TooMany => "more than an interface's share",
        QueueFull => "queue to the control plane is full",
    }
}

/// What `show trace` tells.
pub struct Trace {
    ether_type: EtherType,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {}", self.ether_type)
    }
}

/// The node.
pub struct LinkControl {
    /// Where frames go.
    pub frames: Frames,
}

impl Node for LinkControl {
    const NAME: NodeName = NAME;
    type Next = Next;
    type Count = Count;
    type Trace = Trace;

    fn packet(&mut self, packet: &mut Packet<'_>, cx: &mut Ctx<'_, Self>) -> Next {
        let Some(header) = packet.header::<Ethernet>() else { return cx.drop(Count::Short) };
        let ether_type = header.ether_type();
        cx.trace(packet, || Trace { ether_type });
        let (interface, len) = (packet.meta.rx_interface, packet.total_len());
        if len > LONGEST {
            return cx.drop(Count::Long);
        }
        if !self.frames.allows(interface, ether_type, cx.now()) {
            return cx.drop(Count::TooMany);
        }
        let mut frame = Frame { interface, len, bytes: [0; LONGEST] };
        packet.copy_to(&mut frame.bytes);
        if self.frames.push(frame) { cx.consume(Count::Handed) } else { cx.drop(Count::QueueFull) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link_control::QUEUE;
    use crate::testing::{LAN, WAN, fate};
    use millrace_engine::Waker;
    use millrace_engine::testing::Bench;

    fn bench() -> (Frames, Bench<LinkControl>) {
        let frames = Frames::new(Waker::new().unwrap());
        let mut bench = Bench::new(LinkControl { frames: frames.clone() });
        bench.now = 1_000_000_000;
        (frames, bench)
    }

    fn frame(ether_type: EtherType, len: usize) -> Vec<u8> {
        let head = [&[1, 0x80, 0xc2, 0, 0, 2, 2, 0, 0, 0, 0, 9][..], &ether_type.0.to_be_bytes()].concat();
        (0..len).map(|at| head.get(at).copied().unwrap_or(at as u8)).collect()
    }

    #[test]
    fn whole_frames_reach_control() {
        let (frames, mut bench) = bench();
        for (name, ether_type, len) in [
            ("LACP", EtherType::SLOW_PROTOCOLS, 124),
            ("LLDP", EtherType::LLDP, 1514),
            ("nothing but a header", EtherType::LLDP, 14),
        ] {
            let bytes = frame(ether_type, len);
            let outcome = bench.run(&[&bytes], |meta| meta.rx_interface = WAN);
            assert_eq!(fate(&outcome), ("consumed", &[("frames handed to the control plane", 1)][..]), "{name}");
            let heard = frames.pop().unwrap();
            assert_eq!((heard.interface, heard.bytes()), (WAN, &bytes[..]), "{name}");
            assert!(frames.pop().is_none(), "{name}");
        }
    }

    #[test]
    fn frames_that_are_none() {
        let (frames, mut bench) = bench();
        for (bytes, cause) in [
            (frame(EtherType::LLDP, 13), "shorter than its Ethernet header"),
            (frame(EtherType::LLDP, 1515), "longer than a control frame can be"),
            (frame(EtherType::LLDP, 5000), "longer than a control frame can be"),
        ] {
            assert_eq!(fate(&bench.one(&bytes)), ("drop", &[(cause, 1)][..]), "{} bytes", bytes.len());
        }
        assert!(frames.pop().is_none());
    }

    #[test]
    fn a_neighbour_gone_wild_takes_its_own_share_only() {
        let (frames, mut bench) = bench();
        let (lacp, lldp) = (frame(EtherType::SLOW_PROTOCOLS, 124), frame(EtherType::LLDP, 60));
        let outcome = bench.run(&vec![&lldp[..]; 256], |meta| meta.rx_interface = LAN);
        let expected = [("frames handed to the control plane", 32), ("more than an interface's share", 224)];
        assert_eq!(outcome.counts, expected);
        let handed = [("frames handed to the control plane", 1)];
        assert_eq!(bench.run(&[&lacp], |meta| meta.rx_interface = LAN).counts, handed, "the other protocol");
        assert_eq!(bench.run(&[&lldp], |meta| meta.rx_interface = WAN).counts, handed, "another interface");
        bench.now += 10_000_000;
        assert_eq!(bench.run(&[&lldp], |meta| meta.rx_interface = LAN).counts, handed, "a hundredth second later");
        assert_eq!(std::iter::from_fn(|| frames.pop()).count(), 35);
    }

    #[test]
    fn a_full_queue_is_counted() {
        let (frames, mut bench) = bench();
        let bytes = frame(EtherType::LLDP, 60);
        for interface in 0..QUEUE as u32 {
            bench.run(&[&bytes], |meta| meta.rx_interface = interface);
        }
        let more = |bench: &mut Bench<LinkControl>| bench.run(&[&bytes], |meta| meta.rx_interface = 600).counts;
        assert_eq!(more(&mut bench), [("queue to the control plane is full", 1)]);
        assert!(frames.pop().is_some());
        assert_eq!(more(&mut bench), [("frames handed to the control plane", 1)]);
    }

    #[test]
    fn trace() {
        assert_eq!(bench().1.traced(&frame(EtherType::LLDP, 60), |_| {}).1, "type lldp");
    }
}
