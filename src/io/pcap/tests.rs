//! Files that we write and files that others write.

use super::*;
use crate::Context;
use crate::spec::Spec;
use millrace_engine::device::{TestBurst, Wake};
use millrace_engine::memory::HugePages;
use millrace_engine::{Pool, Waker};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A file of this test's own, removed when it ends.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Temporary {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("millrace-{}-{}.pcap", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Temporary(std::env::temp_dir().join(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn context() -> Context {
    Context { pool: Pool::new(16, HugePages::Off).unwrap(), changed: Waker::new().unwrap() }
}

fn frames() -> Vec<Vec<u8>> {
    [60, 61, 1514, 5000].iter().map(|len| (0..*len).map(|i| (i * 7) as u8).collect()).collect()
}

/// A classic file, written by hand.
fn classic(big: bool, magic: u32, link: u32) -> Vec<u8> {
    let n32 = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let n16 = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut file =
        [n32(magic), [n16(2), n16(4)].concat().try_into().unwrap(), [0; 4], [0; 4], n32(65_535), n32(link)].concat();
    for frame in frames() {
        file.extend([n32(1), n32(2), n32(frame.len() as u32), n32(9999)].concat());
        file.extend(frame);
    }
    file
}

fn all(frames: &Frames) -> Vec<Vec<u8>> {
    (0..frames.len()).map(|at| frames.get(at).unwrap().to_vec()).collect()
}

#[test]
fn classic_files_of_both_orders_and_precisions() {
    for big in [false, true] {
        for magic in [0xa1b2_c3d4, 0xa1b2_3c4d] {
            assert_eq!(all(&Frames::parse(classic(big, magic, 1)).unwrap()), frames());
        }
    }
}

/// A pcapng file with two sections of different byte order, an unknown block, and all three kinds of packet block.
fn next_generation() -> Vec<u8> {
    let mut file = Vec::new();
    for big in [false, true] {
        let n32 = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
        let n16 = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
        let mut block = |kind: u32, body: Vec<u8>| {
            let mut body = body;
            body.resize(body.len().next_multiple_of(4), 0);
            let len = n32(body.len() as u32 + 12);
            file.extend([&n32(kind)[..], &len, &body, &len].concat());
        };
        block(0x0a0d_0d0a, [&n32(0x1a2b_3c4d)[..], &n16(1), &n16(0), &[0xff; 8]].concat());
        block(0x0bad, vec![1, 2, 3, 4]);
        block(1, [&n16(1)[..], &n16(0), &n32(0)].concat());
        let frames = frames();
        let len = |at: usize| n32(frames[at].len() as u32);
        block(6, [&n32(0)[..], &[0; 8], &len(0), &len(0), &frames[0]].concat());
        block(3, [&len(1)[..], &frames[1]].concat());
        block(2, [&n16(0)[..], &n16(0), &[0; 8], &len(2), &len(2), &frames[2]].concat());
    }
    file
}

#[test]
fn next_generation_files() {
    let mut want = frames();
    want.truncate(3);
    want.extend(want.clone());
    assert_eq!(all(&Frames::parse(next_generation()).unwrap()), want);
}

