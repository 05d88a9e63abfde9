//! From text to expression: recursive descent over words.

use super::{Expr, FilterError, Side};
use ipnet::IpNet;
use millrace_wire::{EtherType, IpProtocol, MacAddr};
use std::net::IpAddr;

/// Parentheses and negations inside each other, so that no text can exhaust the stack.
const DEEPEST: usize = 64;

const PRIMITIVES: &str = "one of arp, ip, ip6, icmp, icmp6, tcp, udp, proto, host, net, port (the last three also with src or \
    dst), vlan, ether, not or (";

/// A word and where it begins, in characters from 1.
type Word<'t> = (usize, &'t str);

pub(super) fn parse(text: &str) -> Result<Expr, FilterError> {
    let words = words(text);
    if words.is_empty() {
        return Ok(Expr::Everything);
    }
    let mut parser = Parser { words: words.into_iter().peekable(), end: text.chars().count() + 1 };
    let expr = parser.expression(0)?;
    match parser.words.next() {
        None => Ok(expr),
        Some((at, ")")) => Err(error(at, "a ) without its (".to_owned())),
        Some((at, word)) => Err(error(at, format!("expected and or or, found {word}"))),
    }
}

fn error(at: usize, message: String) -> FilterError {
    FilterError { at, message }
}

/// Words end at spaces; parentheses and exclamation marks are words.
fn words(text: &str) -> Vec<Word<'_>> {
    let (mut words, mut start) = (Vec::new(), None);
    for (at, (byte, c)) in (1..).zip(text.char_indices()) {
        let alone = matches!(c, '(' | ')' | '!');
        if (alone || c.is_whitespace())
            && let Some((at, from)) = start.take()
        {
            words.push((at, &text[from..byte]));
        }
        if alone {
            words.push((at, &text[byte..=byte]));
        } else if !c.is_whitespace() && start.is_none() {
            start = Some((at, byte));
        }
    }
    if let Some((at, from)) = start {
        words.push((at, &text[from..]));
    }
    words
}

struct Parser<'t> {
    words: std::iter::Peekable<std::vec::IntoIter<Word<'t>>>,
    end: usize,
}

