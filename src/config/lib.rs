//! The typed configuration: everything that an operator can set, and nothing else. Pure: no input, no output, no clock.
//!
//! ```text
//! file ── parse ──> Config <── edit ── command          (each refuses with all that is wrong)
//!                     │
//! running Config ── plan ──> ordered steps, each with its inverse
//! ```
//!
//! [`parse`] reads a file and reports every error at once, each with line and column. [`edit()`] makes the next configuration of one
//! and a command. Both check the same rules. [`plan()`] says how to get from the running configuration to the wanted one.
//!
//! **A feature has one file here**, of the same name as everywhere else: its part of [`Config`], and how that is decoded, encoded
//! and checked. To add one: write the file; give it a field in [`Config`], a line each in `decode` and [`Config::to_yaml`] below and
//! in `validate::check`; add its steps to [`Op`] and to `plan.rs`, its commands to [`Edit`]; take its line out of `later.rs`, which
//! says what this version doesn't have; and put good and bad files into `tests/config`.
//!
//! ```
//! use millrace_config::{parse, plan, Config};
//!
//! let wanted = parse("interfaces: {lan: {driver: tap, device: mr-lan, addresses: [192.168.1.1/24]}}", "router.yaml")?;
//! let plan = plan(&Config::default(), &wanted);
//! assert_eq!(plan.to_string(), "+ interface lan: tap mr-lan\n+ address 192.168.1.1/24 interface lan\n");
//!
//! let errors = parse("interfaces: {lan: {driver: tap, device: mr-lan, mut: 1500}}", "router.yaml").unwrap_err();
//! assert_eq!(errors[0].to_string(), "router.yaml:1:49: interface lan: mut: unknown key; did you mean `mtu`?");
//! # Ok::<(), Vec<millrace_config::Diagnostic>>(())
//! ```
#![forbid(unsafe_code)]

mod addresses;
mod af_xdp;
mod api;
mod bond;
mod bridges;
mod buffers;
mod cross_connect;
mod decode;
mod describe;
mod diagnostic;
mod dpdk;
mod driver;
mod edit;
pub mod generator;
mod interfaces;
mod keyword;
mod later;
mod lldp;
mod mac;
mod memif;
mod mirrors;
mod mss_clamp;
mod name;
mod nat44;
mod neighbors;
mod op;
mod pcap;
mod plan;
mod policy_routes;
mod ports;
mod ranges;
mod router_advertisements;
mod routes;
mod socket;
mod tunnels;
mod units;
mod urpf;
mod uses;
mod validate;
mod vhost_user;
mod vlan;
mod vrfs;
mod vxlan;
mod workers;
mod yaml;

pub use addresses::never_routed;
pub use af_xdp::{AfXdp, XdpMode, ZeroCopy};
pub use api::Api;
pub use bond::{Bond, BondHash, BondMode, LacpRate};
pub use bridges::{Bridge, Station, StationKey, Stp};
pub use buffers::{Buffers, HugePages};
pub use decode::{Scalar, Unreadable};
pub use diagnostic::{Diagnostic, Problem};
pub use dpdk::{Dpdk, Eal};
pub use driver::{AfPacket, Driver, Tap};
pub use edit::{Edit, EditError, InterfaceSetting, edit};
pub use generator::Generator;
pub use interfaces::{Interface, State};
pub use lldp::Lldp;
pub use mac::Mac;
pub use memif::{Memif, Secret};
pub use mirrors::{Mirror, MirrorDirection, MirrorTarget};
pub use mss_clamp::MssClamp;
pub use name::{DEFAULT_VRF, Name};
pub use nat44::{
    Affinity, Backend, Exempt, External, ExternalAddress, Filtering, Mapping, MappingKey, Nat44, Nat44Edit, NatLog,
    NatProtocol, Pool, PoolItem, Side, Timeouts,
};
pub use neighbors::NeighborKey;
pub use op::{Address, Change, Op, Setting};
pub use pcap::Pcap;
pub use plan::{Plan, plan};
pub use policy_routes::{PolicyMatch, PolicyRoute};
pub use ports::{Member, StormControl, TagRewrite, Tagging, Trunk, UnknownUnicast, Vlans};
pub use ranges::{AddressRange, IpRange, PortRange};
pub use router_advertisements::{AdvertisedPrefix, DomainName, Lifetime, Preference, RouterAdvertisements};
pub use routes::{NextHop, Route, RouteKey};
pub use socket::{Role, Socket};
pub use tunnels::{Df, Ends, Gre, Ipip, Tos};
pub use units::{ByteSize, Rate, Repeat, Time};
pub use urpf::Urpf;
pub use vhost_user::VhostUser;
pub use vlan::{TagType, Vlan};
pub use vrfs::Vrf;
pub use vxlan::{UdpChecksum, Vxlan};
pub use workers::{WorkerMode, Workers};

use decode::Fields;
use diagnostic::Reader;
use std::collections::{BTreeMap, BTreeSet};
use yaml::Node;

