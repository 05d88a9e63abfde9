//! A TCP connection through the NAT whose both ends the test plays.

use harness::Nat;
use harness::l4::{self, Packet, Segment, segment};

/// One connection, its numbers kept so that every segment is one that a host would send.
pub struct Connection<'a> {
    nat: &'a Nat,
    inside: String,
    remote: String,
    /// The inside's end as the remote sees it.
    pub outside: String,
    /// The next sequence numbers of the inside and of the remote.
    pub next: [u32; 2],
}

impl<'a> Connection<'a> {
    /// Opens it from inside, with the three-way handshake.
    #[track_caller]
    pub fn open(nat: &'a Nat, inside: &str, remote: &str) -> Connection<'a> {
        let syn = nat.out(&l4::tcp(inside, remote, &segment("S", 1000, 0)));
        let (inside, remote, outside) = (inside.to_owned(), remote.to_owned(), syn.source());
        let mut connection = Connection { nat, inside, remote, outside, next: [1001, 9000] };
        connection.receive("SA", b"");
        connection.send("A", b"");
        connection
    }

    /// Sends a segment from inside; it must come out as sent, but for the end that it comes from.
    #[track_caller]
    pub fn send(&mut self, flags: &str, data: &[u8]) -> Packet {
        let [seq, ack] = self.next;
        let sent = self.nat.out(&l4::tcp(&self.inside, &self.remote, &Segment { flags, seq, ack, data, options: &[] }));
        assert_eq!((sent.source(), sent.destination()), (self.outside.clone(), self.remote.clone()));
        assert_eq!(sent.data, data);
        self.next[0] = after(seq, flags, data);
        sent
    }

    /// Sends a segment from the remote; it must come to the inside.
    #[track_caller]
    pub fn receive(&mut self, flags: &str, data: &[u8]) -> Packet {
        let [ack, seq] = self.next;
        let sent =
            self.nat.back(&l4::tcp(&self.remote, &self.outside, &Segment { flags, seq, ack, data, options: &[] }));
        assert_eq!((sent.source(), sent.destination()), (self.remote.clone(), self.inside.clone()));
        assert_eq!(sent.data, data);
        self.next[1] = after(seq, flags, data);
        sent
    }

    /// A segment of the remote's as it arrives at the router, so far ahead of what is expected.
    pub fn stray(&self, flags: &str, ahead: u32) -> Vec<u8> {
        let [ack, seq] = self.next;
        l4::tcp(&self.remote, &self.outside, &segment(flags, seq.wrapping_add(ahead), ack))
    }

    /// Closes it from both sides, the inside first.
    #[track_caller]
    pub fn close(&mut self) {
        self.send("FA", b"");
        self.receive("FA", b"");
        self.send("A", b"");
    }

    /// Its state, as the router tells it; nothing when it has no session.
    #[track_caller]
    pub fn state(&self) -> Option<String> {
        self.row().and_then(|row| row["state"].as_str().map(str::to_owned))
    }

    /// Seconds until its session expires without further traffic.
    #[track_caller]
    pub fn expires_in(&self) -> u64 {
        self.row().and_then(|row| row["expires_in"].as_u64()).expect("a session that expires")
    }

    fn row(&self) -> Option<serde_json::Value> {
        let inside = l4::at(&self.inside);
        let ours = |row: &serde_json::Value| {
            row["protocol"] == "tcp"
                && row["inside_address"] == inside.ip().to_string()
                && row["inside_port"] == inside.port()
                && row["remote_address"] == l4::at(&self.remote).ip().to_string()
        };
        self.nat.sessions().into_iter().find(ours)
    }
}

/// SYN and FIN count in the sequence, as data does (RFC 9293 3.4).
fn after(seq: u32, flags: &str, data: &[u8]) -> u32 {
    let counted = flags.chars().filter(|flag| matches!(flag, 'S' | 'F')).count() + data.len();
    seq.wrapping_add(counted as u32)
}
