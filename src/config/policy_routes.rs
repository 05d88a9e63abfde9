//! `policy-routes`: in which VRF packets are looked up, by their source and by the interface that they come by. The first rule that
//! matches wins; packets to the router itself and those that none matches stay in the VRF of their interface.
//!
//! ```yaml
//! policy-routes:
//!   - {source: 10.1.0.0/16, vrf: blue}
//!   - {source: "2001:db8:1::/48", interface: lan, vrf: blue}
//!   - {interface: guests, vrf: red}                 # both families
//! ```

use crate::{
    Config,
    decode::Fields,
    diagnostic::{Reader, Spot},
    edit::EditError,
    name::Name,
    op::Change,
    validate::Check,
    yaml::Node,
};
use ipnet::IpNet;
use std::fmt;

/// Which packets a rule is about: those from `source`, those by `interface`, or those of which both holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyMatch {
    /// The prefix of their sources; without one, all of both families.
    pub source: Option<IpNet>,
    /// The interface that they come by; without one, any.
    pub interface: Option<Name>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRoute {
    /// Which packets.
    pub packets: PolicyMatch,
    /// The VRF that they are looked up in.
    pub vrf: Name,
}

impl PolicyRoute {
    /// The most rules there can be.
    pub const MAX: usize = 256;
}

impl fmt::Display for PolicyMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.source, &self.interface) {
            (Some(source), Some(interface)) => write!(f, "source {source} interface {interface}"),
            (Some(source), None) => write!(f, "source {source}"),
            (None, Some(interface)) => write!(f, "interface {interface}"),
            (None, None) => f.write_str("without source and interface"),
        }
    }
}

impl fmt::Display for PolicyRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} vrf {}", self.packets, self.vrf)
    }
}

/// The `policy-routes` of a file.
pub(crate) fn decode(node: &Node, config: &mut Config, reader: &mut Reader) {
    for item in node.items() {
        let Some(mut fields) = Fields::open(item, "policy-route", "a policy route", reader) else { continue };
        let errors = reader.count();
        let packets =
            PolicyMatch { source: fields.scalar("source", reader), interface: fields.scalar("interface", reader) };
        if reader.count() == errors && packets != PolicyMatch::default() {
            fields.rename(format_args!("policy-route {packets}"));
        }
        let vrf = fields.required("vrf", reader);
        let places = ["source", "interface", "vrf"].map(|key| (key, fields.at(key)));
        fields.close(reader);
        // A rule of which something can't be read is left out, and with it what would be wrong about the rest.
        if let Some(vrf) = vrf.filter(|_| reader.count() == errors) {
            for (key, at) in places {
                reader.place(Spot::new("policy-routes", config.policy_routes.len()).key(key), at);
            }
            config.policy_routes.push(PolicyRoute { packets, vrf });
        }
    }
}

/// The `policy-routes` of a file.
pub(crate) fn encode(config: &Config) -> Node {
    Node::list(config.policy_routes.iter().map(|rule| {
        let PolicyMatch { source, interface } = &rule.packets;
        let node = source.iter().fold(Node::map(), |node, source| node.with("source", Node::text(source)));
        let node = interface.iter().fold(node, |node, interface| node.with("interface", Node::text(interface)));
        node.with("vrf", Node::text(&rule.vrf))
    }))
}

pub(crate) fn check(check: &mut Check<'_>) {
    let rules = &check.config.policy_routes;
    if rules.len() > PolicyRoute::MAX {
        let spot = Spot::new("policy-routes", PolicyRoute::MAX).key("source");
        check.problem(
            spot,
            format!("policy-routes: {} rules", rules.len()),
            format!("expected at most {}", PolicyRoute::MAX),
        );
    }
    for (at, rule) in rules.iter().enumerate().take(PolicyRoute::MAX) {
        let spot = |key| Spot::new("policy-routes", at).key(key);
        let what = format!("policy-route {}", rule.packets);
        if rule.packets == PolicyMatch::default() {
            check.problem(
                spot("source"),
                "policy-route: neither `source` nor `interface`",
                "expected one of them, or both",
            );
        }
        if let Some(source) = rule.packets.source.filter(|source| *source != source.trunc()) {
            let hint = format!("expected {}", source.trunc());
            check.problem(spot("source"), format!("{what}: bits are set behind the prefix length"), hint);
        }
        if rules[..at].iter().any(|other| other.packets == rule.packets) {
            check.problem(spot("source"), format!("{what}: stands here twice"), "the first one wins: remove the other");
        }
        if let Some(interface) = &rule.packets.interface {
            check.interface(spot("interface"), &what, interface);
        }
        check.vrf(spot("vrf"), &what, &rule.vrf);
    }
}

/// Puts a rule before the one in place `at`, from 1; without one behind all others.
pub(crate) fn add(config: &mut Config, rule: PolicyRoute, at: Option<usize>) -> Result<(), EditError> {
    let rules = &mut config.policy_routes;
    if let Some(other) = rules.iter().find(|other| other.packets == rule.packets) {
        let message = format!("policy-route {other} is there already; use `policy-route remove` first");
        return Err(EditError::Exists(message));
    }
    let at = at.map_or(rules.len(), |at| at.saturating_sub(1).min(rules.len()));
    rules.insert(at, rule);
    Ok(())
}

/// Takes a rule out.
pub(crate) fn remove(config: &mut Config, packets: &PolicyMatch) -> Result<(), EditError> {
    let rules = &mut config.policy_routes;
    let Some(at) = rules.iter().position(|rule| rule.packets == *packets) else {
        let hint = "`show policy-routes` lists them";
        return Err(EditError::NotFound(format!("there is no policy-route {packets}; {hint}")));
    };
    rules.remove(at);
    Ok(())
}

/// How a change reads: rules that go, rules that come, or that only their order changes; without an end after the last line.
pub(crate) fn changed(change: &Change<Vec<PolicyRoute>>) -> String {
    let Change { from, to } = change;
    let gone = from.iter().filter(|rule| !to.contains(rule)).map(|rule| format!("- policy-route {rule}"));
    let new = to.iter().filter(|rule| !from.contains(rule)).map(|rule| format!("+ policy-route {rule}"));
    let lines: Vec<String> = gone.chain(new).collect();
    if lines.is_empty() { "~ policy-routes: another order".to_owned() } else { lines.join("\n") }
}
