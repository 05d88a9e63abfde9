//! The example of containers, end to end: its script attaches and detaches them by taps and memifs, with traffic, and while others come
//! and go. Containers are network namespaces, as engines make them.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use harness::testpmd::Setup;
use harness::{
    Host, HttpServer, Lab, Namespace, Output, PATIENCE, Process, Router, SIGKILL, UdpStream, eventually, program,
    within,
};
use std::path::PathBuf;

/// The machine: its router, without an interface at first.
struct Machine {
    router: Router,
    lab: Lab,
}

fn example(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/containers").join(file)
}

fn text(file: &str) -> String {
    std::fs::read_to_string(example(file)).expect("a file of the example")
}

impl Machine {
    fn start() -> Machine {
        let lab = Lab::new();
        let router = lab.start(&text("router.yaml"));
        Machine { router, lab }
    }

    /// `attach.sh` with these words, as an orchestrator would call it.
    fn attach(&self, words: &str) -> Output {
        let mut command = self.lab.router.command("timeout 30");
        command.arg(example("attach.sh")).args(words.split_whitespace());
        let programs = program("millctl").parent().expect("its folder").display().to_string();
        command.env("PATH", format!("{programs}:{}", std::env::var("PATH").expect("PATH")));
        command.env("MILLRACE_SOCKET", self.router.socket()).env("MILLRACE_MEMIF_DIR", self.memif_dir());
        Output::of(&mut command)
    }

    fn memif_dir(&self) -> PathBuf {
        self.router.files().file("memif")
    }

    /// The socket of a container's memif.
    fn socket(&self, container: &Namespace) -> PathBuf {
        self.memif_dir().join(format!("{}-eth0.sock", container.name()))
    }

    /// A container with a tap, known by its address.
    #[track_caller]
    fn tap(&self, role: &str, subnet: u8) -> Host {
        let (router, address) = (format!("10.{subnet}.0.1/24"), format!("10.{subnet}.0.2/24"));
        let host = Host::unplugged(role, &address);
        self.attach(&format!("ADD {} eth0 tap {router} {address}", host.name())).ok();
        host
    }

    /// A container with a memif, at which a Millrace of its own makes a network card of it.
    #[track_caller]
    fn memif(&self, role: &str, subnet: u8) -> (Host, Process) {
        let (router, address) = (format!("10.{subnet}.0.1"), format!("10.{subnet}.0.2/24"));
        let host = Host::unplugged(role, &address);
        let answer = self.attach(&format!("ADD {} eth0 memif {router}/24 {address}", host.name())).ok();
        assert!(answer.contains(&self.socket(&host).display().to_string()), "{answer}");
        let client = self.client(&host);
        host.configure(&address, &router);
        (host, client)
    }

    /// Starts the Millrace of a container with a memif, and waits for its network card.
    #[track_caller]
    fn client(&self, host: &Host) -> Process {
        let config = text("memif-client.yaml").replace("SOCKET", &self.socket(host).display().to_string());
        let file = self.lab.files.write(&format!("{}.yaml", host.name()), config);
        let mut command = host.command("");
        command.arg(program("millrace")).arg("--config").arg(file);
        command.arg("--socket").arg(self.lab.files.file(&format!("{}.sock", host.name())));
        command.env("XDG_STATE_HOME", &*self.lab.files);
        let client = Process::spawn(&mut command);
        let card = within(PATIENCE, || (host.run("ip link show eth0").code == 0).then_some(()));
        assert!(card.is_some(), "the container has no network card:\n{}", client.stderr());
        client
    }

    #[track_caller]
    fn link_is(&self, container: &Namespace, link: &str) {
        let name = format!("{}-eth0", container.name());
        let is = || (self.router.interface(&name)?["link"] == link).then_some(());
        eventually(&format!("{name} is {link}"), is);
    }

    /// The names of the router's interfaces.
    fn interfaces(&self) -> Vec<String> {
        let names = self.router.list("show interfaces").into_iter();
        names.filter_map(|row| Some(row["name"].as_str()?.to_owned())).collect()
    }

    /// Detaches them.
    #[track_caller]
    fn detach(&self, containers: &[&Host]) {
        for container in containers {
            self.attach(&format!("DEL {} eth0", container.name())).ok();
        }
        assert_eq!(self.interfaces(), [""; 0]);
        // The interfaces' counters have gone with them.
        self.router.rebase();
    }
}

#[test]
fn a_tap_and_a_memif_reach_each_other() {
    let machine = Machine::start();
    let web = machine.tap("web", 1);
    let (app, mut client) = machine.memif("app", 2);
    machine.link_is(&app, "up");
    app.ping(&web.address);
    web.ping(&app.address);
    HttpServer::start(&web, 4 << 20).fetch(&app);
    HttpServer::start(&app, 4 << 20).fetch(&web);
    for container in [&web, &app] {
        machine.attach(&format!("CHECK {} eth0", container.name())).ok();
    }
    // The container's program is killed, and started again: nobody has to attach anything.
    client.signal(SIGKILL);
    client.wait();
    machine.link_is(&app, "down");
    machine.attach(&format!("CHECK {} eth0", app.name())).code(1);
    client = machine.client(&app);
    app.configure("10.2.0.2/24", "10.2.0.1");
    machine.link_is(&app, "up");
    app.ping(&web.address);
    drop(client);
    machine.detach(&[&web, &app]);
    assert!(!machine.socket(&app).exists(), "a socket is left");
}

