//! Connections: who is let in, and who comes and goes when.

use crate::common::{self, PATIENCE, experimental, until};
use crate::setup::*;
use millrace_engine::memory::HugePages;
use millrace_engine::{Pool, Waker};
use millrace_io::{Context, Link, Memif, OpenError, Role, Spec, open};
use std::os::unix::net::UnixListener;
use std::time::Instant;

#[test]
fn either_side_comes_back_in_any_order() {
    let [server_spec, client_spec] = both(&abstract_name());
    for zero_copy in [false, true] {
        let client_spec = Memif { zero_copy, ..client_spec.clone() };
        // The client first: no server is no error.
        let mut client = Port::open(&client_spec);
        until("a try", || client.notes().contains("no server"));
        assert_eq!(client.tx(&[&experimental(1, 60)]), 0);
        let mut server = Port::open(&server_spec);
        for round in 0..20 {
            connected(&mut server, &mut client);
            assert_eq!(client.notes(), "");
            passes(&mut server, &mut client);
            client.context.changed.clear();
            server.context.changed.clear();
            if round % 2 == 0 {
                drop(server);
                until("the end", || !client.up());
                assert!(client.notes().contains("the interface was removed"), "{}", client.notes());
                assert!(rung(&client.context.changed), "control is told");
                server = Port::open(&server_spec);
            } else {
                drop(client);
                until("the end", || !server.up());
                assert!(server.notes().contains("the interface was removed"), "{}", server.notes());
                assert!(rung(&server.context.changed), "control is told");
                client = Port::open(&client_spec);
            }
        }
    }
}

fn rung(waker: &Waker) -> bool {
    readable(waker.fd(), 1000)
}

#[test]
fn two_interfaces_share_a_socket() {
    let [server, client] = both(&abstract_name());
    let of = |spec: &Memif, id| Memif { id, ..spec.clone() };
    let mut one = Port::open(&of(&server, 1));
    let mut two = Port::open(&of(&server, 2));
    let mut to_two = Port::open(&of(&client, 2));
    let mut to_one = Port::open(&of(&client, 1));
    connected(&mut one, &mut to_one);
    connected(&mut two, &mut to_two);
    pass(&mut one, &mut to_one, &[60, 61]);
    pass(&mut two, &mut to_two, &[62, 63]);
    drop(one);
    until("the first to go", || !to_one.up());
    pass(&mut to_two, &mut two, &[60]);
    // The socket is still there, without the first.
    until("the refusal", || to_one.notes().contains("there is no interface of id 1"));
    let mut one = Port::open(&of(&server, 1));
    connected(&mut one, &mut to_one);
    pass(&mut to_one, &mut one, &[60]);
    let same = open(&Spec::Memif(of(&server, 2)), "third", &two.context).map(drop).unwrap_err().to_string();
    assert!(same.contains("interface port has this id on this socket"), "{same}");
}

#[test]
fn secrets_have_to_match() {
    let [server, client] = both(&abstract_name());
    let with = |spec: &Memif, secret: Option<&str>| Memif { secret: secret.map(str::to_owned), ..spec.clone() };
    let mut port = Port::open(&with(&server, Some("a word of 24 characters!")));
    for (wrong, why) in [(None, "a secret is required"), (Some("a word of 24 characters?"), "the secret is wrong")] {
        let client = Port::open(&with(&client, wrong));
        until("the refusal", || client.notes().contains(why));
        assert!(!client.up() && port.notes().contains(why), "{}", port.notes());
    }
    let mut client = Port::open(&with(&client, Some("a word of 24 characters!")));
    connected(&mut port, &mut client);
    assert_eq!(port.mode("secret"), "required");
}

#[test]
fn an_interface_has_one_peer() {
    let [server, client] = both(&abstract_name());
    let [mut port, mut first] = pair(&server, &client);
    let mut second = Port::open(&client);
    until("the refusal", || second.notes().contains("connected already"));
    passes(&mut port, &mut first);
    drop(first);
    connected(&mut port, &mut second);
}

#[test]
fn a_client_may_come_before_the_queues() {
    let [server, client] = both(&abstract_name());
    let pool = Pool::new(1024, HugePages::Off).unwrap();
    let context = Context { pool, changed: Waker::new().unwrap() };
    let mut device = open(&Spec::Memif(server), "port", &context).unwrap();
    let client = Port::open(&client);
    until("the client to ask", || client.notes().contains("has not taken the connection yet"));
    assert_eq!((device.link(), client.up()), (Link::Down, false));
    let queues = device.queues(1).unwrap();
    until("the link", || device.link() == Link::Up && client.up());
    drop(queues);
}

#[test]
fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let folder = Folder::new();
    let path = folder.path("memif.sock");
    let [server, client] = both(&path);
    let refused = |spec: &Memif| {
        let context = common::context();
        match open(&Spec::Memif(spec.clone()), "port", &context).map(drop) {
            Err(OpenError::Refused { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    // Another process, as far as the socket knows.
    let other = UnixListener::bind(&path).unwrap();
    assert!(refused(&server).contains("another process listens"), "{}", refused(&server));
    drop(other);
    assert!(std::path::Path::new(&path).exists(), "std leaves it");
    let [mut server, mut client] = pair(&server, &client);
    passes(&mut server, &mut client);
    drop((server, client));
    std::fs::write(&path, "a file").unwrap();
    assert!(refused(&memif(&path, Role::Server)).contains("is no socket"));
    let nowhere = folder.path("folder/memif.sock");
    assert!(refused(&memif(&nowhere, Role::Server)).contains("the folder of"));
    let client = Port::open(&memif(&nowhere, Role::Client));
    until("a try", || client.notes().contains("no server"));
}

#[test]
fn what_cannot_work_is_refused() {
    let good = memif(&abstract_name(), Role::Client);
    let wrong = [
        (Memif { ring_size: 100, ..good.clone() }, "a power of two"),
        (Memif { ring_size: 16, ..good.clone() }, "a power of two"),
        (Memif { ring_size: 32_768, ..good.clone() }, "a power of two"),
        (Memif { queues: 0, ..good.clone() }, "1 to 256"),
        (Memif { queues: 257, ..good.clone() }, "1 to 256"),
        (Memif { queues: 256, ring_size: 16_384, ..good.clone() }, "GiB"),
        (Memif { secret: Some("x".repeat(25)), ..good.clone() }, "at most 24 bytes"),
        (Memif { role: Role::Server, zero_copy: true, ..good.clone() }, "zero-copy is a client's"),
        (Memif { socket: "@".to_owned(), ..good.clone() }, "the name of a socket"),
        (Memif { socket: "/".repeat(108), ..good }, "the name of a socket"),
    ];
    for (spec, why) in wrong {
        let error = open(&Spec::Memif(spec), "port", &common::context()).map(drop).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn removing_takes_no_time() {
    let [server, client] = both(&abstract_name());
    let start = Instant::now();
    for _ in 0..20 {
        let _ports = pair(&server, &client);
    }
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}
