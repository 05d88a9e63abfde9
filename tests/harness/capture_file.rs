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
