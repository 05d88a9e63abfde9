//! Real traffic by real programs: ping, curl against a server of our own, iperf3, and a numbered stream.

use crate::{Host, Namespace, Output, Process, TempDir, eventually, wire};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

impl Namespace {
    /// Pings an address three times; panics unless all were answered.
    #[track_caller]
    pub fn ping(&self, address: &str) -> String {
        let output = self.run(&format!("ping -n -c 3 -i 0.2 -W 2 {address}")).ok();
        assert!(output.contains(" 0% packet loss"), "{output}");
        output
    }

    /// Whether an address answers one ping.
    pub fn reaches(&self, address: &str) -> bool {
        self.run(&format!("ping -n -c 1 -W 1 {address}")).code == 0
    }
}

/// Finds the MTU of the path to an address and port as programs do (RFC 1191, RFC 8201): sends datagrams that must not be
/// cut in pieces until an ICMP error tells the kernel of a narrower link than the host's own.
#[track_caller]
pub fn path_mtu(host: &Host, to: &str) -> u32 {
    const IP_MTU: i32 = 14;
    const IPV6_MTU: i32 = 24;
    let six = to.starts_with('[');
    let (family, discover, mtu, headers) = if six {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, IPV6_MTU, 48)
    } else {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, IP_MTU, 28)
    };
    let socket = host.enter(|| UdpSocket::bind(if six { "[::]:0" } else { "0.0.0.0:0" })).expect("a port");
    wire::set(&socket, family, discover, libc::IP_PMTUDISC_DO);
    socket.connect(to).expect("connect");
    eventually("an ICMP error tells the MTU", || {
        // Too large for what is known already is an error, too.
        let _ = socket.send(&vec![0; 1500 - headers]);
        let mtu = wire::get(&socket, family, mtu) as u32;
        (mtu < 1500).then_some(mtu)
    })
}

/// All addresses of this one's family.
fn any(address: &str) -> &'static str {
    if address.contains(':') { "::" } else { "0.0.0.0" }
}