/// Reads and checks a configuration. `file` is what errors call the text.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file: an error of syntax alone, since nothing behind it can be trusted;
/// otherwise each unknown key, each value that can't be taken and each broken rule.
pub fn parse(text: &str, file: &str) -> Result<Config, Vec<Diagnostic>> {
    let mut reader = Reader::new(file);
    let Some(root) = yaml::read(text, &mut reader) else { return Err(reader.finish()) };
    let (config, partial) = decode(&root, &mut reader);
    for problem in validate::check(&config, &partial) {
        reader.problem(problem);
    }
    if reader.count() == 0 { Ok(config) } else { Err(reader.finish()) }
}

/// What a file says, with defaults where it says nothing or can't be read; and the interfaces of which something is missing.
fn decode(root: &Node, reader: &mut Reader) -> (Config, BTreeSet<Name>) {
    let (mut config, mut partial) = (Config::default(), BTreeSet::new());
    if let Some(mut top) = Fields::open(root, "", later::TOP, reader) {
        top.section("workers", |node| config.workers = Workers::decode(node, reader));
        top.section("buffers", |node| config.buffers = Buffers::decode(node, reader));
        top.section("dpdk", |node| config.dpdk = Eal::decode(node, reader));
        top.section("interfaces", |node| interfaces::decode(node, &mut config, &mut partial, reader));
        top.section("bridges", |node| bridges::decode(node, &mut config, &mut partial, reader));
        top.section("vrfs", |node| vrfs::decode(node, &mut config, reader));
        top.section("routes", |node| routes::decode(node, &mut config, reader));
        top.section("policy-routes", |node| policy_routes::decode(node, &mut config, reader));
        top.section("neighbors", |node| neighbors::decode(node, &mut config, reader));
        top.section("nat44", |node| config.nat44.decode(node, reader));
        top.section("mirrors", |node| mirrors::decode(node, &mut config, reader));
        top.section("lldp", |node| config.lldp = Lldp::decode(node, reader));
        top.section("api", |node| config.api = Api::decode(node, reader));
        top.close(reader);
    }
    (config, partial)
}

/// The whole configuration, every default filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The polling threads.
    pub workers: Workers,
    /// The packet buffers.
    pub buffers: Buffers,
    /// How DPDK is started, if an interface uses it.
    pub dpdk: Eal,
    /// The interfaces by name, sub-interfaces (`parent.vlan`) and those of bridges (`bvi`) among them; a parent sorts before its
    /// sub-interfaces.
    pub interfaces: BTreeMap<Name, Interface>,
    /// The bridges by name.
    pub bridges: BTreeMap<Name, Bridge>,
    /// The VRFs by name, without `default`, which always exists.
    pub vrfs: BTreeMap<Name, Vrf>,
    /// The static routes.
    pub routes: BTreeMap<RouteKey, Route>,
    /// In which VRF packets are looked up, where it isn't that of their interface; the first that matches wins.
    pub policy_routes: Vec<PolicyRoute>,
    /// The static neighbours and their Ethernet addresses.
    pub neighbors: BTreeMap<NeighborKey, Mac>,
    /// The translation of addresses; off by default.
    pub nat44: Nat44,
    /// Copies of what interfaces receive and send.
    pub mirrors: BTreeMap<Name, Mirror>,
    /// What neighbours at layer 2 are told and heard; off by default.
    pub lldp: Lldp,
    /// The API of the daemon.
    pub api: Api,
}

impl Config {
    /// The rules that it breaks; none for what [`parse`] and [`edit`] give.
    pub fn problems(&self) -> Vec<Problem> {
        validate::check(self, &BTreeSet::new())
    }

    /// The configuration as a file in canonical form: sorted, without what is as by default. [`parse`] makes the same of it again.
    pub fn to_yaml(&self) -> String {
        let sections = [
            ("workers", self.workers.encode()),
            ("buffers", self.buffers.encode()),
            ("dpdk", self.dpdk.encode()),
            ("interfaces", interfaces::encode(self)),
            ("bridges", bridges::encode(self)),
            ("vrfs", vrfs::encode(self)),
            ("routes", routes::encode(self)),
            ("policy-routes", policy_routes::encode(self)),
            ("neighbors", neighbors::encode(self)),
            ("nat44", self.nat44.encode()),
            ("mirrors", mirrors::encode(self)),
            ("lldp", self.lldp.encode()),
            ("api", self.api.encode()),
        ];
        let said = sections.into_iter().filter(|(_, node)| !node.is_empty());
        yaml::write(&said.fold(Node::map(), |file, (section, node)| file.with(section, node)))
    }

    /// Whether a VRF of this name exists; `default` always does.
    pub fn has_vrf(&self, name: &str) -> bool {
        name == DEFAULT_VRF || self.vrfs.contains_key(name)
    }

    /// The sub-interfaces of an interface, by name.
    pub fn sub_interfaces<'a>(&'a self, parent: &'a str) -> impl Iterator<Item = (&'a Name, &'a Interface)> {
        self.interfaces.iter().filter(move |(_, interface)| interface.parent().is_some_and(|p| p == parent))
    }
}
