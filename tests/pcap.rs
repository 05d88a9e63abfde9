//! The pcap driver: captures in, captures out, frame for frame; and tcpdump agrees.

use harness::capture_file::{capture, frames_of};
use harness::frames;
use harness::{LAN, Lab, Output, WAN, eventually};
use std::process::Command;

fn packets() -> Vec<Vec<u8>> {
    (0..1000_u16).map(|number| frames::udp_packet(LAN.ip, WAN.ip, number, &number.to_be_bytes().repeat(20))).collect()
}

#[test]
fn a_capture_goes_through_the_router() {
    let lab = Lab::new();
    let sent: Vec<_> = packets().iter().map(|packet| LAN.frame(packet)).collect();
    let input = lab.files.write("in.pcap", capture(&sent));
    let output = lab.files.file("out.pcap");
    let router = lab.start(&format!(
        "
interfaces:
  lan: {{driver: pcap, read: {}, mac: '02:fe:00:00:00:01', addresses: [192.168.1.1/24]}}
  wan: {{driver: pcap, write: {}, mac: '02:fe:00:00:00:02', addresses: [203.0.113.1/24]}}
neighbors: [{{interface: wan, address: 203.0.113.10, mac: '02:00:00:00:02:0a'}}]
",
        input.display(),
        output.display()
    ));
    eventually("all packets are sent", || (router.counter("wan", "tx_packets") == 1000).then_some(()));
    assert_eq!(router.counter("lan", "rx_packets"), 1000);
    drop(router);
    let wanted: Vec<_> = packets().iter().map(|packet| forwarded(packet)).collect();
    let got = frames_of(&output);
    assert_eq!(got.len(), wanted.len());
    assert!(got == wanted, "the frames differ or are out of order");
    let read = Output::of(Command::new("tcpdump").arg("-nnr").arg(&output)).ok();
    assert_eq!(read.lines().filter(|line| line.contains("192.168.1.10.40000 > 203.0.113.10.")).count(), 1000);
}

/// A packet as it leaves into the wan.
fn forwarded(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[8] -= 1;
    packet[10..12].fill(0);
    let sum = frames::checksum(&packet[..20]).to_be_bytes();
    packet[10..12].copy_from_slice(&sum);
    frames::ethernet(WAN.router_mac, WAN.mac, frames::IP4, &packet)
}

#[test]
fn a_file_that_is_no_capture_is_reported() {
    let lab = Lab::new();
    let input = lab.files.write("in.pcap", "this is no capture");
    let router = lab.start("interfaces: {lo0: {driver: loopback, addresses: [10.255.0.1/32]}}");
    let said = router.ctl(&format!("interface add bad driver pcap read {}", input.display()));
    let row = router.interface("bad");
    assert!(said.code == 1 || row.is_some_and(|row| row["link"] != "up"), "{said:?}");
    router.rebase();
}
