//! The program at a device: that of others is refused, ours goes with the router.

use super::common::*;
use super::{MODES, port, refusal, xdp};
use millrace_io::XdpMode;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

#[test]
fn another_program_is_refused() {
    for mode in MODES {
        in_namespace(|| {
            veth("a", "b");
            let first = port("a", mode);
            let refusal = refusal(xdp("a", XdpMode::Auto));
            assert!(refusal.starts_with("a: another router's XDP program, number "), "{refusal}");
            assert!(refusal.contains("millrace_xsk") && refusal.contains("xdp off"), "{refusal}");
            drop(first);
            drop(port("a", mode));
        });
    }
    in_namespace(|| {
        veth("a", "b");
        let other = foreign_program("a");
        let refusal = refusal(xdp("a", XdpMode::Auto));
        assert!(refusal.starts_with("a: another XDP program, number ") && refusal.contains("(other)"), "{refusal}");
        drop(other);
        until("the program", || programs("a") == 0);
        drop(port("a", XdpMode::Native));
    });
}

/// A program called `other` that lets everything pass, at a device in native mode for as long as what is returned is kept.
fn foreign_program(device: &str) -> [OwnedFd; 2] {
    let bpf = |command: libc::c_long, attributes: &[u8]| {
        // SAFETY: the kernel reads so many bytes, and what they point at, which lives during the call.
        let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), attributes.len()) };
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the kernel just gave us this descriptor.
        unsafe { OwnedFd::from_raw_fd(fd as i32) }
    };
    // r0 = XDP_PASS; exit (struct bpf_insn).
    let instructions: [u64; 2] = [0x0000_0002_0000_00b7, 0x95];
    let mut load = Vec::new();
    load.extend([6u32, 2].iter().flat_map(|n| n.to_ne_bytes()));
    load.extend([instructions.as_ptr() as u64, c"GPL".as_ptr() as u64].iter().flat_map(|n| n.to_ne_bytes()));
    load.extend([0u32, 0, 0, 0, 0, 0].iter().flat_map(|n| n.to_ne_bytes()));
    load.extend(*b"other\0\0\0\0\0\0\0\0\0\0\0");
    let program = bpf(5, &load);
    let index = run("ip", &format!("-o link show dev {device}")).split(':').next().unwrap().parse().unwrap();
    let create = [program.as_raw_fd() as u32, index, 37, 1 << 2];
    let link = bpf(28, &create.iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<_>>());
    [program, link]
}

/// What ends without a word leaves no program, and its successor need not wait for the kernel to clear up.
#[test]
fn a_crash_leaves_no_program() {
    in_namespace(|| {
        veth("a", "b");
        for _ in 0..5 {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "programs::a_port_that_is_held", "--ignored", "--nocapture"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            assert!(lines.map_while(Result::ok).any(|line| line.contains("ready")));
            assert_eq!(programs("a"), 1);
            child.kill().unwrap();
            child.wait().unwrap();
            let mut a = port("a", XdpMode::Auto);
            let mut b = Port::open(&af_packet("b", 1));
            b.tx(&[&experimental(1, 60)]);
            assert_eq!(a.wait_for(1, is_experimental).len(), 1);
        }
        until("the program", || programs("a") == 0);
    });
}

#[test]
#[ignore = "a process for another test to end"]
fn a_port_that_is_held() {
    let _port = port("a", XdpMode::Auto);
    println!("ready");
    std::thread::sleep(PATIENCE);
}

/// Programs at a device, by the kernel's own word.
fn programs(device: &str) -> usize {
    run("ip", &format!("-d link show dev {device}")).matches("prog/xdp").count()
}

#[test]
fn nothing_stays_behind() {
    in_namespace(|| {
        veth("a", "b");
        for mode in MODES {
            let Port { device, rx, tx, .. } = port("a", mode);
            assert_eq!(programs("a"), 1);
            drop(device);
            assert_eq!(programs("a"), 1, "its queues go on");
            drop(rx);
            drop(tx);
            until("the program", || programs("a") == 0);
        }
    });
}
