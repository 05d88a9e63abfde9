//! Coming and going, of either end.

use crate::common::{Port, context, experimental, until};
use crate::guest::*;
use millrace_io::{Link, OpenError, Role, open};
use std::os::unix::net::UnixStream;

fn passes(port: &mut Port, guest: &mut Guest) {
    let frame = experimental(1, 60);
    guest.send(&frame);
    assert_eq!(port.wait_for(1, |_| true), [&frame[..]]);
    guest.make_room(1, 2048);
    assert_eq!(port.tx(&[&frame]), 1);
}

#[test]
fn guests_come_and_go_at_a_server() {
    let path = socket_path();
    let mut device = Workers::open(&spec(&path, Role::Server, 1, true), 1);
    assert_eq!(device.device.link(), Link::Down);
    wait_note(&*device.device, &format!("no peer on {} yet", path.display()));
    for round in 0..50 {
        device.changed.clear();
        let mut guest = Guest::on(&path, VERSION_1, &*device.device);
        assert!(is_rung(&device.changed), "control is told");
        let frame = experimental(round, 60);
        guest.send(&frame);
        let mut got = Vec::new();
        until("a packet", || {
            got = device.rx(0);
            !got.is_empty()
        });
        assert_eq!(got, [frame]);
        device.changed.clear();
        // In the middle of everything, or before anything.
        drop(guest);
        drop(UnixStream::connect(&path).unwrap());
        wait_link(&*device.device, Link::Down);
        assert!(is_rung(&device.changed));
        assert!(device.rx(0).is_empty());
    }
    wait_note(&*device.device, "the peer has gone");
}

fn is_rung(waker: &millrace_engine::Waker) -> bool {
    let mut poll = libc::pollfd { fd: waker.fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor.
    unsafe { libc::poll(&mut poll, 1, 0) == 1 }
}

#[test]
fn a_client_finds_its_peer_whenever_it_comes() {
    let path = socket_path();
    let mut port = Port::open(&spec(&path, Role::Client, 1, true));
    wait_note(&*port.device, "doesn't exist");
    for _ in 0..3 {
        let listener = listen(&path);
        let mut guest = Guest::new(VERSION_1, 1);
        guest.accept(&listener);
        guest.start();
        wait_link(&*port.device, Link::Up);
        passes(&mut port, &mut guest);
        // The peer ends, and leaves its socket behind.
        drop(listener);
        drop(guest);
        wait_link(&*port.device, Link::Down);
        wait_note(&*port.device, "nobody listens");
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_device_that_comes_back_finds_the_guest_as_it_left_it() {
    let path = socket_path();
    let mut guest = Guest::new(VERSION_1, 1);
    let frame = experimental(1, 60);
    for round in 0..10u16 {
        let mut port = server(&path);
        guest.connect(&path);
        // The rings are where they were: the guest knows nothing of it. A packet was sent while nobody was there.
        if round > 0 {
            guest.send(&frame);
        }
        guest.start();
        wait_link(&*port.device, Link::Up);
        if round > 0 {
            assert_eq!(port.wait_for(1, |_| true), [&frame[..]]);
        }
        passes(&mut port, &mut guest);
        drop(port);
        assert!(guest.frontend().is_ended());
        assert!(!path.exists(), "the socket goes with the device");
    }
}

#[test]
fn there_is_one_guest_at_a_time() {
    let path = socket_path();
    let mut port = server(&path);
    let mut guest = Guest::on(&path, VERSION_1, &*port.device);
    let mut second = Guest::new(VERSION_1, 1);
    second.connect(&path);
    assert!(second.frontend().is_ended(), "it isn't left waiting");
    until("it to be counted", || port.stat("connections_refused") == 1);
    passes(&mut port, &mut guest);
    drop(guest);
    until("the first to be gone", || port.device.link() == Link::Down);
    let mut second = Guest::on(&path, VERSION_1, &*port.device);
    passes(&mut port, &mut second);
}

#[test]
fn a_socket_in_use_and_a_folder_that_is_missing_are_refused() {
    let path = socket_path();
    let first = server(&path);
    let refused = |path| match open(&spec(path, Role::Server, 1, true), "second", &context()) {
        Err(OpenError::Refused { device, reason }) => {
            assert_eq!(device, path.to_str().unwrap());
            reason
        }
        _ => panic!("it was not refused"),
    };
    assert!(refused(&path).contains("another process listens"));
    drop(first);
    drop(server(&path));
    let nowhere = path.join("folder/socket");
    assert!(refused(&nowhere).contains("folder"));
    for queues in [0, 65] {
        let result = open(&spec(&path, Role::Server, queues, true), "many", &context());
        assert!(matches!(result, Err(OpenError::Refused { .. })), "{queues} queues");
    }
}

#[test]
fn a_device_ends_its_thread_and_lets_go_of_everything() {
    let path = socket_path();
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        tasks.map(name).filter(|name| name.trim_end() == "vhost-leaving").count()
    };
    let device = open(&spec(&path, Role::Server, 1, true), "leaving", &context()).unwrap();
    let mut port = Port::new(device, crate::common::pool());
    let guest = Guest::on(&path, VERSION_1, &*port.device);
    let mappings = || {
        let name = format!("memfd:{} ", guest.name);
        std::fs::read_to_string("/proc/self/maps").unwrap().matches(&name).count()
    };
    assert_eq!((threads(), mappings()), (1, 3), "the guest's own, and two regions");
    assert!(port.rx().is_empty());
    // The queues live on with their worker for a while.
    let Port { device, mut rx, .. } = port;
    drop(device);
    assert_eq!((threads(), mappings()), (0, 1));
    let mut burst = millrace_engine::device::TestBurst::new(crate::common::pool());
    assert!(burst.rx(&mut *rx).unwrap().is_empty());
    drop(guest);
}
