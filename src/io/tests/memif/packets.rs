//! Packets from one end to the other, both being the driver.

use crate::common::{experimental, until};
use crate::setup::*;
use millrace_engine::device::{TestBurst, Wake};
use millrace_io::Memif;

#[test]
fn frames_pass_both_ways() {
    let folder = Folder::new();
    for socket in [abstract_name(), folder.path("memif.sock")] {
        let [server, client] = both(&socket);
        let [mut server, mut client] = pair(&server, &client);
        passes(&mut server, &mut client);
        assert!(client.mode("peer").contains("millrace") && client.mode("peer").contains("port"));
        assert!(server.mode("rings").contains("of 64 slots"), "{}", server.mode("rings"));
        assert_eq!(server.stat("connections") + client.stat("connections"), 2);
        drop((server, client));
        assert!(!std::path::Path::new(&socket).exists(), "the socket goes with its last interface");
    }
}

#[test]
fn jumbo_frames_are_chains_of_slots() {
    let [server, client] = both(&abstract_name());
    for zero_copy in [false, true] {
        let client = Memif { zero_copy, ..client.clone() };
        let [mut server, mut client] = pair(&server, &client);
        for _ in 0..50 {
            pass(&mut server, &mut client, &[9216, 60, 2049, 4096, 4097, 9000]);
            pass(&mut client, &mut server, &[9216, 60, 2049, 4096, 4097, 9000]);
        }
        // More than the ring takes; then again, as slots that were looked at in vain are as they were.
        let long = experimental(1, 9216);
        let burst = vec![long.as_slice(); 20];
        for (from, to) in [(true, false), (false, true)] {
            for _ in 0..20 {
                let (a, b) = if from { (&mut server, &mut client) } else { (&mut client, &mut server) };
                assert_eq!(a.tx(&burst), 64 / 5, "{from} {to}");
                let mut got = Vec::new();
                until("the frames", || {
                    got.extend(b.rx());
                    got.len() == 64 / 5
                });
                assert!(got.iter().all(|frame| *frame == long));
                a.all_back();
            }
        }
        // No ring of 64 slots takes more than 64 slots.
        let endless = vec![7; 140_000];
        assert_eq!(client.tx(&[&endless, &long]), 1);
        assert_eq!(client.stat("tx_too_long"), 1);
        until("the frame behind it", || server.rx() == [long.clone()]);
        until("all cells", || server.all_back());
    }
}

#[test]
fn a_full_ring_takes_no_more_and_goes_on() {
    let [server, client] = both(&abstract_name());
    for zero_copy in [false, true] {
        let client = Memif { zero_copy, ..client.clone() };
        let [mut server, mut client] = pair(&server, &client);
        let frame = experimental(1, 60);
        for (a, b) in [(&mut server, &mut client)] {
            for _ in 0..5 {
                assert_eq!(a.tx(&[frame.as_slice(); 100]), 64);
                let full = a.stat("tx_ring_full");
                assert!(full > 0 && a.tx(&[&frame]) == 0 && a.stat("tx_ring_full") == full + 1);
                let mut got = 0;
                until("the frames", || {
                    got += b.rx().len();
                    got == 64
                });
            }
        }
        for _ in 0..5 {
            assert_eq!(client.tx(&[frame.as_slice(); 100]), 64);
            assert_eq!(client.tx(&[&frame]), 0);
            let mut got = 0;
            until("the frames", || {
                got += server.rx().len();
                got == 64
            });
        }
    }
}

#[test]
fn with_zero_copy_all_cells_come_back() {
    let [server, client] = both(&abstract_name());
    let client = Memif { zero_copy: true, ..client };
    let [mut server, mut port] = pair(&server, &client);
    passes(&mut server, &mut port);
    assert!(port.mode("copied").contains("the server reaches all packets"));
    // Some are posted, some sent and not read.
    let frame = experimental(1, 3000);
    assert_eq!(port.tx(&[frame.as_slice(); 5]), 5);
    assert!(!port.all_back(), "the ring holds cells");
    assert!(port.burst.reclaim(&mut *port.tx[0]), "what was sent is out");
    assert_eq!(server.rx().len(), 5);
    assert!(!port.burst.reclaim(&mut *port.tx[0]));
    assert_eq!(port.tx(&[frame.as_slice(); 5]), 5);
    drop(server);
    until("the link to go", || !port.up());
    until("all cells", || port.all_back());
    assert_eq!(port.tx(&[frame.as_slice(); 5]), 0);
    assert_eq!(port.stat("tx_no_peer"), 5);
}

