//! The router around the translation: where packets go, what it answers, and what it complains about (RFC 1812). Interfaces 1 and 3
//! are inside, with overlapping networks in two tables; interface 2 is outside.

use super::fragments::Fragments;
use super::nat::{Nat, Oracle, Refused};
use super::packet::{ICMP, Ip, Kind, TCP, UDP, set_word, word};
use super::tcp;
use super::traffic::{SYN, build};
use std::net::Ipv4Addr;

pub const LAN: u32 = 1;
pub const WAN: u32 = 2;
pub const BLUE: u32 = 3;
/// The table of interface 3; the others' is 0.
pub const BLUE_TABLE: u32 = 7;
pub const INSIDE_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
pub const OUTSIDE_IP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// The longest packet that leaves by interface 2.
pub const MTU: usize = 600;

/// What the router does with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It forwards this.
    Forwarded(u32, Ip),
    /// It makes this itself: the identification is of its own choice.
    Made(u32, Ip),
}

/// What comes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// These leave, in this order; none: it ends in the router.
    Sent(Vec<Sent>),
    /// It is for the router itself, whose answer, if any, leaves by this interface: no business of the NAT.
    Local(u32),
}

pub const DROPPED: Fate = Fate::Sent(Vec::new());

/// ICMP errors that the router makes.
pub const EXPIRED: (u8, u8, u16) = (11, 0, 0);
const PROHIBITED: (u8, u8, u16) = (3, 13, 0);
pub const TOO_BIG: (u8, u8, u16) = (3, 4, MTU as u16);

pub struct Router {
    pub nat: Nat,
    /// Fragments that came from inside, and from outside.
    pub fragments: [Fragments; 2],
    /// Addresses that it has outside, whatever the NAT does with them.
    ours: Vec<Ipv4Addr>,
}

pub fn table_of(interface: u32) -> u32 {
    if interface == BLUE { BLUE_TABLE } else { 0 }
}

fn interface_of(table: u32) -> u32 {
    if table == BLUE_TABLE { BLUE } else { LAN }
}

/// Hosts inside: interface and address. The last two have the same address in two tables.
pub const HOSTS: [(u32, Ipv4Addr); 4] = [
    (LAN, Ipv4Addr::new(192, 168, 1, 11)),
    (LAN, Ipv4Addr::new(192, 168, 1, 12)),
    (LAN, Ipv4Addr::new(192, 168, 1, 10)),
    (BLUE, Ipv4Addr::new(192, 168, 1, 10)),
];

/// Whether there is such a host behind an interface.
fn is_host(interface: u32, address: Ipv4Addr) -> bool {
    HOSTS.contains(&(interface, address))
}

/// Whether the transport's header holds together (RFC 768, RFC 9293); of a fragment its own part.
pub fn is_sound(ip: &Ip) -> bool {
    match (ip.kind(), ip.protocol()) {
        (Kind::Bad, _) => false,
        (Kind::Ports, TCP) => tcp::is_sound(ip.body()),
        (Kind::Ports, UDP) => {
            let len = usize::from(word(ip.body(), 4));
            len >= 8 && (len <= ip.body().len() || ip.is_fragment())
        }
        (Kind::Error, _) => is_sound_error(ip),
        _ => true,
    }
}

/// RFC 5508 REQ-3: whether an error, and the header that it quotes, have their checksums right; and RFC 1812 section 4.3.2.7. Redirects
/// are for neighbours, and go no further.
fn is_sound_error(ip: &Ip) -> bool {
    let whole = !ip.is_fragment() && ip.checksums_ok().1 && ip.body()[0] != 5;
    let Some(quote) = ip.quote().filter(|_| whole) else { return false };
    let of_sense = matches!(quote.kind(), Kind::Ports | Kind::Request | Kind::Reply | Kind::Other);
    quote.checksums_ok().0 && of_sense
}

