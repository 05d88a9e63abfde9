//! Capture files (the pcap file format, draft-ietf-opsawg-pcap), written and read without any code of the router's.

use std::path::Path;

const LINKTYPE_ETHERNET: u32 = 1;

/// A capture file with nanosecond time stamps.
pub fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
    let word = |number: usize| (number as u32).to_le_bytes();
    let mut file = [[0x4d, 0x3c, 0xb2, 0xa1], [2, 0, 4, 0], [0; 4], [0; 4], word(65535)].concat();
    file.extend(LINKTYPE_ETHERNET.to_le_bytes());
    for (number, frame) in frames.iter().enumerate() {
        file.extend([word(1000 + number), word(number), word(frame.len()), word(frame.len())].concat());
        file.extend(frame);
    }
    file
}

/// The frames of a capture file; none while it is being written.
pub fn frames_of(path: &Path) -> Vec<Vec<u8>> {
    let file = std::fs::read(path).unwrap_or_default();
    let mut rest = file.get(24..).unwrap_or_default();
    let mut frames = Vec::new();
    while let Some(length) = rest.get(8..12) {
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let Some(frame) = rest.get(16..16 + length) else { break };
        frames.push(frame.to_vec());
        rest = &rest[16 + length..];
    }
    frames
}

/// A packet of a pcapng file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The name of the interface.
    pub interface: String,
    /// 1: it was received; 2: it was sent (draft-ietf-opsawg-pcapng section 4.3.1, `epb_flags`).
    pub direction: u32,
    /// How long it was.
    pub length: usize,
    /// As much of it as the file has.
    pub bytes: Vec<u8>,
}

/// The packets of a pcapng file (draft-ietf-opsawg-pcapng) of one section in this machine's byte order, as far as it is written.
pub fn captured(path: &Path) -> Vec<Captured> {
    let file = std::fs::read(path).unwrap_or_default();
    let word = |bytes: &[u8], at: usize| {
        let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes)
    };
    let (mut rest, mut names, mut packets) = (&file[..], Vec::new(), Vec::new());
    while let (Some(kind), Some(length)) = (word(rest, 0), word(rest, 4)) {
        let Some((block, behind)) = rest.split_at_checked(length as usize) else { break };
        let end = block.len() - 4;
        assert_eq!(word(block, end), Some(length), "a block says its length twice");
        let option = |mut at: usize, wanted: u32| {
            while let Some(head) = word(&block[..end], at).filter(|head| head & 0xffff != 0) {
                let (code, length) = (head & 0xffff, (head >> 16) as usize);
                if code == wanted {
                    return Some(&block[at + 4..at + 4 + length]);
                }
                at += 4 + length.next_multiple_of(4);
            }
            None
        };
        match kind {
            1 => names.push(String::from_utf8_lossy(option(16, 2).unwrap_or_default()).into_owned()),
            6 => {
                let number = |at| word(block, at).expect("a packet block") as usize;
                let (interface, kept) = (&names[number(8)], number(20));
                let flags = option(28 + kept.next_multiple_of(4), 2).and_then(|flags| word(flags, 0));
                packets.push(Captured {
                    interface: interface.clone(),
                    direction: flags.unwrap_or_default(),
                    length: number(24),
                    bytes: block[28..28 + kept].to_vec(),
                });
            }
            _ => {}
        }
        rest = behind;
    }
    packets
}