#[test]
fn several_queues_each_way() {
    let [server, client] = both(&abstract_name());
    // As many as each end has, and fewer or more than the other has.
    for (server_queues, server_workers, client_queues, client_workers) in
        [(3, 3, 3, 3), (1, 1, 4, 4), (4, 4, 1, 1), (4, 2, 4, 4), (4, 4, 4, 2)]
    {
        let server = Memif { queues: server_queues, ..server.clone() };
        let client = Memif { queues: client_queues, ..client.clone() };
        let mut server = Port::with_workers(&server, server_workers);
        let mut client = Port::with_workers(&client, client_workers);
        connected(&mut server, &mut client);
        let rings = server_queues.min(client_queues).min(client_workers as u16);
        assert!(client.mode("rings").starts_with(&format!("{rings} in, {rings} out")), "{}", client.mode("rings"));
        let frame = experimental(1, 60);
        for (from, to) in [(0, 1), (1, 0)] {
            let ports = [&mut server, &mut client];
            let queues = ports[from].tx.len();
            for queue in 0..queues {
                let Port { burst, tx, .. } = ports[from];
                assert_eq!(burst.tx(&mut *tx[queue], &[&frame, &frame]).unwrap(), 2);
            }
            let mut got = 0;
            let [a, b] = ports;
            let to = if to == 0 { a } else { b };
            until("the frames", || {
                got += to.rx().len();
                got == 2 * queues
            });
        }
    }
}

#[test]
fn a_worker_that_sleeps_is_woken() {
    let [server, client] = both(&abstract_name());
    for zero_copy in [false, true] {
        let client = Memif { zero_copy, ..client.clone() };
        let [mut server, mut client] = pair(&server, &client);
        let frame = experimental(1, 60);
        for turn in 0..20 {
            let (from, to) = if turn % 2 == 0 { (&mut server, &mut client) } else { (&mut client, &mut server) };
            // Polling: nobody interrupts.
            assert_eq!(to.rx().len(), 0);
            let before = from.stat("interrupts_sent");
            assert_eq!(from.tx(&[&frame]), 1);
            assert_eq!(from.stat("interrupts_sent"), before);
            assert_eq!(to.rx[0].wake(), Wake::Poll, "something came before it slept");
            assert_eq!(to.rx().len(), 1);
            let Wake::Fd(fd) = to.rx[0].wake() else { panic!("nothing is there") };
            // What rang for the connection is heard once.
            if readable(fd, 0) {
                assert_eq!(to.rx().len(), 0);
                assert_eq!(to.rx[0].wake(), Wake::Fd(fd));
            }
            assert!(!readable(fd, 0));
            assert_eq!(from.tx(&[&frame]), 1);
            assert_eq!(from.stat("interrupts_sent"), before + 1);
            assert!(readable(fd, 1000));
            assert_eq!(to.rx().len(), 1);
            assert!(!readable(fd, 0));
        }
    }
}

#[test]
fn a_worker_that_sleeps_while_the_peer_comes_is_woken() {
    let [server, client] = both(&abstract_name());
    let mut client = Port::open(&Memif { zero_copy: true, ..client });
    let Wake::Fd(fd) = client.rx[0].wake() else { panic!("there is no peer") };
    let mut server = Port::open(&server);
    until("the link", || server.up() && client.up());
    // It has to post cells before anything can come.
    assert_eq!(server.tx(&[&experimental(1, 60)]), 0);
    assert!(readable(fd, 1000));
    client.rx();
    assert_eq!(server.tx(&[&experimental(1, 60)]), 1);
    assert_eq!(client.rx().len(), 1);
}

#[test]
fn an_empty_pool_leaves_packets_in_the_ring() {
    let [server, client] = both(&abstract_name());
    for zero_copy in [false, true] {
        let client = Memif { zero_copy, ..client.clone() };
        let [mut server, mut client] = pair(&server, &client);
        let frame = experimental(1, 5000);
        for _ in 0..5 {
            assert_eq!(client.tx(&[&frame, &frame[..60]]), 2);
            let mut taken = vec![0; 2048];
            let pool = server.context.pool;
            let mut cells = 0;
            until("all of the pool", || {
                cells += pool.take(&mut taken[cells..]);
                // The burst's own stock is given back with it.
                server.burst = TestBurst::new(pool);
                cells == 2048
            });
            assert_eq!(server.rx(), Vec::<Vec<u8>>::new());
            // SAFETY: taken above. Two are too few for the first packet.
            unsafe { pool.put(&taken[..2]) };
            assert_eq!(server.rx(), Vec::<Vec<u8>>::new());
            // SAFETY: as above.
            unsafe { pool.put(&taken[2..]) };
            assert_eq!(server.rx(), [frame.clone(), frame[..60].to_vec()]);
        }
    }
}