/// Lowers the MSS of a SYN.
fn clamp(ip: &mut Ip, most: Option<u16>) {
    let Some(most) = most.filter(|_| ip.protocol() == TCP && ip.kind() == Kind::Ports && ip.body()[13] & SYN != 0)
    else {
        return;
    };
    let at = ip.header_len();
    let option = tcp::options(ip.body()).into_iter().find(|(_, o)| o[0] == 2 && o.len() == 4).map(|(place, _)| place);
    if let Some(place) = option.filter(|p| word(ip.body(), p + 2) > most) {
        ip.change(|bytes| set_word(bytes, at + place + 2, most));
    }
}

impl Router {
    pub fn new(nat: Nat, ours: Vec<Ipv4Addr>) -> Router {
        Router { nat, fragments: [Fragments::default(), Fragments::default()], ours }
    }

    /// When something will end by itself.
    pub fn deadlines(&self) -> impl Iterator<Item = u64> {
        let fragments = self.fragments.iter().flat_map(Fragments::deadlines);
        let rests = self.nat.resting.iter().map(|r| r.until);
        self.nat.sessions.iter().map(|s| s.ends_at()).chain(rests).chain(fragments)
    }

    /// Time passes.
    pub fn expire(&mut self, now: u64) {
        self.nat.expire(now);
        self.fragments.iter_mut().for_each(|f| f.expire(now));
    }

    /// A packet comes by an interface.
    pub fn receive(&mut self, interface: u32, ip: Ip, oracle: &mut dyn Oracle) -> Fate {
        if interface == WAN { self.outside_sent(ip, oracle) } else { self.inside_sent(interface, ip, oracle) }
    }

    pub fn is_ours(&self, address: Ipv4Addr) -> bool {
        address == INSIDE_IP || self.ours.contains(&address)
    }

    fn inside_sent(&mut self, rx: u32, ip: Ip, oracle: &mut dyn Oracle) -> Fate {
        if self.is_ours(ip.destination()) {
            return self.hairpin(rx, ip, oracle);
        }
        if is_host(rx, ip.destination()) {
            return self.forward(rx, ip, rx);
        }
        if ip.is_fragment() {
            return self.fragment(0, rx, ip, oracle);
        }
        self.out(rx, ip, None, oracle)
    }

    /// To outside; a fragment's ports are given.
    pub fn out(&mut self, rx: u32, mut ip: Ip, ports: Option<(u16, u16)>, oracle: &mut dyn Oracle) -> Fate {
        if ip.ttl() <= 1 || (ip.bytes.len() > MTU && ip.dont_fragment()) {
            return self.forward(rx, ip, WAN);
        }
        match self.translate_out(rx, &mut ip, ports, oracle) {
            Ok(_) | Err(Refused::Exempt) => self.forward(rx, ip, WAN),
            Err(Refused::Limit) => self.complain(rx, &ip, PROHIBITED),
            Err(Refused::Silently) => DROPPED,
        }
    }

    /// Makes a packet from inside one of the outside; its ports, which a fragment does not have, are then these.
    fn translate_out(
        &mut self,
        rx: u32,
        ip: &mut Ip,
        ports: Option<(u16, u16)>,
        oracle: &mut dyn Oracle,
    ) -> Result<(u16, u16), Refused> {
        if !is_sound(ip) {
            return Err(Refused::Silently);
        }
        if ip.kind() == Kind::Error {
            return self.error_out(rx, ip).map(|()| (0, 0));
        }
        let ((source, from), (destination, to)) = ip.ends();
        let (from, to) = ports.unwrap_or((from, to));
        // An identifier is the inside's, whoever asks.
        let (from, to) = if ip.protocol() == ICMP { (from | to, 0) } else { (from, to) };
        let ends = ((source, from), (destination, to));
        let (source, destination) = self.nat.out(ip, table_of(rx), ends, oracle)?;
        clamp(ip, self.nat.config.mss);
        set_ends(ip, source, destination, source.1);
        Ok((source.1, destination.1))
    }