#[test]
fn files_that_are_none_say_what_is_wrong() {
    let say = |bytes: Vec<u8>| Frames::parse(bytes).unwrap_err().to_string();
    assert_eq!(say(b"hello world".to_vec()), "not a pcap or pcapng file");
    assert_eq!(say(Vec::new()), "not a pcap or pcapng file");
    assert_eq!(say(classic(false, 0xa1b2_c3d4, 113)), "frames of link type 113; only Ethernet (1) can be played");
    // Cut anywhere, a file is either damaged or ends between two frames; it never leads behind its end.
    for file in [classic(true, 0xa1b2_c3d4, 1), next_generation()] {
        let whole = Frames::parse(file.clone()).unwrap().len();
        for end in 0..file.len() {
            match Frames::parse(file[..end].to_vec()) {
                Ok(frames) => assert!(frames.len() < whole || frames.len() == whole && end > file.len() - 12),
                Err(FileError::Damaged(_) | FileError::Format) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn what_is_written_can_be_played() {
    let (file, other) = (Temporary::new(), Temporary::new());
    let mut burst = TestBurst::new(Pool::new(1024, HugePages::Off).unwrap());
    let open = |read: Option<&Temporary>, write: Option<&Temporary>, repeat| {
        let path = |t: &Temporary| t.0.clone();
        let spec = Spec::Pcap { read: read.map(path), write: write.map(path), repeat, rate: Rate::Max };
        crate::open(&spec, "cap", &context()).unwrap()
    };
    let mut writer = open(None, Some(&file), Repeat::Forever);
    let mut pair = writer.queues(2).unwrap();
    assert_eq!(pair.len(), 1, "one queue");
    let mut pair = pair.remove(0);
    let (rx, tx) = (pair.rx.as_mut().unwrap(), pair.tx.as_mut().unwrap());
    assert_eq!(rx.wake(), Wake::Never);
    let frames = frames();
    let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    assert_eq!(burst.tx(&mut **tx, &slices).unwrap(), 4);
    assert_eq!(writer.stats()[1], ("frames_written", 4));
    // A second later it is in the file, though nobody closed it.
    let Wake::At(at) = rx.wake() else { panic!("{:?}", rx.wake()) };
    assert_eq!(Frames::read(&file.0).unwrap().len(), 0);
    // The packet path's clock may run a little behind the one that sleeps are measured by.
    while millrace_engine::clock::now() < at {
        std::thread::sleep(Duration::from_nanos(at.saturating_sub(millrace_engine::clock::now())));
    }
    assert!(burst.rx(&mut **rx).unwrap().is_empty());
    assert_eq!(all(&Frames::read(&file.0).unwrap()), frames);
    assert_eq!(rx.wake(), Wake::Never);
    // And what is not flushed yet gets there when all is closed.
    assert_eq!(burst.tx(&mut **tx, &slices[..1]).unwrap(), 1);
    drop((pair, writer));
    assert_eq!(Frames::read(&file.0).unwrap().len(), 5);

    let mut player = open(Some(&file), Some(&other), Repeat::Times(NonZeroU32::new(3).unwrap()));
    let mut rx = player.queues(1).unwrap().remove(0).rx.unwrap();
    assert_eq!(rx.wake(), Wake::Poll);
    let got = burst.rx(&mut *rx).unwrap();
    assert_eq!(got.len(), 15);
    assert_eq!(got[5..9], frames[..]);
    assert_eq!((rx.wake(), burst.rx(&mut *rx).unwrap().len()), (Wake::Never, 0));
    assert_eq!(player.stats()[0], ("frames_played", 15));
}

#[test]
fn other_programs_read_what_is_written() {
    let file = Temporary::new();
    let mut writer = Writer::new(File::create(&file.0).unwrap()).unwrap();
    writer.write(Duration::new(1_700_000_000, 123_456_789), [&[0xff; 30][..], &[0x88; 30]]).unwrap();
    drop(writer);
    let path = file.0.display().to_string();
    let output = std::process::Command::new("tcpdump").args(["-tt", "--nano", "-nnr", &path]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("1700000000.123456789 ") && text.contains("length 60"), "{text}");
}

#[test]
fn a_missing_file_may_come_later() {
    let spec = |read| Spec::Pcap { read, write: None, repeat: Repeat::Forever, rate: Rate::Max };
    let missing = crate::open(&spec(Some(Temporary::new().0.clone())), "cap", &context()).map(drop);
    assert!(matches!(missing, Err(OpenError::Missing { .. })));
    let refused = crate::open(&spec(Some("/etc/passwd".into())), "cap", &context()).map(drop).unwrap_err();
    assert_eq!(refused.to_string(), "/etc/passwd: not a pcap or pcapng file");
}