impl<'t> Parser<'t> {
    fn word(&mut self, expected: &str) -> Result<Word<'t>, FilterError> {
        self.words.next().ok_or_else(|| error(self.end, format!("expected {expected}, found the end")))
    }

    fn expression(&mut self, depth: usize) -> Result<Expr, FilterError> {
        let mut left = self.factor(depth)?;
        while let Some((_, word)) = self.words.next_if(|(_, w)| matches!(*w, "and" | "&&" | "or" | "||")) {
            let right = self.factor(depth)?;
            let (left_box, right) = (Box::new(left), Box::new(right));
            left = if matches!(word, "and" | "&&") { Expr::And(left_box, right) } else { Expr::Or(left_box, right) };
        }
        Ok(left)
    }

    fn factor(&mut self, depth: usize) -> Result<Expr, FilterError> {
        let (at, word) = self.word(PRIMITIVES)?;
        if depth > DEEPEST {
            return Err(error(at, format!("more than {DEEPEST} ( and not inside each other")));
        }
        match word {
            "not" | "!" => Ok(Expr::Not(Box::new(self.factor(depth + 1)?))),
            "(" => {
                let inside = self.expression(depth + 1)?;
                match self.word("and, or or )")? {
                    (_, ")") => Ok(inside),
                    (at, other) => Err(error(at, format!("expected and, or or ), found {other}"))),
                }
            }
            "arp" => Ok(Expr::Arp),
            "ip" => Ok(Expr::Ip),
            "ip6" => Ok(Expr::Ip6),
            "proto" => self.protocol(),
            "src" | "dst" => self.sided(if word == "src" { Side::Source } else { Side::Destination }),
            "host" | "net" | "port" => self.end_of_packet(Side::Either, word),
            "vlan" => self.vlan(),
            "ether" => self.ether(),
            _ => match named(word) {
                Some(protocol) => Ok(Expr::Protocol(protocol)),
                None => Err(error(at, format!("expected {PRIMITIVES}; found {word}"))),
            },
        }
    }

    fn protocol(&mut self) -> Result<Expr, FilterError> {
        const WHAT: &str = "a protocol: icmp, icmp6, tcp, udp or a number from 0 to 255";
        let (at, word) = self.word(WHAT)?;
        let protocol = named(word).or_else(|| word.parse().ok().map(IpProtocol));
        protocol.map(Expr::Protocol).ok_or_else(|| error(at, format!("expected {WHAT}, found {word}")))
    }

    fn sided(&mut self, side: Side) -> Result<Expr, FilterError> {
        const WHAT: &str = "host, net or port";
        match self.word(WHAT)? {
            (_, word @ ("host" | "net" | "port")) => self.end_of_packet(side, word),
            (at, other) => Err(error(at, format!("expected {WHAT}, found {other}"))),
        }
    }

    fn end_of_packet(&mut self, side: Side, kind: &str) -> Result<Expr, FilterError> {
        let what = match kind {
            "host" => "an address, such as 192.0.2.1 or 2001:db8::1",
            "net" => "a prefix, such as 192.0.2.0/24 or 2001:db8::/32",
            _ => "a port, from 0 to 65535",
        };
        let (at, word) = self.word(what)?;
        let expr = match kind {
            "host" => word.parse::<IpAddr>().ok().map(|a| Expr::Net(side, a.into())),
            "net" => word.parse::<IpNet>().ok().map(|net| Expr::Net(side, net.trunc())),
            _ => word.parse().ok().map(|port| Expr::Port(side, port)),
        };
        expr.ok_or_else(|| error(at, format!("expected {what}, found {word}")))
    }

    fn ether(&mut self) -> Result<Expr, FilterError> {
        const WHAT: &str = "host, src, dst or proto";
        const MAC: &str = "a MAC address, such as 02:00:00:00:00:01";
        const TYPE: &str = "an EtherType, such as 0x0806 or 2054";
        let (at, word) = self.word(WHAT)?;
        let side = match word {
            "host" => Side::Either,
            "src" => Side::Source,
            "dst" => Side::Destination,
            "proto" => {
                let (at, word) = self.word(TYPE)?;
                let number = word.strip_prefix("0x").map_or_else(|| word.parse(), |hex| u16::from_str_radix(hex, 16));
                let ether_type = number.map(|number| Expr::EtherType(EtherType(number)));
                return ether_type.map_err(|_| error(at, format!("expected {TYPE}, found {word}")));
            }
            _ => return Err(error(at, format!("expected {WHAT}, found {word}"))),
        };
        let _ = self.words.next_if(|(_, word)| side != Side::Either && *word == "host");
        let (at, word) = self.word(MAC)?;
        let mac: Option<MacAddr> = word.parse().ok();
        mac.map(|mac| Expr::Mac(side, mac)).ok_or_else(|| error(at, format!("expected {MAC}, found {word}")))
    }

    fn vlan(&mut self) -> Result<Expr, FilterError> {
        match self.words.next_if(|(_, w)| w.starts_with(|c: char| c.is_ascii_digit())) {
            None => Ok(Expr::Vlan(None)),
            Some((at, word)) => match word.parse() {
                Ok(id @ 0..=4095) => Ok(Expr::Vlan(Some(id))),
                _ => Err(error(at, format!("expected a VLAN, from 0 to 4095, found {word}"))),
            },
        }
    }
}

fn named(word: &str) -> Option<IpProtocol> {
    match word {
        "icmp" => Some(IpProtocol::ICMP),
        "icmp6" => Some(IpProtocol::ICMP6),
        "tcp" => Some(IpProtocol::TCP),
        "udp" => Some(IpProtocol::UDP),
        _ => None,
    }
}