#[test]
fn others_come_and_go_without_a_loss() {
    let machine = Machine::start();
    let (one, two) = (machine.tap("one", 1), machine.tap("two", 2));
    one.ping(&two.address);
    let stream = UdpStream::start(&one, &two, 2000);
    let guest = Host::unplugged("guest", "10.3.0.2/24");
    for _ in 0..5 {
        for kind in ["tap", "memif"] {
            machine.attach(&format!("ADD {} eth0 {kind} 10.3.0.1/24 10.3.0.2/24", guest.name())).ok();
            if kind == "tap" {
                guest.ping(&two.address);
            }
            machine.attach(&format!("DEL {} eth0", guest.name())).ok();
        }
    }
    let (sent, missing) = stream.finish();
    assert!(sent > 1000 && missing.is_empty(), "{} of {sent} missing", missing.len());
    machine.detach(&[&one, &two]);
}

#[test]
fn a_killed_container_is_attached_again() {
    let machine = Machine::start();
    let web = machine.tap("web", 1);
    let name = {
        let killed = machine.tap("killed", 2);
        killed.ping(&web.address);
        killed.name().to_owned()
    };
    // Its network is gone, and its card with it.
    let again = Process::spawn(&mut web.command("sleep 60"));
    let by_path = format!("/proc/{}/ns/net", again.pid());
    let gone = || (machine.attach(&format!("CHECK {name} eth0")).code == 1).then_some(());
    eventually("the card of the killed container is gone", gone);
    machine.attach(&format!("ADD {name} eth0 tap 10.2.0.1/24 10.2.0.2/24")).code(1);
    machine.attach(&format!("DEL {name} eth0")).ok();
    assert_eq!(machine.interfaces(), [format!("{}-eth0", web.name())]);
    // A second card, in a container that is named as engines do.
    machine.attach(&format!("ADD {by_path} eth1 tap 10.2.0.1/24 10.2.0.2/24")).ok();
    assert!(web.run("ip -o address show dev eth1").ok().contains("10.2.0.2/24"));
    machine.attach(&format!("DEL {by_path} eth1")).ok();
    web.ping("10.1.0.1");
    machine.detach(&[&web]);
}

#[test]
fn what_is_done_twice_and_what_is_wrong() {
    let machine = Machine::start();
    let web = machine.tap("web", 1);
    let add = |address: &str| format!("ADD {} eth0 tap 10.1.0.1/24 {address}", web.name());
    let first = machine.attach(&add("10.1.0.2/24")).ok();
    assert_eq!(machine.attach(&add("10.1.0.2/24")).ok(), first, "the answer is the same again");
    for (words, code, reason) in [
        (add("10.1.0.3/24"), 1, "DEL it first"),
        (format!("ADD {} eth0 memif 10.1.0.1/24 10.1.0.2/24", web.name()), 1, "DEL it first"),
        (format!("ADD {} lo tap 10.9.0.1/24 10.9.0.2/24", web.name()), 1, "not Millrace's"),
        (format!("ADD {} eth1 tap 10.1.0.1/24 10.1.0.3/24", web.name()), 1, "refuses the tap"),
        (format!("ADD {} eth1 tap 10.9.0.1/24 10.9.0.2/24x", web.name()), 1, "can't be the address"),
        (format!("ADD {} eth1 vhost 10.9.0.1/24 10.9.0.2/24", web.name()), 2, "tap or memif"),
        ("ADD nowhere eth0 tap 10.9.0.1/24 10.9.0.2/24".to_owned(), 1, "no container nowhere"),
        ("DEL".to_owned(), 2, "Usage"),
        ("CHECK nowhere eth0".to_owned(), 1, "no interface"),
    ] {
        let output = machine.attach(&words).code(code);
        assert!(output.stderr.contains(reason), "{words}: {}", output.stderr);
        assert_eq!(machine.interfaces(), [format!("{}-eth0", web.name())], "{words} leaves something behind");
    }
    web.ping("10.1.0.1");
    machine.detach(&[&web]);
    machine.attach(&format!("DEL {} eth0", web.name())).ok();
    assert_eq!(web.run("ip link show eth0").code, 1, "the card has gone");
    // Nothing of its own is in the router's namespace.
    assert_eq!(machine.lab.router.ip("-br link").lines().count(), 1);
}

#[test]
fn a_dpdk_program_answers_by_memif() {
    let machine = Machine::start();
    let web = machine.tap("web", 1);
    let app = Host::unplugged("dpdk", "10.2.0.2/24");
    machine.attach(&format!("ADD {} eth0 memif 10.2.0.1/24 10.2.0.2/24", app.name())).ok();
    let socket = machine.socket(&app).display().to_string();
    let device = format!("net_memif0,role=client,id=0,socket={socket},socket-abstract=no");
    let mut testpmd = Setup::device(&device).within(&app).start();
    testpmd.forward("icmpecho");
    machine.link_is(&app, "up");
    web.ping(&app.address);
    // Its container is killed while others talk, and comes back.
    let other = machine.tap("other", 3);
    let stream = UdpStream::start(&web, &other, 1000);
    testpmd.crash();
    machine.link_is(&app, "down");
    testpmd.start_again();
    testpmd.forward("icmpecho");
    machine.link_is(&app, "up");
    web.ping(&app.address);
    let (sent, missing) = stream.finish();
    assert!(sent > 100 && missing.is_empty(), "{} of {sent} missing", missing.len());
    drop(testpmd);
    machine.detach(&[&web, &other, &app]);
}
