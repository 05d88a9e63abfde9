//! The way out: a hop less, in pieces if need be, or back to the sender with a complaint (RFC 791, RFC 1812).

use super::packet::{ICMP, Ip, set_word};
use super::router::{DROPPED, EXPIRED, Fate, INSIDE_IP, MTU, OUTSIDE_IP, Router, Sent, TOO_BIG, WAN};
use super::traffic::build;

impl Router {
    /// By an interface, a hop less.
    pub fn forward(&self, rx: u32, ip: Ip, tx: u32) -> Fate {
        let original = ip.clone();
        self.forward_in(rx, ip, original, tx)
    }

    /// The same for a packet that its sender knows in another form.
    pub fn forward_in(&self, rx: u32, mut ip: Ip, original: Ip, tx: u32) -> Fate {
        if ip.ttl() <= 1 {
            return self.complain(rx, &original, EXPIRED);
        }
        if tx == WAN && ip.bytes.len() > MTU && ip.dont_fragment() {
            return self.complain(rx, &original, TOO_BIG);
        }
        ip.count_down();
        Fate::Sent(self.pieces(Sent::Forwarded(tx, ip)))
    }

    /// What of a packet fits through its interface (RFC 791 section 3.2).
    pub fn pieces(&self, sent: Sent) -> Vec<Sent> {
        let (Sent::Forwarded(WAN, ip) | Sent::Made(WAN, ip)) = &sent else { return vec![sent] };
        if ip.bytes.len() <= MTU {
            return vec![sent];
        }
        if ip.dont_fragment() {
            return Vec::new();
        }
        let (first, _, more) = ip.range();
        let (mut at, mut all, mut options) = (0, Vec::new(), &ip.bytes[20..ip.header_len()]);
        let later = if options.first().is_some_and(|kind| kind & 0x80 != 0) { options } else { &[] };
        while at < ip.body().len() {
            let room = MTU - 20 - options.len();
            let take = if ip.body().len() - at <= room { ip.body().len() - at } else { room & !7 };
            let mut piece = ip.bytes[..20].to_vec();
            piece[0] = 0x40 | ((20 + options.len()) / 4) as u8;
            set_word(&mut piece, 2, (20 + options.len() + take) as u16);
            let more = more || at + take < ip.body().len();
            set_word(&mut piece, 6, ((first + at) / 8) as u16 | if more { 0x2000 } else { 0 });
            let mut piece = Ip::new(&[&piece, options, &ip.body()[at..at + take]].concat());
            piece.seal_header();
            all.push(match sent {
                Sent::Forwarded(..) => Sent::Forwarded(WAN, piece),
                Sent::Made(..) => Sent::Made(WAN, piece),
            });
            (at, options) = (at + take, later);
        }
        all
    }

    /// An ICMP error about a packet that came by `rx`, to its sender, unless RFC 1812 section 4.3.2.7 forbids that.
    pub fn complain(&self, rx: u32, about: &Ip, (kind, code, mtu): (u8, u8, u16)) -> Fate {
        let is_error = about.protocol() == ICMP
            && about.range().0 == 0
            && about.body().first().is_none_or(|kind| [3, 4, 5, 11, 12].contains(kind));
        if about.range().0 > 0 || is_error {
            return DROPPED;
        }
        let quote = &about.bytes[..about.bytes.len().min(576 - 28)];
        let [high, low] = mtu.to_be_bytes();
        let body = [&[kind, code, 0, 0, 0, 0, high, low][..], quote].concat();
        let from = if rx == WAN { OUTSIDE_IP } else { INSIDE_IP };
        let mut error = build(ICMP, from, about.source(), &[], &body);
        error.bytes[1] = 0xc0;
        error.seal();
        Fate::Sent(vec![Sent::Made(rx, error)])
    }
}
