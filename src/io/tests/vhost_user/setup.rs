//! What is said at the control socket, in order and out of it.

use crate::common::{Port, experimental, until};
use crate::frontend::{Code, Event, numbers, words};
use crate::guest::*;
use millrace_io::{Link, Role};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};

fn with(features: u64) -> (Port, Guest) {
    let path = socket_path();
    let port = server(&path);
    let guest = Guest::on(&path, features, &*port.device);
    (port, guest)
}

/// Packets pass.
fn passes(port: &mut Port, guest: &mut Guest) {
    let frame = experimental(1, 60);
    guest.send(&frame);
    assert_eq!(port.wait_for(1, |_| true), [&frame[..]]);
    guest.make_room(1, 2048);
    assert_eq!(port.tx(&[&frame]), 1);
}

fn region([guest, size, user, offset]: [u64; 4]) -> Vec<u8> {
    numbers(&[0, guest, size, user, offset])
}

#[test]
fn the_operator_sees_how_it_works() {
    let (port, guest) = with(VERSION_1 | MRG | EVENT_IDX);
    let info = port.device.info();
    assert_eq!(info.driver, "vhost-user");
    assert!(info.notes.is_empty(), "{:?}", info.notes);
    let expected = [
        ("role", "server"),
        ("most-queues", "1"),
        ("features", "mrg-rxbuf, event-idx, protocol-features, version-1"),
        ("protocol-features", "mq, reply-ack, configure-mem-slots"),
        ("receiving-queues", "1"),
        ("ring-sizes", "64, 64"),
        ("memory", "4 MiB in 2 regions"),
    ];
    for (name, value) in expected {
        assert_eq!(mode(&*port.device, name), value, "{name}");
    }
    assert!(mode(&*port.device, "peer").contains(&format!("process {}", std::process::id())));
    drop(guest);
}

#[test]
fn memory_is_changed_while_packets_pass() {
    let (mut port, mut guest) = with(VERSION_1);
    for _ in 0..20 {
        passes(&mut port, &mut guest);
        assert!(guest.share_memory());
    }
    assert_eq!(port.device.link(), Link::Up);
    // A region by itself, and gone again.
    let more = Guest::new(0, 0);
    let far = [1 << 40, MEMORY, 1 << 46, 0];
    assert!(guest.frontend().tell(Code::AddMemReg, &region(far), &[more.file.as_raw_fd()]));
    until("three regions", || mode(&*port.device, "memory") == "8 MiB in 3 regions");
    let frame = experimental(8, 60);
    more.write(0, &[vec![0; 12], frame.clone()].concat());
    guest.add(1, &[(1 << 40, 72)], 0);
    guest.publish(1);
    assert_eq!(port.wait_for(1, |_| true), [frame]);
    assert!(guest.frontend().tell(Code::RemMemReg, &region(far), &[]));
    until("two regions", || mode(&*port.device, "memory") == "4 MiB in 2 regions");
    passes(&mut port, &mut guest);
    guest.add(1, &[(1 << 40, 72)], 0);
    guest.publish(1);
    until("the ring to end", || port.rx().is_empty() && port.device.link() == Link::Down);
    assert_eq!(guest.frontend().get(Code::GetMaxMemSlots), 32);
}

#[test]
fn a_region_that_is_named_twice_is_there_once() {
    // QEMU names each once a pair of rings, when it comes and when it goes.
    let (mut port, mut guest) = with(VERSION_1);
    let fd = guest.file.as_raw_fd();
    let far = [1 << 40, MEMORY, 1 << 46, 0];
    for (code, fds, regions) in [(Code::AddMemReg, vec![fd], 3), (Code::RemMemReg, vec![], 2)] {
        for _ in 0..2 {
            assert!(guest.frontend().tell(code, &region(far), &fds));
            until("the regions", || mode(&*port.device, "memory").contains(&format!("{regions} regions")));
        }
    }
    passes(&mut port, &mut guest);
}

#[test]
fn rings_that_are_no_longer_in_memory_rest_until_they_are_again() {
    let (mut port, mut guest) = with(VERSION_1);
    let [main, _] = Guest::regions();
    assert!(guest.frontend().tell(Code::RemMemReg, &region(main), &[]));
    wait_link(&*port.device, Link::Down);
    wait_note(&*port.device, "outside of the guest's memory");
    assert!(port.rx().is_empty());
    let fd = guest.file.as_raw_fd();
    assert!(guest.frontend().tell(Code::AddMemReg, &region(main), &[fd]));
    wait_link(&*port.device, Link::Up);
    passes(&mut port, &mut guest);
}

