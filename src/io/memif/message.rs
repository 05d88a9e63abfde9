//! Control messages of memif 2.0: 128 bytes each, a 16-bit type and fields without padding behind it, in the host's byte order.

/// Bytes of every message.
pub(super) const LEN: usize = 128;
/// The version spoken: 2.0.
pub(super) const VERSION: u16 = 0x0200;
/// Bytes of a secret at most.
pub(super) const SECRET: usize = 24;
/// Bytes of a name at most, with the NUL that ends it.
const NAME: usize = 32;
/// Bytes of a reason at most, with the NUL that ends it.
const REASON: usize = 96;
/// Frames with Ethernet headers; the other modes carry bare IP packets, and packets for the host.
pub(super) const ETHERNET: u8 = 0;

/// What one end says to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The last message was understood.
    Ack,
    /// The server's first word: what it takes.
    Hello(Hello),
    /// The client's answer: which interface it wants.
    Init(Init),
    /// Memory that the client shares; a descriptor comes with it.
    AddRegion { index: u16, size: u64 },
    /// A ring in that memory; the descriptor of its interrupts comes with it.
    AddRing(AddRing),
    /// The client is done; the name of its interface.
    Connect(String),
    /// The server is, too; the name of its interface.
    Connected(String),
    /// The end, and why.
    Disconnect { code: u32, reason: String },
}

/// What a server takes. The indices are the largest that it takes, each one less than the number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub name: String,
    pub min_version: u16,
    pub max_version: u16,
    pub max_region: u16,
    pub max_to_client: u16,
    pub max_to_server: u16,
    pub max_log2_ring_size: u8,
}

/// Which interface a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Init {
    pub version: u16,
    pub id: u32,
    pub mode: u8,
    pub secret: [u8; SECRET],
    pub name: String,
}

/// A ring in the client's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddRing {
    /// Packets go from the client to the server by it.
    pub to_server: bool,
    pub index: u16,
    pub region: u16,
    pub offset: u32,
    pub log2_size: u8,
    /// Bytes of private data in front of each packet.
    pub private_header: u16,
}

impl Message {
    /// As it goes over the socket.
    pub fn encode(&self) -> [u8; LEN] {
        let mut to = Writer { bytes: [0; LEN], at: 0 };
        match self {
            Message::Ack => to.put(&1u16.to_ne_bytes()),
            Message::Hello(hello) => {
                to.put(&2u16.to_ne_bytes());
                to.text::<NAME>(&hello.name);
                let indices = [hello.max_region, hello.max_to_client, hello.max_to_server];
                for n in [hello.min_version, hello.max_version].into_iter().chain(indices) {
                    to.put(&n.to_ne_bytes());
                }
                to.put(&[hello.max_log2_ring_size]);
            }
            Message::Init(init) => {
                to.put(&3u16.to_ne_bytes());
                to.put(&init.version.to_ne_bytes());
                to.put(&init.id.to_ne_bytes());
                to.put(&[init.mode]);
                to.put(&init.secret);
                to.text::<NAME>(&init.name);
            }
            Message::AddRegion { index, size } => {
                to.put(&4u16.to_ne_bytes());
                to.put(&index.to_ne_bytes());
                to.put(&size.to_ne_bytes());
            }
            Message::AddRing(ring) => {
                to.put(&5u16.to_ne_bytes());
                to.put(&u16::from(ring.to_server).to_ne_bytes());
                to.put(&ring.index.to_ne_bytes());
                to.put(&ring.region.to_ne_bytes());
                to.put(&ring.offset.to_ne_bytes());
                to.put(&[ring.log2_size]);
                to.put(&ring.private_header.to_ne_bytes());
            }
            Message::Connect(name) => {
                to.put(&6u16.to_ne_bytes());
                to.text::<NAME>(name);
            }
            Message::Connected(name) => {
                to.put(&7u16.to_ne_bytes());
                to.text::<NAME>(name);
            }
            Message::Disconnect { code, reason } => {
                to.put(&8u16.to_ne_bytes());
                to.put(&code.to_ne_bytes());
                to.text::<REASON>(reason);
            }
        }
        to.bytes
    }

    /// Reads a message; the type when it is none that the protocol knows.
    pub fn decode(bytes: &[u8; LEN]) -> Result<Message, u16> {
        let mut from = Reader { bytes, at: 0 };
        Ok(match from.u16() {
            1 => Message::Ack,
            2 => Message::Hello(Hello {
                name: from.text::<NAME>(),
                min_version: from.u16(),
                max_version: from.u16(),
                max_region: from.u16(),
                max_to_client: from.u16(),
                max_to_server: from.u16(),
                max_log2_ring_size: from.take::<1>()[0],
            }),
            3 => Message::Init(Init {
                version: from.u16(),
                id: u32::from_ne_bytes(from.take()),
                mode: from.take::<1>()[0],
                secret: from.take(),
                name: from.text::<NAME>(),
            }),
            4 => Message::AddRegion { index: from.u16(), size: u64::from_ne_bytes(from.take()) },
            5 => Message::AddRing(AddRing {
                to_server: from.u16() & 1 != 0,
                index: from.u16(),
                region: from.u16(),
                offset: u32::from_ne_bytes(from.take()),
                log2_size: from.take::<1>()[0],
                private_header: from.u16(),
            }),
            6 => Message::Connect(from.text::<NAME>()),
            7 => Message::Connected(from.text::<NAME>()),
            8 => Message::Disconnect { code: u32::from_ne_bytes(from.take()), reason: from.text::<REASON>() },
            unknown => return Err(unknown),
        })
    }
}