    /// RFC 5508 REQ-5: an error about a packet that came in.
    fn error_out(&mut self, rx: u32, ip: &mut Ip) -> Result<(), Refused> {
        let mut quote = ip.quote().expect("it is sound");
        let ((remote, a), (host, b)) = quote.ends();
        let (remote_port, port) = if quote.protocol() == ICMP { (0, a | b) } else { (a, b) };
        let (remote, inside, table, protocol) = ((remote, remote_port), (host, port), table_of(rx), quote.protocol());
        let (external, remote) = match self.nat.find_inside(protocol, table, inside, remote) {
            Some(at) => self.nat.sessions[at].outside,
            None if self.nat.config.exempt.contains(&(inside.0, remote.0)) => return Err(Refused::Exempt),
            None => (self.nat.external_of(protocol, table, inside).ok_or(Refused::Silently)?, remote),
        };
        set_ends(&mut quote, remote, external, external.1);
        ip.set_quote(&quote);
        ip.set_ends((external.0, 0), (remote.0, 0));
        Ok(())
    }

    /// From inside to one of the router's addresses, behind which another inside host may be (RFC 4787 REQ-9).
    fn hairpin(&mut self, rx: u32, ip: Ip, oracle: &mut dyn Oracle) -> Fate {
        let whole = !ip.is_fragment() && is_sound(&ip);
        let (protocol, to) = match ip.quote().filter(|_| whole && ip.kind() == Kind::Error) {
            Some(quote) => (quote.protocol(), if quote.protocol() == ICMP { id(&quote) } else { quote.ends().0.1 }),
            None => (ip.protocol(), if ip.protocol() == ICMP { id(&ip) } else { ip.ends().1.1 }),
        };
        let external = (ip.destination(), to);
        let behind = match ip.is_fragment() {
            true => self.nat.is_external(external.0),
            false => whole && self.is_behind(asks_for_echo(&ip), protocol, external),
        };
        if !behind {
            return self.local(rx, ip);
        }
        if ip.ttl() <= 1 {
            return self.complain(rx, &ip, EXPIRED);
        }
        if ip.is_fragment() {
            return self.fragment(0, rx, ip, oracle);
        }
        self.turn_round(rx, ip, None, oracle)
    }

    /// Whether somebody inside is behind what a packet from inside is for. Nobody is who has asked for an echo himself.
    pub fn is_behind(&self, asks: bool, protocol: u8, external: (Ipv4Addr, u16)) -> bool {
        match asks {
            true => self.nat.is_static(protocol, external),
            false => self.nat.in_use(protocol, external),
        }
    }

    /// Out and in again; a fragment's ports are given.
    pub fn turn_round(&mut self, rx: u32, mut ip: Ip, ports: Option<(u16, u16)>, oracle: &mut dyn Oracle) -> Fate {
        match self.translate_out(rx, &mut ip, ports, oracle) {
            Ok(ends) => self.come(ip, ports.map(|_| ends), Some(rx), oracle),
            Err(Refused::Limit) => self.complain(rx, &ip, PROHIBITED),
            Err(_) => DROPPED,
        }
    }

    fn outside_sent(&mut self, ip: Ip, oracle: &mut dyn Oracle) -> Fate {
        let to = ip.destination();
        if !self.nat.is_external(to) {
            // Straight to an inside host: only where nothing is translated.
            let inside = is_host(LAN, to);
            let about = ip.quote().filter(|_| ip.kind() == Kind::Error && is_sound(&ip) && !ip.is_fragment());
            // Or an error, from whomever, about what was not.
            let about = about.filter(|quote| quote.source() == to).map(|quote| quote.destination());
            let exempt = |other| self.nat.config.exempt.contains(&(to, other));
            let passes = exempt(ip.source()) || about.is_some_and(exempt);
            return match inside {
                true if passes => self.forward(WAN, ip, LAN),
                true => DROPPED,
                false if self.is_ours(to) => self.local(WAN, ip),
                false => self.forward(WAN, ip, WAN),
            };
        }
        if ip.is_fragment() {
            return self.fragment(1, WAN, ip, oracle);
        }
        self.come(ip, None, None, oracle)
    }