#[test]
fn rings_are_moved_and_signals_changed_while_packets_pass() {
    let (mut port, mut guest) = with(VERSION_1);
    passes(&mut port, &mut guest);
    guest.used(0);
    guest.used(1);
    // The rings' contents go along, to another place.
    for at in [0, 1] {
        let ring = &mut guest.rings[at];
        let (old, new) = (ring.table, ring.table + 0x8_0000);
        (ring.table, ring.available, ring.used) = (new, new + 0x4000, new + 0x8000);
        let (index, bytes) = (ring.index, guest.read(old, 0x1_0000));
        guest.write(new, &bytes);
        guest.write(old, &[0xff; 0x1_0000]);
        let addresses =
            [words(&[index, 0]), numbers(&[USER + new, USER + new + 0x8000, USER + new + 0x4000, 0])].concat();
        assert!(guest.frontend().tell(Code::SetVringAddr, &addresses, &[]));
    }
    passes(&mut port, &mut guest);
    let call = Event::new();
    assert!(guest.frontend().tell(Code::SetVringCall, &numbers(&[0]), &[call.fd()]));
    assert_eq!(call.count(), 1, "it may have missed one");
    passes(&mut port, &mut guest);
    assert_eq!(call.count(), 1);
    assert!(guest.frontend().tell(Code::SetVringCall, &numbers(&[1 << 8]), &[]));
    passes(&mut port, &mut guest);
    assert_eq!(call.count(), 0);
}

#[test]
fn rings_may_be_enabled_before_it_is_said_which_features_the_guest_took() {
    // As QEMU does, which doesn't say it again.
    for enabled in [1, 0] {
        let path = socket_path();
        let mut port = server(&path);
        let mut guest = Guest::new(VERSION_1, 1);
        guest.connect(&path);
        let features = guest.features;
        let frontend = guest.frontend();
        assert_eq!(features & !frontend.get(Code::GetFeatures), 0);
        let protocol = frontend.get(Code::GetProtocolFeatures);
        frontend.send(Code::SetProtocolFeatures, 0, &numbers(&[protocol]), &[]).unwrap();
        frontend.send(Code::SetVringEnable, 0, &words(&[0, 1]), &[]).unwrap();
        assert!(frontend.tell_ring(Code::SetVringEnable, 1, enabled));
        assert!(frontend.tell(Code::SetFeatures, &numbers(&[features]), &[]));
        assert!(guest.share_memory());
        guest.start_ring(0, 0);
        guest.start_ring(1, 0);
        if enabled == 1 {
            wait_link(&*port.device, Link::Up);
            passes(&mut port, &mut guest);
        } else {
            guest.send(&experimental(1, 60));
            until("the packet to be thrown away", || port.rx().is_empty() && port.stat("rx_queue_disabled") == 1);
            assert_eq!(port.device.link(), Link::Down);
        }
    }
    let early = |ring: u32, on: u32| {
        let path = socket_path();
        let port = server(&path);
        let mut guest = Guest::new(VERSION_1, 1);
        guest.connect(&path);
        guest.frontend().send(Code::SetVringEnable, 0, &words(&[ring, on]), &[]).unwrap();
        assert!(guest.frontend().is_ended());
        wait_note(&*port.device, "the last connection was ended");
    };
    early(2, 1);
    early(0, 2);
}

#[test]
fn the_number_of_pairs_is_told() {
    let path = socket_path();
    let _device = Workers::open(&spec(&path, Role::Server, 3, true), 1);
    let mut guest = Guest::new(VERSION_1 | MQ, 3);
    guest.connect(&path);
    guest.negotiate();
    assert_eq!(guest.frontend().get(Code::GetQueueNum), 3);
}

/// A message that ends the connection with this reason, after which the next guest is served.
fn refused(why: &str, message: impl Fn(&mut Guest)) {
    let path = socket_path();
    let mut port = server(&path);
    let mut guest = Guest::on(&path, VERSION_1, &*port.device);
    message(&mut guest);
    assert!(guest.frontend().is_ended(), "{why}");
    wait_note(&*port.device, why);
    assert_eq!(port.device.link(), Link::Down);
    assert_eq!(port.stat("connections_broken"), 1);
    let mut next = Guest::on(&path, VERSION_1, &*port.device);
    passes(&mut port, &mut next);
}

/// As [`refused`], with a message as it should be but for its contents, which is told to be refused.
fn told(why: &str, code: Code, payload: Vec<u8>, fds: &[RawFd]) {
    refused(why, |guest| assert!(!guest.frontend().tell(code, &payload, fds)));
}

#[test]
fn rings_of_impossible_sizes_and_numbers_are_refused() {
    for size in [0, 3, 65_536, 1 << 31] {
        told("power of two", Code::SetVringNum, words(&[0, size]), &[]);
    }
    for ring in [2, 255, u32::MAX] {
        told(&format!("there is no ring {ring}"), Code::SetVringNum, words(&[ring, 64]), &[]);
        told(&format!("there is no ring {ring}"), Code::SetVringBase, words(&[ring, 0]), &[]);
        told(&format!("there is no ring {ring}"), Code::SetVringEnable, words(&[ring, 1]), &[]);
        let addresses = [words(&[ring, 0]), numbers(&[USER; 4])].concat();
        told(&format!("there is no ring {ring}"), Code::SetVringAddr, addresses, &[]);
        refused(&format!("there is no ring {ring}"), |guest| {
            guest.frontend().send(Code::GetVringBase, 0, &words(&[ring, 0]), &[]).unwrap();
        });
    }
    let event = Event::new();
    for code in [Code::SetVringKick, Code::SetVringCall, Code::SetVringErr] {
        told("there is no ring 2", code, numbers(&[2]), &[event.fd()]);
    }
}

