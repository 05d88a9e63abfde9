//! From the API's edits of address translation to those of the configuration.

use super::{unquoted, word};
use ipnet::Ipv4Net;
use millrace_api::v1::nat44_edit::Edit as Asked;
use millrace_api::v1::{self, Nat44Exempt, Nat44MappingAdd, Nat44MappingRemove, Nat44Server};
use millrace_config::{Affinity, Backend, Exempt, Mapping, MappingKey, Name, Nat44Edit, Side};
use tonic::Status;

/// The edits that a request asks for, in order.
///
/// # Errors
/// Something in it can't be read.
pub fn read(asked: v1::Nat44Edit) -> Result<Vec<Nat44Edit>, Status> {
    let Some(asked) = asked.edit else { return Err(Status::invalid_argument("no edit of nat44 is named")) };
    let interface = |name: &str| word::<Name>("interface", name);
    Ok(vec![match asked {
        Asked::InsideAdd(name) => Nat44Edit::InterfaceAdd { side: Side::Inside, name: interface(&name)? },
        Asked::InsideRemove(name) => Nat44Edit::InterfaceRemove { side: Side::Inside, name: interface(&name)? },
        Asked::OutsideAdd(name) => Nat44Edit::InterfaceAdd { side: Side::Outside, name: interface(&name)? },
        Asked::OutsideRemove(name) => Nat44Edit::InterfaceRemove { side: Side::Outside, name: interface(&name)? },
        Asked::PoolAdd(item) => Nat44Edit::PoolAdd(word("pool", &item)?),
        Asked::PoolRemove(item) => Nat44Edit::PoolRemove(word("pool", &item)?),
        Asked::TwiceNatPoolAdd(range) => Nat44Edit::TwiceNatAdd(word("twice-nat-pool", &range)?),
        Asked::TwiceNatPoolRemove(range) => Nat44Edit::TwiceNatRemove(word("twice-nat-pool", &range)?),
        Asked::MappingAdd(add) => mapping(&add)?,
        Asked::MappingRemove(Nat44MappingRemove { protocol, external }) => {
            Nat44Edit::MappingRemove(key(protocol.as_deref(), &external)?)
        }
        Asked::ExemptAdd(pair) => Nat44Edit::ExemptAdd(exempt(&pair)?),
        Asked::ExemptRemove(pair) => Nat44Edit::ExemptRemove(exempt(&pair)?),
        Asked::Set(v1::Nat44Set { settings }) => {
            if settings.is_empty() {
                return Err(Status::invalid_argument("no setting is named"));
            }
            let set = |v1::Setting { key, value }| Nat44Edit::Set { key, value: unquoted(&value) };
            return Ok(settings.into_iter().map(set).collect());
        }
    }])
}

fn key(protocol: Option<&str>, external: &str) -> Result<MappingKey, Status> {
    let protocol = protocol.filter(|protocol| !protocol.is_empty());
    let protocol = protocol.map(|protocol| word("protocol", protocol)).transpose()?;
    Ok(MappingKey { protocol, external: word("external", external)? })
}

fn mapping(add: &Nat44MappingAdd) -> Result<Nat44Edit, Status> {
    let server = |server: &Nat44Server| {
        let too_much = |_| Status::invalid_argument(format!("weight {}: expected 1 to 255", server.weight));
        let weight = u8::try_from(server.weight.max(1)).map_err(too_much)?;
        Ok(Backend { weight, ..word("internal", &server.address)? })
    };
    let internal = add.internal.iter().map(server).collect::<Result<_, Status>>()?;
    let affinity = match add.affinity.as_str() {
        "" => Affinity::Client,
        text => word("affinity", text)?,
    };
    let vrf = add.vrf.as_deref().map_or_else(|| Ok(Name::default_vrf()), |vrf| word("vrf", vrf))?;
    let mapping = Mapping { affinity, twice_nat: add.twice_nat, vrf, ..Mapping::to(internal) };
    Ok(Nat44Edit::MappingAdd { key: key(add.protocol.as_deref(), &add.external)?, mapping })
}