/// A secret as a message has it: padded with NULs.
pub(super) fn secret(text: &str) -> [u8; SECRET] {
    let mut bytes = [0; SECRET];
    bytes.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    bytes
}

struct Writer {
    bytes: [u8; LEN],
    at: usize,
}

impl Writer {
    fn put(&mut self, field: &[u8]) {
        if let Some(to) = self.bytes.get_mut(self.at..self.at + field.len()) {
            to.copy_from_slice(field);
        }
        self.at += field.len();
    }

    /// Text that is cut to leave room for a NUL, between two characters.
    fn text<const N: usize>(&mut self, text: &str) {
        let end = (0..N).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        let mut field = [0; N];
        field.iter_mut().zip(text.bytes().take(end.min(text.len()))).for_each(|(to, from)| *to = from);
        self.put(&field);
    }
}

struct Reader<'a> {
    bytes: &'a [u8; LEN],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let field = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()).copied();
        self.at += N;
        field.unwrap_or([0; N])
    }

    fn u16(&mut self) -> u16 {
        u16::from_ne_bytes(self.take())
    }

    /// Text up to a NUL or the field's end. It is shown to operators, so that nothing in it may be a terminal's command.
    fn text<const N: usize>(&mut self) -> String {
        let field: [u8; N] = self.take();
        let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_reads_as_it_was_written() {
        let all = [
            Message::Ack,
            Message::Hello(Hello {
                name: "a peer".into(),
                min_version: 1,
                max_version: 2,
                max_region: 3,
                max_to_client: 4,
                max_to_server: 5,
                max_log2_ring_size: 6,
            }),
            Message::Init(Init { version: 0x0200, id: 77, mode: 2, secret: secret("word"), name: "us".into() }),
            Message::AddRegion { index: 1, size: 1 << 40 },
            Message::AddRing(AddRing {
                to_server: true,
                index: 1,
                region: 2,
                offset: 3,
                log2_size: 4,
                private_header: 5,
            }),
            Message::Connect("memif0".into()),
            Message::Connected("memif1".into()),
            Message::Disconnect { code: 9, reason: "no more".into() },
        ];
        for message in all {
            assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
        assert_eq!(Message::decode(&[0xff; LEN]), Err(0xffff));
        assert_eq!(Message::decode(&[0; LEN]), Err(0));
    }

    /// Offsets as in the structures of VPP's and DPDK's memif.h, which are packed.
    #[test]
    fn fields_lie_where_the_protocol_has_them() {
        let init = Init { version: 0x0200, id: 0x0403_0201, mode: 0, secret: secret("s"), name: "n".into() };
        let bytes = Message::Init(init).encode();
        assert_eq!(bytes[..10], [3, 0, 0, 2, 1, 2, 3, 4, 0, b's']);
        assert_eq!(bytes[33], b'n');
        let ring =
            AddRing { to_server: true, index: 1, region: 2, offset: 0x0403_0201, log2_size: 10, private_header: 5 };
        assert_eq!(Message::AddRing(ring).encode()[..15], [5, 0, 1, 0, 1, 0, 2, 0, 1, 2, 3, 4, 10, 5, 0]);
        assert_eq!(Message::AddRegion { index: 1, size: 2 }.encode()[..12], [4, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        let mut hello = [0; LEN];
        hello[0] = 2;
        hello[34..45].copy_from_slice(&[0, 2, 0, 2, 255, 0, 7, 0, 8, 0, 14]);
        let Ok(Message::Hello(hello)) = Message::decode(&hello) else { panic!("no HELLO") };
        assert_eq!((hello.max_region, hello.max_to_client, hello.max_to_server), (255, 7, 8));
        assert_eq!((hello.min_version, hello.max_log2_ring_size), (VERSION, 14));
    }

    #[test]
    fn text_is_cut_to_its_field_and_made_harmless() {
        let long = "\u{e4}".repeat(40);
        let Ok(Message::Connect(name)) = Message::decode(&Message::Connect(long).encode()) else { panic!() };
        assert_eq!(name, "\u{e4}".repeat(15), "31 bytes would end within a character");
        let mut bytes = Message::Disconnect { code: 0, reason: String::new() }.encode();
        bytes[6..].fill(0xff);
        bytes[6..12].copy_from_slice(b"a\x1b[2Jb");
        let Ok(Message::Disconnect { reason, .. }) = Message::decode(&bytes) else { panic!() };
        assert!(reason.starts_with("a?[2Jb"), "{reason}");
    }
}
