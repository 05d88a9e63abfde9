//! `lldp`: what the router tells its neighbours about itself, and hears of them (IEEE 802.1AB).

use crate::{
    Config, Driver,
    decode::{Fields, Scalar, Unreadable},
    diagnostic::{Reader, Spot},
    edit::{EditError, unreadable, with_keys},
    name::Name,
    units::Time,
    validate::Check,
    yaml::{Node, Value},
};
use std::{fmt, ops::RangeInclusive};

/// What is told and heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lldp {
    /// Whether anything is told and heard. Default false.
    pub enabled: bool,
    /// The interfaces where; none, the default: all that have a wire.
    pub interfaces: Option<Vec<Name>>,
    /// How often it is told, in whole seconds: one of [`Lldp::INTERVALS`]. Default 30 s.
    pub interval: Time,
    /// For how many intervals others remember it; 2 to 10. Default 4.
    pub hold: u8,
    /// The name that is told; none: that of the host. 1 to [`Lldp::MAX_TEXT`] bytes.
    pub system_name: Option<String>,
    /// The description that is told; none: program and version. 1 to [`Lldp::MAX_TEXT`] bytes.
    pub system_description: Option<String>,
}

impl Default for Lldp {
    fn default() -> Self {
        Self {
            enabled: false,
            interfaces: None,
            interval: Self::INTERVAL,
            hold: Self::HOLD,
            system_name: None,
            system_description: None,
        }
    }
}

impl Lldp {
    /// How often it is told by default (IEEE 802.1AB-2016 clause 9.2.5.7).
    pub const INTERVAL: Time = Time::seconds(30);
    /// How often it can be told (same clause).
    pub const INTERVALS: RangeInclusive<Time> = Time::seconds(1)..=Time::seconds(3600);
    /// For how many intervals others remember it by default (IEEE 802.1AB-2016 clause 9.2.5.6).
    pub const HOLD: u8 = 4;
    /// For how many intervals others can remember it.
    pub const HOLDS: RangeInclusive<u8> = 2..=10;
    /// The longest name and description (IEEE 802.1AB-2016 clauses 8.5.6 and 8.5.7).
    pub const MAX_TEXT: usize = 255;
}

impl fmt::Display for Lldp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.enabled {
            return f.write_str("off");
        }
        match &self.interfaces {
            None => f.write_str("interfaces all")?,
            Some(names) => {
                let names: Vec<&str> = names.iter().map(Name::as_str).collect();
                write!(f, "interfaces {}", names.join(","))?;
            }
        }
        write!(f, " interval {} hold {}", self.interval, self.hold)?;
        for (key, text) in [("system-name", &self.system_name), ("system-description", &self.system_description)] {
            if let Some(text) = text {
                write!(f, " {key} \"{text}\"")?;
            }
        }
        Ok(())
    }
}

impl Lldp {
    pub(crate) fn decode(node: &Node, reader: &mut Reader) -> Self {
        let mut lldp = Self::default();
        let Some(mut fields) = Fields::open(node, "lldp", "lldp", reader) else { return lldp };
        lldp.enabled = fields.scalar("enabled", reader).unwrap_or(lldp.enabled);
        let all =
            fields.entry("interfaces").is_some_and(|entry| matches!(&entry.value.value, Value::Text(t) if t == "all"));
        if !all && let Some(names) = fields.list("interfaces", reader, Name::read) {
            for (i, (_, at)) in names.iter().enumerate() {
                reader.place(spot().value(i), *at);
            }
            lldp.interfaces = Some(names.into_iter().map(|(name, _)| name).collect());
        }
        lldp.interval = fields.read("interval", reader, interval).unwrap_or(lldp.interval);
        lldp.hold = fields.number("hold", Self::HOLDS, reader).unwrap_or(lldp.hold);
        lldp.system_name = fields.read("system-name", reader, text);
        lldp.system_description = fields.read("system-description", reader, text);
        fields.close(reader);
        lldp
    }

    pub(crate) fn encode(&self) -> Node {
        let mut node = Node::map().with_unless(&false, "enabled", &self.enabled);
        if let Some(names) = &self.interfaces {
            node = node.with("interfaces", Node::list(names.iter().map(Node::text)));
        }
        node =
            node.with_unless(&Self::INTERVAL, "interval", &self.interval).with_unless(&Self::HOLD, "hold", &self.hold);
        for (key, text) in [("system-name", &self.system_name), ("system-description", &self.system_description)] {
            if let Some(text) = text {
                node = node.with(key, Node::text(text));
            }
        }
        node
    }
}

/// `lldp set KEY VALUE...`.
pub(crate) fn set(config: &mut Config, settings: &[(String, String)]) -> Result<(), EditError> {
    let mut reader = Reader::default();
    let node = with_keys("lldp", &config.lldp.encode(), settings, &mut reader);
    let lldp = Lldp::decode(&node, &mut reader);
    unreadable(reader)?;
    config.lldp = lldp;
    Ok(())
}

pub(crate) fn check(check: &mut Check<'_>) {
    let config = check.config;
    let names = config.lldp.interfaces.as_deref().unwrap_or_default();
    for (i, name) in names.iter().enumerate() {
        let spot = || spot().value(i);
        if names[..i].contains(name) {
            check.problem(spot(), format!("lldp: interfaces: {name} stands here twice"), "keep one of them");
        } else if check.interface(spot(), "lldp: interfaces", name)
            && !check.partial.contains(name)
            && let Some(interface) = config.interfaces.get(name).filter(|interface| !interface.driver.has_wire())
        {
            let message = format!("lldp: interfaces: {name} has no wire of its own ({})", interface.driver);
            let hint = match &interface.driver {
                Driver::Bond(bond) => {
                    let members: Vec<&str> = bond.members.iter().map(Name::as_str).collect();
                    format!("expected its members: {}", members.join(", "))
                }
                Driver::Vlan(vlan) => format!("expected {}", vlan.parent),
                _ => "expected an interface with a device".to_owned(),
            };
            check.problem(spot(), message, hint);
        }
    }
}

fn spot() -> Spot {
    Spot::new("lldp", "interfaces")
}

fn interval(text: &str) -> Result<Time, Unreadable> {
    let interval = Time::read(text).ok().filter(|time| time.0.subsec_nanos() == 0 && Lldp::INTERVALS.contains(time));
    interval.ok_or_else(|| Unreadable::wanted("a time of whole seconds from 1s to 3600s"))
}

fn text(text: &str) -> Result<String, Unreadable> {
    let right = (1..=Lldp::MAX_TEXT).contains(&text.len()) && !text.contains('\0');
    right
        .then(|| text.to_owned())
        .ok_or_else(|| Unreadable::wanted(format_args!("a text of 1 to {} bytes", Lldp::MAX_TEXT)))
}
