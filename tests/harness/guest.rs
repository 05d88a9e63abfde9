//! A virtual machine with Linux in it, by QEMU, whose one network card is a vhost-user interface.
//!
//! QEMU emulates the processor, so that it needs nothing of this machine; `scripts/guest.sh` makes the kernel and the
//! first file system, which is all that there is. Commands go in and their output comes out by the second serial port;
//! the first has the kernel's messages, which a failure shows. It ends when it is dropped, or with its thread.

use crate::{Output, PATIENCE, TempDir, program};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the guest may take to boot, or over one command: it runs several times slower than a real machine, and shares
/// this one with other tests.
const LONG: Duration = Duration::from_secs(60);

/// What starts each of the guest's own lines, as `scripts/guest.sh` has it.
const MARK: u8 = 1;

/// How every card is. Rings are as long as they can be, as the guest is slow. There is no MSI-X, and so plain interrupts:
/// when a guest turns it on for a vhost device while the processor is emulated, QEMU 7.2 reads from a null pointer
/// (`msix_set_vector_notifiers`). And there is nothing to boot from.
const CARD: &str = "rx_queue_size=1024,tx_queue_size=1024,vectors=0,romfile=";

/// A guest to start: its card, and what it does with it.
#[derive(Clone, Debug)]
pub struct Machine {
    socket: PathBuf,
    listens: bool,
    queues: u16,
    card: String,
    settings: String,
    address: String,
}

impl Machine {
    /// With a card at this vhost-user socket, to which it connects, again and again when the other end goes.
    pub fn at(socket: &Path) -> Machine {
        Machine {
            socket: socket.to_owned(),
            listens: false,
            queues: 1,
            card: String::new(),
            settings: String::new(),
            address: String::new(),
        }
    }

    /// The socket is the guest's to make, and the other end connects; it does not start before that.
    pub fn listens(mut self) -> Machine {
        self.listens = true;
        self
    }

    /// With several queues each way, and as many processors.
    pub fn queues(mut self, queues: u16) -> Machine {
        self.queues = queues;
        self
    }

    /// With more properties of the card (`mac=...`, `mrg_rxbuf=off`, `packed=on`, ...).
    pub fn card(mut self, properties: &str) -> Machine {
        self.card = format!("{},{properties}", self.card);
        self
    }

    /// `eth0` gets an address (in CIDR notation) and a default route when it boots.
    pub fn address(mut self, prefix: &str, gateway: &str) -> Machine {
        self.address = prefix.split('/').next().unwrap_or_default().to_owned();
        self.settings = format!("{} address={prefix} gateway={gateway}", self.settings);
        self
    }

    /// `eth0` gets this MTU when it boots.
    pub fn mtu(mut self, mtu: u16) -> Machine {
        self.settings = format!("{} mtu={mtu}", self.settings);
        self
    }

    /// Switches it on, and returns before it has booted.
    #[track_caller]
    pub fn switch_on(self) -> Guest {
        let (kernel, files) = (kernel(), TempDir::new());
        let (child, shell) = launch(&self, &kernel, &files);
        Guest { address: self.address.clone(), machine: self, kernel, files, child, shell }
    }

    /// Switches it on, and waits until it has booted.
    #[track_caller]
    pub fn start(self) -> Guest {
        let mut guest = self.switch_on();
        guest.booted();
        guest
    }
}

/// A guest that runs; killed when dropped. It has `ping`, `wget`, `httpd`, `nc`, `sha256sum` and what else busybox has.
pub struct Guest {
    /// The address of its `eth0`.
    pub address: String,
    machine: Machine,
    kernel: PathBuf,
    files: TempDir,
    child: Child,
    shell: Shell,
}

/// The serial port that takes commands.
struct Shell {
    keyboard: ChildStdin,
    screen: Receiver<Vec<u8>>,
    /// What came, and was not asked for yet.
    pending: Vec<u8>,
}

impl Guest {
    /// QEMU's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has booted: when it was switched on, or rebooted.
    #[track_caller]
    pub fn booted(&mut self) {
        let (_, word) = self.shell.line(LONG).unwrap_or_else(|what| self.give_up("boot", &what));
        assert_eq!(word, "up", "another line than the one after a boot");
    }