    /// To an external address; a fragment's ports are given.
    pub fn come(
        &mut self,
        mut ip: Ip,
        ports: Option<(u16, u16)>,
        hairpin: Option<u32>,
        oracle: &mut dyn Oracle,
    ) -> Fate {
        if !is_sound(&ip) {
            return DROPPED;
        }
        let rx = hairpin.unwrap_or(WAN);
        if ip.kind() == Kind::Error {
            return self.error_in(rx, ip);
        }
        let ((source, from), (destination, to)) = ip.ends();
        let (from, to) = ports.unwrap_or((from, to));
        let (from, to) = if ip.protocol() == ICMP { (0, from | to) } else { (from, to) };
        match self.nat.come(&ip, ((source, from), (destination, to)), oracle) {
            Ok((table, inside, remote)) => {
                let original = ip.clone();
                clamp(&mut ip, self.nat.config.mss);
                let clamped = ip.clone();
                set_ends(&mut ip, remote, inside, inside.1);
                // An error about it quotes what its sender sent, as far as that was not changed for good.
                let quote = if original == clamped { original } else { clamped };
                self.forward_in(rx, ip, quote, interface_of(table))
            }
            // The router answers pings, but not to itself.
            Err(Refused::Silently) if is_ping(&ip) && hairpin.is_none() => self.local(WAN, ip),
            Err(_) => DROPPED,
        }
    }

    /// RFC 5508 REQ-4 and REQ-7: an error about a packet that went out.
    fn error_in(&mut self, rx: u32, mut ip: Ip) -> Fate {
        let mut quote = ip.quote().expect("it is sound");
        let ((external, a), (remote, b)) = quote.ends();
        let (port, remote_port) = if quote.protocol() == ICMP { (a | b, 0) } else { (a, b) };
        let (external, remote, protocol) = ((external, port), (remote, remote_port), quote.protocol());
        let known = match self.nat.find_outside(protocol, remote, external) {
            Some(at) => Some((self.nat.sessions[at].table, self.nat.sessions[at].inside)),
            None => self.nat.inside_of(protocol, external).map(|(table, inside)| (table, (inside, remote))),
        };
        let Some((table, (inside, seen_remote))) = known else { return DROPPED };
        let source = if ip.source() == remote.0 { seen_remote.0 } else { ip.source() };
        let original = ip.clone();
        set_ends(&mut quote, inside, seen_remote, inside.1);
        ip.set_quote(&quote);
        ip.set_ends((source, 0), (inside.0, 0));
        self.forward_in(rx, ip, original, interface_of(table))
    }

    /// For the router itself.
    fn local(&mut self, rx: u32, ip: Ip) -> Fate {
        // RFC 1122 section 3.2.1.3 (f).
        if self.is_ours(ip.source()) {
            return DROPPED;
        }
        if !asks_for_echo(&ip) || ip.is_fragment() {
            return Fate::Local(rx);
        }
        if !ip.checksums_ok().1 {
            return DROPPED;
        }
        let mut body = ip.body().to_vec();
        body[0] = 0;
        let mut reply = build(ICMP, ip.destination(), ip.source(), &[], &body);
        reply.bytes[1] = ip.bytes[1];
        reply.bytes[6] = ip.bytes[6];
        reply.seal();
        Fate::Sent(self.pieces(Sent::Made(rx, reply)))
    }
}

/// Whether it asks for an echo.
pub fn asks_for_echo(ip: &Ip) -> bool {
    ip.kind() == Kind::Request && ip.body()[0] == 8
}

/// Whether it does, or may be a later fragment of what does.
fn is_ping(ip: &Ip) -> bool {
    ip.protocol() == ICMP && (ip.kind() == Kind::Later || asks_for_echo(ip))
}

/// The identifier of an ICMP query.
fn id(ip: &Ip) -> u16 {
    let ((_, a), (_, b)) = ip.ends();
    a | b
}

/// Puts ends in; of ICMP `id`, on whichever side it stands.
fn set_ends(ip: &mut Ip, source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), id: u16) {
    match ip.protocol() {
        ICMP => ip.set_ends((source.0, id), (destination.0, id)),
        _ => ip.set_ends(source, destination),
    }
}