/// An address and a port as they stand in a URL.
fn at_port(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// A web server in a namespace, with one file whose bytes depend on their place.
pub struct HttpServer {
    url: String,
    body: Arc<Vec<u8>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A download that is over.
pub struct Download {
    /// Bytes a second.
    pub rate: f64,
}

impl HttpServer {
    /// Serves a file of this many bytes on a host.
    pub fn start(host: &Host, bytes: usize) -> HttpServer {
        // A server that is gone may leave its socket, for a moment, to a program that another test starts.
        let bind = || host.enter(|| TcpListener::bind((any(&host.address), 8080))).ok();
        let listener = eventually("port 8080 is free", bind);
        listener.set_nonblocking(true).expect("non-blocking");
        let (body, stop) = (Arc::new(noise(bytes)), Arc::new(AtomicBool::new(false)));
        let (file, stopped) = (Arc::clone(&body), Arc::clone(&stop));
        let thread = std::thread::spawn(move || serve(&listener, &file, &stopped));
        HttpServer { url: format!("http://{}/file", at_port(&host.address, 8080)), body, stop, thread: Some(thread) }
    }

    /// Where the file is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file's SHA-256 sum.
    #[track_caller]
    pub fn sum(&self) -> String {
        let files = TempDir::new();
        sha256(&files.write("file", self.body.as_slice()))
    }

    /// Fetches the file with curl; panics unless every byte is as it was sent.
    #[track_caller]
    pub fn fetch(&self, client: &Namespace) -> Download {
        self.fetch_with(client, "")
    }

    /// The same from a source port of one's own.
    #[track_caller]
    pub fn fetch_from_port(&self, client: &Namespace, port: u16) -> Download {
        self.fetch_with(client, &format!("--local-port {port}"))
    }

    #[track_caller]
    fn fetch_with(&self, client: &Namespace, options: &str) -> Download {
        let (files, begin) = (TempDir::new(), Instant::now());
        let path = files.file("got");
        let command = format!("curl -sS --fail --max-time 55 {options} -o {} {}", path.display(), self.url);
        client.run(&command).ok();
        let rate = self.body.len() as f64 / begin.elapsed().as_secs_f64();
        let got = std::fs::read(&path).expect("what curl wrote");
        assert!(got == *self.body, "{} bytes came, and not those that were sent", got.len());
        Download { rate }
    }
}

/// Fetches a file over HTTP from a namespace; returns its SHA-256 sum.
#[track_caller]
pub fn fetch_sum(client: &Namespace, url: &str) -> String {
    let files = TempDir::new();
    let path = files.file("got");
    client.run(&format!("curl -sS --fail --max-time 55 -o {} {url}", path.display())).ok();
    sha256(&path)
}

fn sha256(file: &Path) -> String {
    let output = Output::of(Command::new("sha256sum").arg(file)).ok();
    output.split_whitespace().next().unwrap_or_default().to_owned()
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(listener: &TcpListener, body: &[u8], stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Ok((mut stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let _ = stream.set_nonblocking(false);
        let _ = stream.set_write_timeout(Some(Duration::from_secs(5)));
        let request = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        let _ = request.count();
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = stream.write_all(body);
    }
}

/// Bytes without a pattern, always the same (xorshift64).
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(word).take(bytes.div_ceil(8)).flatten().take(bytes).collect()
}

/// What iperf3 measured at the receiver.
pub struct Iperf {
    /// Bits a second.
    pub bits_per_second: f64,
    /// TCP segments that the sender sent again.
    pub retransmits: u64,
}

impl Iperf {
    /// Runs TCP from `client` to `server` for some seconds, with more options (`-R`, `-P 4`, ...).
    #[track_caller]
    pub fn run(client: &Namespace, server: &Host, seconds: u32, options: &str) -> Iperf {
        let listening: Process = server.spawn("iperf3 -s -1 --forceflush");
        listening.wrote("Server listening");
        let command = format!("iperf3 -c {} -t {seconds} -J {options}", server.address);
        let report: Value = serde_json::from_str(&client.run(&command).ok()).expect("iperf3's report");
        let end = &report["end"];
        Iperf {
            bits_per_second: end["sum_received"]["bits_per_second"].as_f64().unwrap_or(0.0),
            retransmits: end["sum_sent"]["retransmits"].as_u64().unwrap_or(0),
        }
    }
}

/// Numbered UDP datagrams from one host to another, at a steady rate until it is finished.
pub struct UdpStream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
    receiver: JoinHandle<BTreeSet<u64>>,
}

impl UdpStream {
    const END: u64 = u64::MAX;

    /// Starts it: this many datagrams a second.
    pub fn start(from: &Namespace, to: &Host, rate: u32) -> UdpStream {
        let receiver = to.enter(|| UdpSocket::bind((any(&to.address), 7000))).expect("port 7000");
        // The usual buffer is full after 140 ms in which a busy machine doesn't let the receiver run.
        wire::set(&receiver, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 64 << 20);
        let sender = from.enter(|| UdpSocket::bind((any(&to.address), 0))).expect("a port");
        sender.connect((to.address.as_str(), 7000)).expect("connect");
        receiver.set_read_timeout(Some(Duration::from_secs(3))).expect("a timeout");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        // What is left on its way of an earlier stream is none of this one's.
        static STREAMS: AtomicU64 = AtomicU64::new(0);
        let stream = STREAMS.fetch_add(1, Ordering::Relaxed);
        let sender = std::thread::spawn(move || send_numbers(&sender, stream, rate, &stopped));
        let receiver = std::thread::spawn(move || receive_numbers(&receiver, stream));
        UdpStream { stop, sender, receiver }
    }

    /// Stops it; returns how many were sent and which of them never came.
    pub fn finish(self) -> (u64, Vec<u64>) {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().expect("the sender");
        let received = self.receiver.join().expect("the receiver");
        (sent, (0..sent).filter(|number| !received.contains(number)).collect())
    }
}

fn send_numbers(socket: &UdpSocket, stream: u64, rate: u32, stop: &AtomicBool) -> u64 {
    let (begin, mut sent) = (Instant::now(), 0_u64);
    let datagram = |number: u64| [stream.to_be_bytes(), number.to_be_bytes()].concat();
    while !stop.load(Ordering::Relaxed) {
        // A refused datagram (an ICMP error that came back) counts as sent, and so as missing.
        let _ = socket.send(&datagram(sent));
        sent += 1;
        let due = begin + Duration::from_secs_f64(sent as f64 / f64::from(rate));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    for _ in 0..5 {
        let _ = socket.send(&datagram(UdpStream::END));
    }
    sent
}

fn receive_numbers(socket: &UdpSocket, stream: u64) -> BTreeSet<u64> {
    let (mut numbers, mut datagram) = (BTreeSet::new(), [0; 16]);
    while socket.recv(&mut datagram).is_ok() {
        let [of, number] = [0, 8].map(|at| u64::from_be_bytes(std::array::from_fn(|byte| datagram[at + byte])));
        match number {
            _ if of != stream => {}
            UdpStream::END => break,
            number => drop(numbers.insert(number)),
        }
    }
    numbers
}