    /// Runs a line of shell to its end and returns what it wrote (errors, too) and its exit status.
    #[track_caller]
    pub fn run(&mut self, command: &str) -> Output {
        let typed = self.shell.keyboard.write_all(format!("{command}\n").as_bytes());
        typed.unwrap_or_else(|e| self.give_up(command, &e.to_string()));
        let (text, status) = self.shell.line(LONG).unwrap_or_else(|what| self.give_up(command, &what));
        let code = status.parse().unwrap_or_else(|_| self.give_up(command, &format!("no status: {status:?}")));
        let stdout = String::from_utf8_lossy(&text).into_owned();
        Output { command: format!("{command} (in the guest)"), code, stdout, stderr: String::new() }
    }

    /// Pings an address three times; panics unless all were answered.
    #[track_caller]
    pub fn ping(&mut self, address: &str) {
        let output = self.run(&format!("ping -c 3 -i 0.2 -W 5 {address}")).ok();
        assert!(output.contains(" 0% packet loss"), "{output}");
    }

    /// Whether an address answers one ping.
    pub fn reaches(&mut self, address: &str) -> bool {
        self.run(&format!("ping -c 1 -W 1 {address}")).code == 0
    }

    /// Waits until an address answers.
    #[track_caller]
    pub fn reaches_again(&mut self, address: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.reaches(address) {
            assert!(Instant::now() < end, "the guest doesn't reach {address}\n{}", self.console());
        }
    }

    /// Whether the card was given this feature, by its bit in the virtio specification.
    #[track_caller]
    pub fn has_feature(&mut self, bit: usize) -> bool {
        self.run("cat /sys/class/net/eth0/device/features").ok().as_bytes().get(bit) == Some(&b'1')
    }

    /// Fetches a file over HTTP and returns its SHA-256 sum.
    #[track_caller]
    pub fn fetch(&mut self, url: &str) -> String {
        let fetch = format!("rm -f /tmp/got; timeout 50 wget -q -O /tmp/got {url} && sha256sum </tmp/got");
        self.run(&fetch).ok().split_whitespace().next().unwrap_or_default().to_owned()
    }

    /// Makes a file without a pattern of so many MiB and serves it over HTTP; returns its URL and its SHA-256 sum.
    #[track_caller]
    pub fn serve(&mut self, mebibytes: u32) -> (String, String) {
        let file = format!("mkdir -p /tmp/www && head -c $(({mebibytes} << 20)) /dev/urandom >/tmp/www/file");
        let server = "(pidof httpd >/dev/null || httpd -p 8080 -h /tmp/www)";
        let sum = self.run(&format!("{file} && {server} && sha256sum </tmp/www/file")).ok();
        let sum = sum.split_whitespace().next().unwrap_or_default().to_owned();
        (format!("http://{}:8080/file", self.address), sum)
    }

    /// Reboots its Linux, without a farewell to the card, and waits until it has booted.
    #[track_caller]
    pub fn reboot(&mut self) {
        let typed = self.shell.keyboard.write_all(b"reboot -f\n");
        typed.unwrap_or_else(|e| self.give_up("reboot", &e.to_string()));
        self.booted();
    }

    /// Kills QEMU: no one says farewell to the other end.
    pub fn crash(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Switches it on again after [`Guest::crash`], and waits until it has booted.
    #[track_caller]
    pub fn start_again(&mut self) {
        (self.child, self.shell) = launch(&self.machine, &self.kernel, &self.files);
        self.booted();
    }

    /// What its kernel said, and QEMU.
    pub fn console(&self) -> String {
        let read = |name| std::fs::read(self.files.file(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("console"), read("qemu")].concat()).into_owned()
    }

    #[track_caller]
    fn give_up(&self, command: &str, what: &str) -> ! {
        panic!("{command} in the guest: {what}\n{}", self.console());
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.crash();
    }
}

impl Shell {
    /// Reads up to one of the guest's own lines; returns what came before it, and the word on it.
    fn line(&mut self, time: Duration) -> Result<(Vec<u8>, String), String> {
        let end = Instant::now() + time;
        loop {
            let mark = self.pending.iter().position(|byte| *byte == MARK);
            let line =
                mark.and_then(|mark| Some((mark, mark + self.pending[mark..].iter().position(|b| *b == b'\n')?)));
            if let Some((mark, end)) = line {
                let rest = self.pending.split_off(end + 1);
                let mut text = std::mem::replace(&mut self.pending, rest);
                let word = String::from_utf8_lossy(&text[mark + 1..end]).into_owned();
                text.truncate(mark);
                return Ok((text, word));
            }
            match self.screen.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.pending.extend(bytes),
                Err(reason) => {
                    let reason = if reason == RecvTimeoutError::Timeout { "no end of it" } else { "QEMU is gone" };
                    return Err(format!("{reason}, after {:?}", String::from_utf8_lossy(&self.pending)));
                }
            }
        }
    }
}

