//! Packets written to a pcapng file (draft-ietf-opsawg-pcapng), with nanoseconds, interfaces and directions.

use millrace_config::Driver;
use millrace_engine::clock;
use millrace_graph_nodes::capture::{Captured, Direction, WHOLE};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// A pcapng file that is being written.
#[derive(Debug)]
pub struct Pcapng<W: Write> {
    out: W,
    /// The numbers of interfaces in the file, by their names.
    numbers: BTreeMap<String, u32>,
    /// Nanoseconds from 1970 to the zero of captured times.
    epoch: u64,
}

/// What packets of an interface begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// An Ethernet header.
    Ethernet = 1,
    /// An IP header: a tunnel of packets.
    Raw = 101,
}

impl LinkType {
    /// That of an interface with this driver.
    pub const fn of(driver: &Driver) -> LinkType {
        if driver.has_ethernet() { LinkType::Ethernet } else { LinkType::Raw }
    }
}

impl<W: Write> Pcapng<W> {
    /// Writes the section header.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn start(mut out: W) -> io::Result<Pcapng<W>> {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let epoch = wall.saturating_sub(clock::now());
        let mut body = Vec::new();
        body.extend(0x1a2b_3c4d_u32.to_le_bytes());
        body.extend([1, 0, 0, 0]);
        body.extend(u64::MAX.to_le_bytes());
        option(&mut body, 4, concat!("millrace ", env!("CARGO_PKG_VERSION")).as_bytes());
        block(&mut out, 0x0a0d_0d0a, body)?;
        Ok(Pcapng { out, numbers: BTreeMap::new(), epoch })
    }

    /// Writes a packet, and before it its interface, which is called `name` and of this type, when it is the first of it.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn packet(&mut self, captured: &Captured, name: &str, link: LinkType) -> io::Result<()> {
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None => self.interface(name, link)?,
        };
        let time = self.epoch + captured.time;
        let mut body = Vec::with_capacity(captured.bytes.len() + 48);
        body.extend(number.to_le_bytes());
        body.extend(((time >> 32) as u32).to_le_bytes());
        body.extend((time as u32).to_le_bytes());
        body.extend((captured.bytes.len() as u32).to_le_bytes());
        body.extend((captured.length as u32).to_le_bytes());
        body.extend(&captured.bytes);
        pad(&mut body);
        let direction: u32 = match captured.direction {
            Direction::Rx => 1,
            Direction::Tx => 2,
        };
        option(&mut body, 2, &direction.to_le_bytes());
        block(&mut self.out, 6, body)
    }

    /// Lets others see what was written so far.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn interface(&mut self, name: &str, link: LinkType) -> io::Result<u32> {
        let number = self.numbers.len() as u32;
        let mut body = Vec::new();
        body.extend((link as u16).to_le_bytes());
        body.extend([0, 0]);
        body.extend((WHOLE as u32).to_le_bytes());
        option(&mut body, 2, name.as_bytes());
        // Times are in units of 10^-9 seconds.
        option(&mut body, 9, &[9]);
        block(&mut self.out, 1, body)?;
        self.numbers.insert(name.to_owned(), number);
        Ok(number)
    }
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    pad(body);
}

/// Ends the options and writes the block between its two lengths.
fn block(out: &mut impl Write, kind: u32, mut body: Vec<u8>) -> io::Result<()> {
    option(&mut body, 0, &[]);
    let len = (body.len() as u32 + 12).to_le_bytes();
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&len)?;
    out.write_all(&body)?;
    out.write_all(&len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_and_interfaces_come_once() {
        let mut file = Pcapng::start(Vec::new()).unwrap();
        for (interface, direction) in [(7, Direction::Rx), (9, Direction::Tx), (7, Direction::Tx)] {
            let captured = Captured { time: 5, interface, direction, length: 70, bytes: vec![0xaa; 61] };
            file.packet(&captured, if interface == 7 { "wan" } else { "lan" }, LinkType::Ethernet).unwrap();
        }
        let word = |at: usize| u32::from_le_bytes(file.out[at..at + 4].try_into().unwrap());
        let (mut at, mut blocks) = (0, Vec::new());
        while at < file.out.len() {
            let len = word(at + 4) as usize;
            assert_eq!((len % 4, word(at + len - 4) as usize), (0, len));
            // For packets: interface, captured and original length.
            blocks.push((word(at), if word(at) == 6 { [word(at + 8), word(at + 20), word(at + 24)] } else { [0; 3] }));
            at += len;
        }
        let kinds: Vec<_> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [0x0a0d_0d0a, 1, 6, 1, 6, 6]);
        assert_eq!([blocks[2].1, blocks[4].1, blocks[5].1], [[0, 61, 70], [1, 61, 70], [0, 61, 70]]);
    }
}
