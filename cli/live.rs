//! Live names from the daemon, for completion and `?`. When the daemon can't be reached there are simply none.
use millrace_api::v1::{
    GetGraphRequest, Interface, ListBridgesRequest, ListHistoryRequest, ListInterfacesRequest, ListMirrorsRequest,
    ListNat44MappingsRequest, ListNeighborsRequest, ListRoutesRequest, ListVrfsRequest, Nat44Mapping, Neighbor,
};

use crate::grammar::Kind;
use crate::link::Link;

/// The most routes that are looked through for their prefixes.
const ROUTES: u32 = 500;

/// The most mappings that are looked through for static ones, which come first.
const MAPPINGS: u64 = 500;

/// The names that a value of this kind can take and that begin with `partial`, in order and each once.
pub fn names(link: &Link, kind: Kind, partial: &str) -> Vec<String> {
    // Of several names with commas between, the last one is being typed.
    let several = matches!(kind, Kind::InterfacesOr(_));
    let typed = partial.rfind(',').filter(|_| several).map_or("", |comma| &partial[..=comma]);
    let mut names: Vec<String> = kind.words().iter().map(|word| (*word).to_owned()).collect();
    names.extend(ask(link, kind).unwrap_or_default().into_iter().map(|name| format!("{typed}{name}")));
    names.retain(|name| name.starts_with(partial));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn ask(link: &Link, kind: Kind) -> Option<Vec<String>> {
    match kind {
        Kind::Interface | Kind::InterfaceOr(_) | Kind::InterfacesOr(_) => link.names(|mut client| async move {
            let reply = client.show.list_interfaces(ListInterfacesRequest { name: None }).await?.into_inner();
            Ok(reply.interfaces.into_iter().map(|interface| interface.name).collect())
        }),
        Kind::InterfaceOf(drivers) => link.names(|mut client| async move {
            let reply = client.show.list_interfaces(ListInterfacesRequest { name: None }).await?.into_inner();
            let of = |interface: &Interface| drivers.contains(&interface.driver.as_str());
            Ok(reply.interfaces.into_iter().filter(of).map(|interface| interface.name).collect())
        }),
        Kind::Vrf => link.names(|mut client| async move {
            let reply = client.show.list_vrfs(ListVrfsRequest {}).await?.into_inner();
            Ok(reply.vrfs.into_iter().map(|vrf| vrf.name).collect())
        }),
        Kind::Bridge | Kind::BridgeOr(_) => link.names(|mut client| async move {
            let reply = client.show.list_bridges(ListBridgesRequest { name: None }).await?.into_inner();
            Ok(reply.bridges.into_iter().map(|bridge| bridge.bridge).collect())
        }),
        Kind::Mirror => link.names(|mut client| async move {
            let reply = client.show.list_mirrors(ListMirrorsRequest { name: None }).await?.into_inner();
            Ok(reply.mirrors.into_iter().map(|mirror| mirror.mirror).collect())
        }),
        Kind::Node => link.names(|mut client| async move {
            let reply = client.show.get_graph(GetGraphRequest {}).await?.into_inner();
            let mut nodes: Vec<String> = reply.nodes.into_iter().map(|node| node.name).collect();
            nodes.sort();
            Ok(nodes)
        }),
        Kind::Neighbor => link.names(|mut client| async move {
            let reply = client.show.list_neighbors(ListNeighborsRequest { interface: None }).await?.into_inner();
            Ok(reply.neighbors.into_iter().map(|neighbor| neighbor.address).collect())
        }),
        Kind::Target => link.names(|mut client| async move {
            let reply = client.show.list_neighbors(ListNeighborsRequest { interface: None }).await?.into_inner();
            // Link-local addresses are the same on every link.
            let target = |neighbor: Neighbor| match neighbor.address.starts_with("fe80:") {
                true => format!("{}%{}", neighbor.address, neighbor.interface),
                false => neighbor.address,
            };
            Ok(reply.neighbors.into_iter().map(target).collect())
        }),
        Kind::Prefix | Kind::Destination(_) => link.names(|mut client| async move {
            let family = if let Kind::Destination(family) = kind { family } else { "" };
            let request = ListRoutesRequest { limit: ROUTES, family: family.to_owned(), ..Default::default() };
            let mut stream = client.show.list_routes(request).await?.into_inner();
            let mut prefixes = Vec::new();
            while let Some(batch) = stream.message().await? {
                // What is not configured as a route can be looked at, but neither replaced nor removed.
                let routes = batch.routes.into_iter().filter(|r| kind != Kind::Prefix || r.origin == "static");
                prefixes.extend(routes.map(|route| route.prefix));
            }
            Ok(prefixes)
        }),
        Kind::Nat44External => link.names(|mut client| async move {
            let request = ListNat44MappingsRequest { limit: MAPPINGS, ..Default::default() };
            let mut stream = client.show.list_nat44_mappings(request).await?.into_inner();
            let mut names = Vec::new();
            while let Some(batch) = stream.message().await? {
                names.extend(batch.mappings.iter().filter(|mapping| mapping.r#type == "static").filter_map(external));
            }
            Ok(names)
        }),
        Kind::Revision => link.names(|mut client| async move {
            let reply = client.config.list_history(ListHistoryRequest {}).await?.into_inner();
            Ok(reply.revisions.into_iter().map(|revision| revision.revision.to_string()).collect())
        }),
        _ => None,
    }
}

/// What a static mapping is called by whoever removes it.
fn external(mapping: &Nat44Mapping) -> Option<String> {
    let address = mapping.interface.as_ref().or(mapping.outside_address.as_ref())?;
    let (first, ports) = (mapping.outside_port, mapping.ports);
    Some(match ports {
        0 => address.clone(),
        1 => format!("{address}:{first}"),
        _ => format!("{address}:{first}-{}", first + ports - 1),
    })
}
