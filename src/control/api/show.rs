//! The service `Show`: everything there is to see.

use super::{
    Answer, Api, Items, bridges, interfaces, link, mirrors, nat44, ok, routing, runtime, snooping, stream, system,
    tunnels, vxlan,
};
use millrace_api::v1::show_server::Show;
use millrace_api::v1::*;
use tonic::{Request, Response};

#[tonic::async_trait]
impl Show for Api {
    type ListRoutesStream = Items<Routes>;
    type ListNat44SessionsStream = Items<Nat44Sessions>;
    type ListNat44MappingsStream = Items<Nat44Mappings>;
    type ListMacTableStream = Items<MacEntries>;
    type ListBindingsStream = Items<Bindings>;

    async fn get_version(&self, _: Request<GetVersionRequest>) -> Answer<Version> {
        ok(system::version(&self.0.lock()))
    }

    async fn list_interfaces(&self, request: Request<ListInterfacesRequest>) -> Answer<ListInterfacesReply> {
        ok(interfaces::list(&self.0.lock(), &request.into_inner())?)
    }

    async fn list_routes(&self, request: Request<ListRoutesRequest>) -> Answer<Items<Routes>> {
        let mut listing = routing::Listing::start(&self.0.lock(), request.into_inner())?;
        let (sender, items) = stream();
        let shared = self.0.clone();
        tokio::spawn(async move {
            loop {
                // A batch at a time, so that a long listing holds up nobody.
                let batch = listing.next(&shared.lock());
                let Some(batch) = batch else { break };
                if batch.routes.is_empty() {
                    tokio::task::yield_now().await;
                } else if sender.send(Ok(batch)).await.is_err() {
                    break;
                }
            }
        });
        Ok(Response::new(items))
    }

    async fn get_route_summary(&self, request: Request<GetRouteSummaryRequest>) -> Answer<RouteSummary> {
        ok(routing::summary(&self.0.lock(), &request.into_inner())?)
    }

    async fn resolve_route(&self, request: Request<ResolveRouteRequest>) -> Answer<RouteResolution> {
        ok(routing::resolve(&self.0.lock(), &request.into_inner())?)
    }

    async fn list_neighbors(&self, request: Request<ListNeighborsRequest>) -> Answer<ListNeighborsReply> {
        ok(routing::neighbors(&self.0.lock(), &request.into_inner())?)
    }

    async fn list_policy_routes(&self, _: Request<ListPolicyRoutesRequest>) -> Answer<ListPolicyRoutesReply> {
        ok(routing::policy_routes(&self.0.lock()))
    }

    async fn list_vrfs(&self, _: Request<ListVrfsRequest>) -> Answer<ListVrfsReply> {
        ok(routing::vrfs(&self.0.lock()))
    }

    async fn list_nat44_sessions(&self, request: Request<ListNat44SessionsRequest>) -> Answer<Items<Nat44Sessions>> {
        nat44::sessions(&self.0, request.into_inner())
    }

    async fn list_nat44_mappings(&self, request: Request<ListNat44MappingsRequest>) -> Answer<Items<Nat44Mappings>> {
        nat44::mappings(&self.0, request.into_inner())
    }

    async fn get_nat44_summary(&self, request: Request<GetNat44SummaryRequest>) -> Answer<Nat44Summary> {
        nat44::summary(&self.0, &request.into_inner()).await
    }

    async fn list_bridges(&self, request: Request<ListBridgesRequest>) -> Answer<ListBridgesReply> {
        ok(bridges::list(&self.0.lock(), &request.into_inner())?)
    }

    async fn list_mac_table(&self, request: Request<ListMacTableRequest>) -> Answer<Items<MacEntries>> {
        bridges::stations(&self.0, request.into_inner())
    }

    async fn list_snooping(&self, request: Request<ListSnoopingRequest>) -> Answer<ListSnoopingReply> {
        let mut router = self.0.lock();
        router.publish_snooping();
        ok(snooping::list(&router, &request.into_inner())?)
    }

    async fn list_bindings(&self, request: Request<ListBindingsRequest>) -> Answer<Items<Bindings>> {
        snooping::bindings(&self.0, &request.into_inner())
    }

    async fn list_tunnels(&self, request: Request<ListTunnelsRequest>) -> Answer<ListTunnelsReply> {
        ok(tunnels::list(&self.0.lock(), &request.into_inner())?)
    }

    async fn list_vxlan(&self, request: Request<ListVxlanRequest>) -> Answer<ListVxlanReply> {
        ok(vxlan::list(&self.0.lock(), &request.into_inner())?)
    }

    async fn list_mirrors(&self, request: Request<ListMirrorsRequest>) -> Answer<ListMirrorsReply> {
        ok(mirrors::list(&self.0.lock(), &request.into_inner())?)
    }

    async fn list_bonds(&self, request: Request<ListBondsRequest>) -> Answer<ListBondsReply> {
        ok(link::list_bonds(&self.0.lock(), &request.into_inner())?)
    }

    async fn list_lacp(&self, request: Request<ListLacpRequest>) -> Answer<ListLacpReply> {
        ok(link::list_lacp(&self.0.lock(), &request.into_inner())?)
    }

    async fn list_lldp_neighbors(&self, request: Request<ListLldpNeighborsRequest>) -> Answer<ListLldpNeighborsReply> {
        ok(link::list_lldp_neighbors(&self.0.lock(), &request.into_inner())?)
    }

    async fn get_runtime(&self, _: Request<GetRuntimeRequest>) -> Answer<Runtime> {
        ok(runtime::runtime(&self.0.lock()))
    }

    async fn list_workers(&self, _: Request<ListWorkersRequest>) -> Answer<ListWorkersReply> {
        ok(runtime::workers(&self.0.lock()))
    }

    async fn list_errors(&self, _: Request<ListErrorsRequest>) -> Answer<ListErrorsReply> {
        ok(runtime::errors(&self.0.lock()))
    }

    async fn list_trace(&self, request: Request<ListTraceRequest>) -> Answer<ListTraceReply> {
        ok(runtime::trace(&self.0.lock(), request.into_inner().limit as usize))
    }

    async fn get_graph(&self, _: Request<GetGraphRequest>) -> Answer<Graph> {
        ok(runtime::graph(&self.0.lock()))
    }

    async fn list_features(&self, _: Request<ListFeaturesRequest>) -> Answer<ListFeaturesReply> {
        ok(runtime::features(&self.0.lock()))
    }

    async fn get_buffers(&self, _: Request<GetBuffersRequest>) -> Answer<Buffers> {
        ok(system::buffers(&self.0.lock()))
    }

    async fn list_memory(&self, _: Request<ListMemoryRequest>) -> Answer<ListMemoryReply> {
        ok(system::memory(&self.0.lock()))
    }

    async fn list_events(&self, request: Request<ListEventsRequest>) -> Answer<ListEventsReply> {
        ok(system::events(&self.0.lock(), request.into_inner().limit as usize))
    }

    async fn list_log(&self, request: Request<ListLogRequest>) -> Answer<ListLogReply> {
        ok(system::log(request.into_inner().limit as usize))
    }

    async fn get_configuration(&self, _: Request<GetConfigurationRequest>) -> Answer<Configuration> {
        ok(Configuration { yaml: self.0.lock().config.to_yaml() })
    }
}
