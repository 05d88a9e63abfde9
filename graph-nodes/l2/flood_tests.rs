//! Flooding: who gets what, in which order, and what it costs.

use super::super::testing::{ALL, Bridge, frame, mac};
use super::super::{Port, PortKind};
use super::*;

/// Frames of these lengths behind the header, of one station, each with its number.
fn frames(lengths: &[usize]) -> Vec<Vec<u8>> {
    let payload = |(number, length): (usize, &usize)| (0..*length).map(|n| (n + number) as u8).collect::<Vec<u8>>();
    lengths.iter().enumerate().map(payload).map(|payload| frame(mac(1), ALL, &payload)).collect()
}

#[test]
fn long_and_short_frames_keep_their_order_at_every_port() {
    let mut bridge = Bridge::new();
    // The router's own interface is between the others.
    bridge.port(3, Port { kind: PortKind::Bvi, ..Port::new(1) });
    let lengths: Vec<usize> = (0..120).map(|n| [1400, 46, 8000, 1, 1010, 1011, 2034, 300][n % 8] + n / 8).collect();
    let frames = frames(&lengths);
    frames.iter().for_each(|frame| bridge.bed.put(0, 1, frame));
    let sent = bridge.bed.run();
    for port in [2, 3, 4] {
        let got: Vec<&Vec<u8>> = sent.iter().filter(|sent| sent.interface == port).map(|sent| &sent.data).collect();
        assert_eq!(got.len(), frames.len(), "port {port}");
        assert!(got.into_iter().eq(&frames), "port {port}");
    }
    assert_eq!((sent.len(), bridge.bed.held()), (3 * frames.len(), 0));
    assert!(bridge.counts().contains(&(NAME, "copies made", 2 * 120)));
    let ledger = bridge.bed.ledger();
    assert_eq!((ledger.made, ledger.dropped), (2 * 120, 0));
}

#[test]
fn without_buffers_some_ports_go_without_and_it_is_counted() {
    let mut bridge = Bridge::new();
    // 8 cells each, and 3 for its copies; there are 2048.
    let frames = frames(&[15_000; 200]);
    frames.iter().for_each(|frame| bridge.bed.put(0, 1, frame));
    let sent = bridge.bed.run();
    let missing =
        bridge.counts().iter().find(|count| count.0 == NAME && count.1.contains("no free buffer")).map(|c| c.2);
    assert!(missing.is_some_and(|missing| sent.len() as u64 + missing == 3 * 200), "{} sent, {missing:?}", sent.len());
    assert!(sent.iter().all(|sent| frames.contains(&sent.data)));
    assert_eq!(bridge.bed.held(), 0);
}

#[test]
fn traces() {
    let mut bridge = Bridge::new();
    for (others, text) in [(&[2, 3, 4][..], "to 3 ports"), (&[2], "to 1 port")] {
        bridge.members(1, others);
        bridge.bed.trace(NAME, 1);
        bridge.bed.put(0, 1, &frame(mac(1), ALL, &[0; 1500]));
        assert_eq!(bridge.bed.run().len(), others.len());
        let traces = bridge.bed.traces();
        let hops = &traces.last().unwrap().hops;
        assert_eq!((hops[0].node, &hops[0].text[..]), (NAME, text));
        // One of the frames goes on with it.
        assert_eq!(hops.iter().filter(|hop| hop.node == output::NAME).count(), 1, "{hops:?}");
    }
}
