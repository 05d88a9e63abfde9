//! Rows of bridging: a generator and a sink as the ports of a bridge, with stations behind both that the bridge has learnt.

use crate::forward::{self, Load};
use crate::report::Measured;
use anyhow::Result;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Different frames that the generator has, over and over.
const FRAMES: u32 = 1 << 17;

/// 256 stations.
pub fn small() -> Result<Option<Measured>> {
    Ok(Some(between(256)?))
}

/// 65,536 stations.
pub fn large() -> Result<Option<Measured>> {
    Ok(Some(between(65_536)?))
}

/// Frames of 64 bytes from half of so many stations to the other half, both at random, with learning on.
fn between(stations: u32) -> Result<Measured> {
    let half = stations / 2;
    let folder = Folder::new()?;
    let to_sink = (0..FRAMES).map(|n| {
        let random = mix(n.into());
        (random as u32 % half, half + (random >> 32) as u32 % half)
    });
    let (source, sink) = (folder.0.join("source.pcap"), folder.0.join("sink.pcap"));
    write(&source, to_sink)?;
    // Each station behind the sink says a word, so that the bridge knows them all.
    write(&sink, (0..half).map(|n| (half + n, n)))?;
    let config = include_str!("l2-bridge.yaml")
        .replace("SOURCE", &source.display().to_string())
        .replace("SINK", &sink.display().to_string())
        .replace("COUNT", &half.to_string());
    forward::measure(&Load { config, workers: 1, warm_up: 2_000_000 })
}

/// A folder for the frames; gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        let folder = std::env::temp_dir().join(format!("millrace-perf-l2-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Folder(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A capture of frames, each from one station to another.
fn write(path: &Path, frames: impl Iterator<Item = (u32, u32)>) -> Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    // draft-ietf-opsawg-pcap: version 2.4, whole packets, Ethernet.
    for word in [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65_535, 1_u32] {
        file.write_all(&word.to_le_bytes())?;
    }
    for (from, to) in frames {
        let mut frame = [0; 60];
        frame[..6].copy_from_slice(&mac(to));
        frame[6..12].copy_from_slice(&mac(from));
        // An EtherType for experiments (IEEE 802): nothing that a bridge looks into.
        frame[12..14].copy_from_slice(&[0x88, 0xb5]);
        for word in [0, 0, 60, 60_u32] {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(&frame)?;
    }
    file.flush()?;
    Ok(())
}

/// Station `n`.
fn mac(n: u32) -> [u8; 6] {
    let [a, b, c, d] = n.to_be_bytes();
    [2, 0, a, b, c, d]
}

/// Some number that looks random (the finalizer of SplitMix64).
const fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