/// The folder with the guest's kernel and its first file system, made if they aren't there.
fn kernel() -> PathBuf {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = program("millrace").ancestors().nth(2).expect("a target folder").join("guest");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/guest.sh");
    Output::of(Command::new(script).arg(&folder)).ok();
    folder
}

fn launch(machine: &Machine, kernel: &Path, files: &TempDir) -> (Child, Shell) {
    let Machine { socket, listens, queues, card, settings, .. } = machine;
    let mode = if *listens { "server=on,wait=on" } else { "reconnect=1" };
    let console = files.file("console");
    let several = if *queues > 1 { ",mq=on" } else { "" };
    let mut command = Command::new("qemu-system-x86_64");
    command.args("-accel tcg -M q35,memory-backend=ram -cpu max -m 256 -display none -nodefaults".split(' '));
    command.args(["-smp", &queues.to_string(), "-object", "memory-backend-memfd,id=ram,size=256M,share=on"]);
    command.arg("-kernel").arg(kernel.join("vmlinuz")).arg("-initrd").arg(kernel.join("initramfs"));
    command.args(["-append", &format!("console=ttyS0 quiet panic=-1{settings}")]);
    command.args(["-serial", &format!("file:{}", console.display())]);
    command.args(["-chardev", "stdio,id=shell,signal=off", "-serial", "chardev:shell"]);
    command.args(["-chardev", &format!("socket,id=wire,path={},{mode}", socket.display())]);
    command.args(["-netdev", &format!("vhost-user,id=net,chardev=wire,queues={queues}")]);
    command.args(["-device", &format!("virtio-net-pci,netdev=net,{CARD}{several}{card}")]);
    let errors = std::fs::File::create(files.file("qemu")).expect("a file for QEMU's errors");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
    // A killed test leaves nobody who would kill QEMU.
    // SAFETY: prctl() takes numbers only.
    let die_too = || match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    // SAFETY: between fork and exec, this calls prctl() alone, with numbers; it is async-signal-safe.
    unsafe { command.pre_exec(die_too) };
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let keyboard = child.stdin.take().expect("its input");
    let output = child.stdout.take().expect("its output");
    (child, Shell { keyboard, screen: read(output), pending: Vec::new() })
}

/// Passes on what comes, in a thread that ends with QEMU.
fn read(mut output: ChildStdout) -> Receiver<Vec<u8>> {
    let (sender, screen) = channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut bytes) {
            if sender.send(bytes[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    screen
}

#[cfg(test)]
mod tests {
    use super::Machine;
    use crate::{TempDir, testpmd};

    #[test]
    fn it_boots_runs_commands_reboots_crashes_and_starts_again() {
        // DPDK's end of vhost-user, which answers ARP and pings.
        let files = TempDir::new();
        let socket = files.file("vm.sock");
        let mut peer = testpmd::Setup::device(&format!("net_vhost0,iface={},queues=1", socket.display())).start();
        peer.forward("icmpecho");
        let mut guest = Machine::at(&socket).address("192.168.7.10/24", "192.168.7.1").start();
        guest.ping("192.168.7.1");
        assert_eq!(guest.run("echo one; echo two >&2; exit 3").code(3).stdout, "one\ntwo\n");
        assert_eq!(guest.run("cat no-file").code, 1);

        for _ in 0..2 {
            let (url, sum) = guest.serve(1);
            assert_eq!(guest.fetch(&url.replace(&guest.address, "127.0.0.1")), sum);
            assert_eq!(sum.len(), 64);
        }

        guest.run("touch /tmp/here").ok();
        guest.reboot();
        guest.run("test -e /tmp/here").code(1);
        let pid = guest.pid();
        guest.crash();
        guest.start_again();
        assert_ne!(guest.pid(), pid);
        assert!(guest.run("ip addr show dev eth0").ok().contains(&guest.address));
    }
}
