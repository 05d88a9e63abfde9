//! Datagrams in pieces: later fragments have no ports, so they wait for the first (RFC 4787 REQ-14); what overlaps is an attack
//! (RFC 1858), and so is a first fragment too short for its transport header.

use super::nat::{Oracle, SECOND};
use super::packet::{ICMP, Ip, Kind, TCP, UDP};
use super::router::{Fate, Router, asks_for_echo, is_sound, table_of};
use std::net::Ipv4Addr;

/// How long fragments wait.
const PATIENCE: u64 = 3 * SECOND;

/// The ports of a datagram, and whether it asks for an echo.
type Known = (u16, u16, bool);

struct Datagram {
    key: (Ipv4Addr, Ipv4Addr, u16, u8, u32),
    since: u64,
    ports: Option<Known>,
    /// Nothing more of it goes on.
    spoilt: bool,
    pieces: Vec<(usize, usize)>,
    total: Option<usize>,
    waiting: Vec<Ip>,
}

#[derive(Default)]
pub struct Fragments(Vec<Datagram>);

impl Fragments {
    pub fn deadlines(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|d| d.since + PATIENCE)
    }

    pub fn expire(&mut self, now: u64) {
        self.0.retain(|d| d.since + PATIENCE > now);
    }

    /// The fragments that go on now that this one came, with their ports.
    fn arrive(&mut self, ip: Ip, table: u32, now: u64) -> Vec<(Ip, Known)> {
        let (from, to, more) = ip.range();
        if from == to || (more && to % 8 != 0) || ip.header_len() + to > 65_535 {
            return Vec::new();
        }
        if ![TCP, UDP, ICMP].contains(&ip.protocol()) {
            return vec![(ip, (0, 0, false))];
        }
        let key = (ip.source(), ip.destination(), ip.identification(), ip.protocol(), table);
        let at = self.0.iter().position(|d| d.key == key).unwrap_or_else(|| {
            let (ports, pieces, total, waiting) = (None, Vec::new(), None, Vec::new());
            self.0.push(Datagram { key, since: now, ports, spoilt: false, pieces, total, waiting });
            self.0.len() - 1
        });
        let datagram = &mut self.0[at];
        let going = datagram.arrive(ip, (from, to), more);
        if datagram.total.is_some_and(|total| datagram.pieces.iter().map(|(a, b)| b - a).sum::<usize>() == total)
            && datagram.ports.is_some()
            && !datagram.spoilt
        {
            self.0.remove(at);
        }
        going
    }
}

impl Datagram {
    fn spoil(&mut self) -> Vec<(Ip, Known)> {
        self.spoilt = true;
        self.waiting.clear();
        Vec::new()
    }

    fn arrive(&mut self, ip: Ip, (from, to): (usize, usize), more: bool) -> Vec<(Ip, Known)> {
        let duplicate = self.pieces.contains(&(from, to)) && more == (self.total != Some(to));
        if self.spoilt || duplicate {
            return Vec::new();
        }
        let overlaps = self.pieces.iter().any(|(a, b)| from < *b && *a < to);
        let beyond = self.total.is_some_and(|total| to > total);
        let short = !more && self.pieces.iter().any(|(_, b)| *b > to);
        if overlaps || beyond || short {
            return self.spoil();
        }
        self.pieces.push((from, to));
        if !more {
            self.total = Some(to);
        }
        if from == 0 {
            if !is_sound(&ip) || ip.kind() == Kind::Error {
                return self.spoil();
            }
            let ((_, a), (_, b)) = ip.ends();
            self.ports = Some((a, b, asks_for_echo(&ip)));
        } else if ip.protocol() == TCP && from == 8 {
            return self.spoil();
        }
        let Some(ports) = self.ports else {
            self.waiting.push(ip);
            return Vec::new();
        };
        [ip].into_iter().chain(self.waiting.drain(..)).map(|ip| (ip, ports)).collect()
    }
}

impl Router {
    /// A fragment from a side, which came by `rx`.
    pub fn fragment(&mut self, side: usize, rx: u32, ip: Ip, oracle: &mut dyn Oracle) -> Fate {
        let going = self.fragments[side].arrive(ip, table_of(rx), self.nat.now);
        let mut sent = Vec::new();
        for (ip, (from, to, asks)) in going {
            let ports = (from, to);
            let fate = match side {
                0 if self.is_ours(ip.destination()) => {
                    let port = if ip.protocol() == ICMP { ports.0 | ports.1 } else { ports.1 };
                    match self.is_behind(asks, ip.protocol(), (ip.destination(), port)) {
                        true => self.turn_round(rx, ip, Some(ports), oracle),
                        false => Fate::Local(rx),
                    }
                }
                0 => self.out(rx, ip, Some(ports), oracle),
                _ => self.come(ip, Some(ports), None, oracle),
            };
            match fate {
                Fate::Sent(more) => sent.extend(more),
                local => return local,
            }
        }
        Fate::Sent(sent)
    }
}