#[test]
fn features_that_were_not_offered_are_refused() {
    told("were not offered", Code::SetFeatures, numbers(&[1 << 7]), &[]);
    told("were not offered", Code::SetFeatures, numbers(&[MQ]), &[]);
    told("were not offered", Code::SetProtocolFeatures, numbers(&[1 << 12]), &[]);
}

#[test]
fn what_is_no_eventfd_is_refused() {
    let (reader, writer) = std::io::pipe().unwrap();
    let file = File::open("/proc/self/exe").unwrap();
    for fd in [reader.as_raw_fd(), writer.as_raw_fd(), file.as_raw_fd()] {
        for code in [Code::SetVringKick, Code::SetVringCall, Code::SetVringErr] {
            told("no eventfd", code, numbers(&[0]), &[fd]);
        }
    }
}

#[test]
fn memory_that_is_none_is_refused() {
    let good = Guest::new(0, 0);
    let memory = good.file.as_raw_fd();
    let disk = File::open("/proc/self/exe").unwrap();
    let table = |regions: &[[u64; 4]]| [words(&[regions.len() as u32, 0]), numbers(regions.as_flattened())].concat();
    told("of a file of", Code::SetMemTable, table(&[[0, MEMORY + 4096, 0, 0]]), &[memory]);
    told("of a file of", Code::SetMemTable, table(&[[0, MEMORY, 0, 4096]]), &[memory]);
    told("memfd, shared memory or huge pages", Code::SetMemTable, table(&[[0, 4096, 0, 0]]), &[disk.as_raw_fd()]);
    told("overlap", Code::SetMemTable, table(&[[0, 8192, 0, 0], [4096, 8192, 1 << 30, 0]]), &[memory, memory]);
    told("invalid message", Code::SetMemTable, table(&[[0, 8192, 0, 0], [8192, 8192, 1 << 30, 0]]), &[memory]);
    told("invalid message", Code::SetMemTable, table(&[[0, 0, 0, 0]]), &[memory]);
    told("invalid message", Code::SetMemTable, table(&[[u64::MAX, 4096, 0, 0]]), &[memory]);
    told("overlap", Code::AddMemReg, region([GUEST, 4096, 1 << 50, 0]), &[memory]);
}

#[test]
fn rings_outside_of_memory_do_not_run() {
    let path = socket_path();
    let port = server(&path);
    let outside = |which: usize, address: u64, why: &str| {
        let mut guest = Guest::new(VERSION_1, 1);
        guest.connect(&path);
        guest.negotiate();
        assert!(guest.share_memory());
        guest.start_ring(0, 0);
        guest.enable(0, true);
        guest.enable(1, true);
        let mut at = [USER + 0x1_0000, USER + 0x1_8000, USER + 0x1_4000, 0];
        at[which] = address;
        let kick = Event::new();
        let frontend = guest.frontend();
        assert!(frontend.tell_ring(Code::SetVringNum, 1, SIZE.into()));
        assert!(frontend.tell(Code::SetVringAddr, &[words(&[1, 0]), numbers(&at)].concat(), &[]));
        assert!(frontend.tell(Code::SetVringKick, &numbers(&[1]), &[kick.fd()]));
        wait_note(&*port.device, why);
        assert_eq!(port.device.link(), Link::Down);
        drop(guest);
        wait_note(&*port.device, "no peer");
    };
    let end = USER + MEMORY - TAIL;
    for (which, last) in [(0, 16 * 64), (1, 4 + 8 * 64), (2, 4 + 2 * 64)] {
        for address in [0, GUEST, (end - last + 16) & !15, !15] {
            outside(which, address, "outside of the guest's memory");
        }
    }
}

#[test]
fn garbage_ends_the_connection() {
    let garbage: [&[u8]; 6] = [
        &[0; 12],
        &[0xff; 64],
        // Another version of the protocol.
        &[1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0],
        // A payload larger than any.
        &[2, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255],
        // A message that is too short for what it is.
        &[5, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0],
        // A kind that there isn't.
        &[200, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    ];
    for bytes in garbage {
        refused("the last connection was ended", |guest| guest.frontend().send_raw(bytes, &[]).unwrap());
    }
    told("inactive protocol operation", Code::SetLogBase, numbers(&[4096, 0]), &[Guest::new(0, 0).file.as_raw_fd()]);
}

#[test]
fn half_a_message_keeps_the_device_from_nothing() {
    let (port, mut guest) = with(VERSION_1);
    guest.frontend().stream.write_all(&[1, 0, 0]).unwrap();
    // The thread waits for the rest of it when the device goes.
    drop(port);
    assert!(guest.frontend().is_ended());
}
