//! Live names from the daemon, for completion and `?`. When the daemon can't be reached there are simply none.
use millrace_api::v1::{
    GetGraphRequest, ListHistoryRequest, ListInterfacesRequest, ListNeighborsRequest, ListRoutesRequest,
    ListVrfsRequest,
};

use crate::grammar::Kind;
use crate::link::Link;

/// The most routes that are looked through for their prefixes.
const ROUTES: u32 = 500;

/// The names that a value of this kind can take and that begin with `partial`, in order and each once.
pub fn names(link: &Link, kind: Kind, partial: &str) -> Vec<String> {
    let mut names: Vec<String> = kind.words().iter().map(|word| (*word).to_owned()).collect();
    names.extend(ask(link, kind).unwrap_or_default());
    names.retain(|name| name.starts_with(partial));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn ask(link: &Link, kind: Kind) -> Option<Vec<String>> {
    match kind {
        Kind::Interface => link.names(|mut client| async move {
            let reply = client.show.list_interfaces(ListInterfacesRequest { name: None }).await?.into_inner();
            Ok(reply.interfaces.into_iter().map(|interface| interface.name).collect())
        }),
        Kind::Vrf => link.names(|mut client| async move {
            let reply = client.show.list_vrfs(ListVrfsRequest {}).await?.into_inner();
            Ok(reply.vrfs.into_iter().map(|vrf| vrf.name).collect())
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
        Kind::Prefix | Kind::PrefixOrAddress => link.names(|mut client| async move {
            let request = ListRoutesRequest { limit: ROUTES, ..Default::default() };
            let mut stream = client.show.list_routes(request).await?.into_inner();
            let mut prefixes = Vec::new();
            while let Some(batch) = stream.message().await? {
                // What is not configured as a route can be looked at, but neither replaced nor removed.
                let routes = batch.routes.into_iter().filter(|r| kind != Kind::Prefix || r.origin == "static");
                prefixes.extend(routes.map(|route| route.prefix));
            }
            Ok(prefixes)
        }),
        Kind::Revision => link.names(|mut client| async move {
            let reply = client.config.list_history(ListHistoryRequest {}).await?.into_inner();
            Ok(reply.revisions.into_iter().map(|revision| revision.revision.to_string()).collect())
        }),
        _ => None,
    }
}