fn exempt(pair: &Nat44Exempt) -> Result<Exempt, Status> {
    let net = |what, text: Option<&str>| text.map_or(Ok(Exempt::ANY), |text| word::<Ipv4Net>(what, text));
    Ok(Exempt {
        source: net("source", pair.source.as_deref())?,
        destination: net("destination", pair.destination.as_deref())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(edit: Asked) -> Result<Nat44Edit, Status> {
        read(v1::Nat44Edit { edit: Some(edit) }).map(|mut edits| edits.remove(0))
    }

    fn add(protocol: &str, external: &str, internal: &[(&str, u32)]) -> Nat44MappingAdd {
        let server = |(address, weight): &(&str, u32)| Nat44Server { address: (*address).to_owned(), weight: *weight };
        Nat44MappingAdd {
            protocol: Some(protocol.to_owned()),
            external: external.to_owned(),
            internal: internal.iter().map(server).collect(),
            ..Nat44MappingAdd::default()
        }
    }

    #[test]
    fn mappings_are_read() {
        let two = add("tcp", "wan:443", &[("192.168.1.11:443", 2), ("192.168.1.10:443", 0)]);
        let Ok(Nat44Edit::MappingAdd { key, mapping }) = asked(Asked::MappingAdd(two)) else { panic!("not read") };
        assert_eq!(format!("{key} {mapping}"), "tcp wan:443 to 192.168.1.10:443, 192.168.1.11:443 weight 2");
        let whole = Nat44MappingAdd { vrf: Some("blue".into()), ..add("", "203.0.113.3", &[("192.168.1.9", 1)]) };
        let Ok(Nat44Edit::MappingAdd { key, mapping }) = asked(Asked::MappingAdd(whole)) else { panic!("not read") };
        assert_eq!(format!("{key} {mapping}"), "203.0.113.3 to 192.168.1.9 vrf blue");
        for bad in [
            add("sctp", "wan:443", &[("192.168.1.11:443", 1)]),
            add("tcp", "203.0.113.300:443", &[("192.168.1.11:443", 1)]),
            add("tcp", "wan:443", &[("lan:443", 1)]),
            add("tcp", "wan:443", &[("192.168.1.11:443", 256)]),
            Nat44MappingAdd { affinity: "server".into(), ..add("tcp", "wan:443", &[("192.168.1.11:443", 1)]) },
        ] {
            let what = format!("{bad:?}");
            assert_eq!(asked(Asked::MappingAdd(bad)).unwrap_err().code(), tonic::Code::InvalidArgument, "{what}");
        }
    }

    #[test]
    fn everything_else_is_read() {
        let edit = asked(Asked::OutsideAdd("wan".into())).unwrap();
        assert_eq!(edit, Nat44Edit::InterfaceAdd { side: Side::Outside, name: "wan".parse().unwrap() });
        let edit = asked(Asked::PoolRemove("203.0.113.4-203.0.113.9".into())).unwrap();
        assert_eq!(edit, Nat44Edit::PoolRemove("203.0.113.4-203.0.113.9".parse().unwrap()));
        let pair = Nat44Exempt { source: None, destination: Some("10.0.0.0/8".into()) };
        let Ok(Nat44Edit::ExemptAdd(pair)) = asked(Asked::ExemptAdd(pair)) else { panic!("not read") };
        assert_eq!(pair.to_string(), "source 0.0.0.0/0 destination 10.0.0.0/8");
        let set = |key: &str, value: &str| v1::Setting { key: key.into(), value: value.into() };
        let settings = vec![set("log syslog", "\"192.0.2.9:514\""), set("log rate", "7")];
        let edits = read(v1::Nat44Edit { edit: Some(Asked::Set(v1::Nat44Set { settings })) }).unwrap();
        let set = |key: &str, value: &str| Nat44Edit::Set { key: key.into(), value: value.into() };
        assert_eq!(edits, [set("log syslog", "192.0.2.9:514"), set("log rate", "7")]);
        assert!(asked(Asked::Set(v1::Nat44Set::default())).is_err());
        assert!(read(v1::Nat44Edit { edit: None }).is_err());
        assert!(asked(Asked::PoolAdd("203.0.113.0/33".into())).is_err());
    }
}
