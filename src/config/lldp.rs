//! `lldp`: what the router tells its neighbours about itself, and hears of them (IEEE 802.1AB).

use crate::{name::Name, units::Time};
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
