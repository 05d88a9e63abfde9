//! What the daemon for tests answers.
mod bridges;
mod nat44;

use std::sync::{Arc, Mutex};

use millrace_api::v1::config_server::Config;
use millrace_api::v1::edit_request::Edit;
use millrace_api::v1::operate_server::Operate;
use millrace_api::v1::show_server::Show;
use millrace_api::v1::*;
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;
type Items<T> = tokio_stream::Iter<std::vec::IntoIter<Result<T, Status>>>;

/// The three services in one.
#[derive(Clone)]
pub struct Answers {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Answers {
    pub fn new(asked: Arc<Mutex<Vec<String>>>) -> Answers {
        Answers { asked }
    }

    fn note(&self, what: impl std::fmt::Debug) {
        self.asked.lock().unwrap().push(format!("{what:?}"));
    }
}

fn ok<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

fn items<T>(list: Vec<T>) -> Answer<Items<T>> {
    ok(tokio_stream::iter(list.into_iter().map(Ok).collect::<Vec<_>>()))
}

fn interface(name: &str) -> Interface {
    Interface {
        name: name.into(),
        driver: "tap".into(),
        device: format!("mr-{name}"),
        state: "up".into(),
        link: "up".into(),
        mtu: 1500,
        vrf: "default".into(),
        rx_packets: 1 << 53,
        rx_pps: 1.5,
        ..Default::default()
    }
}

fn route(number: u32) -> Route {
    let next_hops = vec![NextHop { gateway: Some("192.0.2.1".into()), interface: Some("wan".into()), weight: 1 }];
    let prefix = format!("10.{}.{}.0/24", number >> 8, number & 255);
    Route {
        prefix,
        vrf: "default".into(),
        origin: "static".into(),
        r#type: "unicast".into(),
        next_hops,
        next_vrf: None,
    }
}

/// A file that holds the word "bad" is bad.
fn check(file: Option<ConfigFile>) -> Vec<Diagnostic> {
    let file = file.unwrap_or_default();
    let bad = |(line, text): (usize, &str)| {
        let column = text.find("bad")? as u32 + 1;
        let message = "unknown key \"bad\"; expected \"workers\"".to_owned();
        Some(Diagnostic { file: file.name.clone(), line: line as u32 + 1, column, message })
    };
    file.text.lines().enumerate().filter_map(bad).collect()
}

fn changes() -> Vec<PlanLine> {
    let line = |kind: &str, text: &str| PlanLine { kind: kind.into(), text: text.into() };
    vec![line("-", "route 10.0.0.0/8"), line("+", "interface lan: driver tap")]
}

#[tonic::async_trait]
impl Show for Answers {
    type ListRoutesStream = Items<Routes>;
    type ListNat44SessionsStream = Items<Nat44Sessions>;
    type ListNat44MappingsStream = Items<Nat44Mappings>;
    type ListMacTableStream = Items<MacEntries>;
    type ListBindingsStream = Items<Bindings>;

    async fn get_version(&self, _: Request<GetVersionRequest>) -> Answer<Version> {
        let (version, commit, cpu_variant) = ("0.1.0".into(), "abc1234".into(), "x86-64-v3".into());
        ok(Version { version, commit, cpu_variant, pid: 7, uptime_seconds: 61, config_file: "/etc/m.yaml".into() })
    }

    async fn list_interfaces(&self, request: Request<ListInterfacesRequest>) -> Answer<ListInterfacesReply> {
        let interfaces = match request.into_inner().name {
            None => vec![interface("lan"), interface("wan")],
            Some(name) if ["lan", "wan"].contains(&name.as_str()) => {
                let details = Some(InterfaceDetails { mode: "vnet-header".into(), ..Default::default() });
                vec![Interface { details, ..interface(&name) }]
            }
            Some(name) => return Err(Status::not_found(format!("no interface \"{name}\""))),
        };
        ok(ListInterfacesReply { interfaces })
    }

    async fn list_routes(&self, request: Request<ListRoutesRequest>) -> Answer<Items<Routes>> {
        let request = request.into_inner();
        self.note(&request);
        if request.address.as_deref() == Some("10.0.0.9") {
            return items(vec![Routes { routes: vec![route(0)] }]);
        }
        let some = request.prefix.is_some() || request.address.is_some();
        items(if some { vec![] } else { vec![Routes { routes: vec![route(0)] }, Routes { routes: vec![route(257)] }] })
    }

    async fn get_route_summary(&self, request: Request<GetRouteSummaryRequest>) -> Answer<RouteSummary> {
        let GetRouteSummaryRequest { family, vrf } = request.into_inner();
        let by_origin = vec![OriginCount { origin: "static".into(), count: 2 }];
        let by_length = vec![LengthCount { length: 24, count: 2 }];
        ok(RouteSummary {
            tables: vec![RouteTable { vrf: vrf.unwrap_or_default(), family, total: 2, by_origin, by_length }],
        })
    }

    async fn resolve_route(&self, request: Request<ResolveRouteRequest>) -> Answer<RouteResolution> {
        let ResolveRouteRequest { address, vrf } = request.into_inner();
        let (share, vrf) = (1.0, vrf.unwrap_or_else(|| "default".to_owned()));
        let route =
            ResolveStep { kind: "route".into(), prefix: Some("10.0.0.0/24".into()), share, ..Default::default() };
        let mac = Some("02:00:00:00:00:01".to_owned());
        let end = ResolveStep {
            depth: 1,
            kind: "adjacency".into(),
            interface: Some("wan".into()),
            mac,
            share,
            ..Default::default()
        };
        ok(RouteResolution { address, vrf, steps: vec![route, end] })
    }

    async fn list_neighbors(&self, _: Request<ListNeighborsRequest>) -> Answer<ListNeighborsReply> {
        ok(ListNeighborsReply::default())
    }

    async fn list_policy_routes(&self, _: Request<ListPolicyRoutesRequest>) -> Answer<ListPolicyRoutesReply> {
        let rule = |position, source: Option<&str>, interface: Option<&str>, packets| PolicyRoute {
            position,
            source: source.map(str::to_owned),
            interface: interface.map(str::to_owned),
            vrf: "blue".into(),
            packets,
        };
        let policy_routes = vec![rule(1, Some("10.1.0.0/16"), None, 12), rule(2, None, Some("lan"), 0)];
        ok(ListPolicyRoutesReply { policy_routes })
    }

    async fn list_vrfs(&self, _: Request<ListVrfsRequest>) -> Answer<ListVrfsReply> {
        ok(ListVrfsReply { vrfs: vec![Vrf { name: "default".into(), ipv4_routes: 2, ..Default::default() }] })
    }

    async fn list_nat44_sessions(&self, request: Request<ListNat44SessionsRequest>) -> Answer<Items<Nat44Sessions>> {
        let request = request.into_inner();
        self.note(&request);
        nat44::sessions(&request)
    }

    async fn list_nat44_mappings(&self, request: Request<ListNat44MappingsRequest>) -> Answer<Items<Nat44Mappings>> {
        self.note(request.into_inner());
        items(nat44::mappings())
    }

    async fn get_nat44_summary(&self, request: Request<GetNat44SummaryRequest>) -> Answer<Nat44Summary> {
        self.note(request.into_inner());
        ok(nat44::summary())
    }

    async fn list_vxlan(&self, request: Request<ListVxlanRequest>) -> Answer<ListVxlanReply> {
        self.note(request.into_inner());
        let remote = VxlanRemote { address: "192.0.2.2".into(), origin: "static".into(), ..VxlanRemote::default() };
        let vx0 = VxlanInterface {
            interface: "vx0".into(),
            vni: 100,
            local: "192.0.2.1".into(),
            local_is_here: true,
            remotes: vec![remote],
            ..VxlanInterface::default()
        };
        ok(ListVxlanReply { interfaces: vec![vx0] })
    }

    async fn list_tunnels(&self, request: Request<ListTunnelsRequest>) -> Answer<ListTunnelsReply> {
        self.note(request.into_inner());
        let gre0 = Tunnel { interface: "gre0".into(), driver: "gre".into(), mtu: 1476, ..Tunnel::default() };
        ok(ListTunnelsReply { tunnels: vec![gre0] })
    }

    async fn list_bonds(&self, request: Request<ListBondsRequest>) -> Answer<ListBondsReply> {
        self.note(request.into_inner());
        let bond0 = Bond { bond: "bond0".into(), link: "up".into(), mode: "lacp".into(), ..Bond::default() };
        ok(ListBondsReply { bonds: vec![bond0] })
    }

    async fn list_lacp(&self, request: Request<ListLacpRequest>) -> Answer<ListLacpReply> {
        self.note(request.into_inner());
        let bond0 = LacpBond { bond: "bond0".into(), rate: "slow".into(), ..LacpBond::default() };
        ok(ListLacpReply { bonds: vec![bond0] })
    }

    async fn list_lldp_neighbors(&self, request: Request<ListLldpNeighborsRequest>) -> Answer<ListLldpNeighborsReply> {
        self.note(request.into_inner());
        let switch = LldpNeighbor { interface: "wan".into(), port_id: "Gi0/1".into(), ..LldpNeighbor::default() };
        ok(ListLldpNeighborsReply { enabled: true, neighbors: vec![switch], interfaces: Vec::new() })
    }

    async fn list_bridges(&self, _: Request<ListBridgesRequest>) -> Answer<ListBridgesReply> {
        ok(bridges::list())
    }

    async fn list_mac_table(&self, request: Request<ListMacTableRequest>) -> Answer<Items<MacEntries>> {
        let request = request.into_inner();
        self.note(&request);
        items(bridges::stations(&request))
    }

    async fn list_snooping(&self, request: Request<ListSnoopingRequest>) -> Answer<ListSnoopingReply> {
        self.note(request.into_inner());
        ok(ListSnoopingReply::default())
    }

    async fn list_bindings(&self, request: Request<ListBindingsRequest>) -> Answer<Items<Bindings>> {
        self.note(request.into_inner());
        items(Vec::new())
    }

    async fn list_mirrors(&self, _: Request<ListMirrorsRequest>) -> Answer<ListMirrorsReply> {
        let from = vec!["lan".into()];
        let mirror =
            Mirror { mirror: "m1".into(), from, to: Some("wan".into()), state: "active".into(), ..Mirror::default() };
        ok(ListMirrorsReply { mirrors: vec![mirror] })
    }

    async fn get_runtime(&self, _: Request<GetRuntimeRequest>) -> Answer<Runtime> {
        let node = NodeRuntime { node: "ip4-input".into(), calls: 2, vectors: 1, packets: 3, ..Default::default() };
        ok(Runtime { span_seconds: 2.0, nodes: vec![node], ..Default::default() })
    }

    async fn list_workers(&self, _: Request<ListWorkersRequest>) -> Answer<ListWorkersReply> {
        ok(ListWorkersReply { workers: vec![Worker { mode: "adaptive".into(), ..Default::default() }] })
    }

    async fn list_errors(&self, _: Request<ListErrorsRequest>) -> Answer<ListErrorsReply> {
        let error = ErrorCount { node: "ip4-input".into(), reason: "bad checksum".into(), count: 9, drops: 9 };
        ok(ListErrorsReply { errors: vec![error] })
    }

    async fn list_trace(&self, _: Request<ListTraceRequest>) -> Answer<ListTraceReply> {
        ok(ListTraceReply::default())
    }

    async fn get_graph(&self, _: Request<GetGraphRequest>) -> Answer<Graph> {
        let nodes = vec![GraphNode { name: "device-input".into(), kind: "input".into() }];
        ok(Graph { nodes, edges: vec![] })
    }

    async fn list_features(&self, _: Request<ListFeaturesRequest>) -> Answer<ListFeaturesReply> {
        ok(ListFeaturesReply::default())
    }

    async fn get_buffers(&self, _: Request<GetBuffersRequest>) -> Answer<Buffers> {
        ok(Buffers { total: 10, free: 8, in_use: 2, ..Default::default() })
    }

    async fn list_memory(&self, _: Request<ListMemoryRequest>) -> Answer<ListMemoryReply> {
        ok(ListMemoryReply::default())
    }

    async fn list_events(&self, _: Request<ListEventsRequest>) -> Answer<ListEventsReply> {
        ok(ListEventsReply::default())
    }

    async fn list_log(&self, request: Request<ListLogRequest>) -> Answer<ListLogReply> {
        let line = LogLine { level: "info".into(), text: format!("{:?}", request.into_inner()), ..Default::default() };
        ok(ListLogReply { lines: vec![line; 200] })
    }

    async fn get_configuration(&self, _: Request<GetConfigurationRequest>) -> Answer<Configuration> {
        ok(Configuration { yaml: "workers:\n  count: 2\n  cpus: [1, 2]\n".into() })
    }
}

#[tonic::async_trait]
impl Config for Answers {
    async fn edit(&self, request: Request<EditRequest>) -> Answer<EditReply> {
        let edit = request.into_inner().edit.unwrap();
        self.note(&edit);
        match edit {
            Edit::RouteAdd(route) if route.prefix == "10.9.9.0/24" => {
                Err(Status::already_exists("there is a route to 10.9.9.0/24 already; `route replace` changes it"))
            }
            _ => ok(EditReply { lines: changes(), revision: 2 }),
        }
    }

    async fn check(&self, request: Request<CheckRequest>) -> Answer<CheckReply> {
        ok(CheckReply { diagnostics: check(request.into_inner().file) })
    }

    async fn plan(&self, request: Request<PlanRequest>) -> Answer<PlanReply> {
        let diagnostics = check(request.into_inner().file);
        ok(PlanReply { lines: if diagnostics.is_empty() { changes() } else { vec![] }, diagnostics })
    }

    async fn apply(&self, request: Request<ApplyRequest>) -> Answer<ApplyReply> {
        let request = request.into_inner();
        self.note(request.confirm_seconds);
        let diagnostics = check(request.file);
        ok(ApplyReply { lines: if diagnostics.is_empty() { changes() } else { vec![] }, diagnostics, revision: 3 })
    }

    async fn confirm(&self, _: Request<ConfirmRequest>) -> Answer<Done> {
        Err(Status::failed_precondition("nothing waits to be confirmed"))
    }

    async fn rollback(&self, request: Request<RollbackRequest>) -> Answer<ApplyReply> {
        self.note(request.into_inner());
        ok(ApplyReply { diagnostics: vec![], lines: vec![], revision: 4 })
    }

    async fn list_history(&self, _: Request<ListHistoryRequest>) -> Answer<ListHistoryReply> {
        ok(ListHistoryReply::default())
    }

    async fn save(&self, request: Request<SaveRequest>) -> Answer<Done> {
        ok(Done { text: format!("wrote {}", request.into_inner().path.unwrap_or_default()) })
    }
}

#[tonic::async_trait]
impl Operate for Answers {
    type PingStream = Items<PingEvent>;
    type TracerouteStream = Items<TracerouteHop>;
    type UpdateRoutesStream = Items<RouteUpdatesReply>;
    type WatchRoutesStream = Items<RouteNews>;

    /// A listing of one route, changes were lost, and it is gone.
    async fn watch_routes(&self, request: Request<WatchRoutesRequest>) -> Answer<Items<RouteNews>> {
        self.note(request.into_inner());
        let gone = ChangedRoute { prefix: "10.0.0.0/24".into(), vrf: "default".into(), route: None };
        let news = [
            route_news::What::Listed(Routes { routes: vec![route(0)] }),
            route_news::What::End(ListingEnd { routes: 1 }),
            route_news::What::Lagged(Lagged { missed: 7 }),
            route_news::What::Changed(RouteChanges { changes: vec![gone] }),
        ];
        items(news.into_iter().map(|what| RouteNews { what: Some(what) }).collect())
    }

    /// For routing daemons: no command calls it.
    async fn update_routes(&self, _: Request<tonic::Streaming<RouteUpdates>>) -> Answer<Self::UpdateRoutesStream> {
        Err(Status::unimplemented("the shell changes no routes of routing daemons"))
    }

    async fn clear(&self, request: Request<ClearRequest>) -> Answer<Done> {
        self.note(request.into_inner().what());
        ok(Done::default())
    }

    async fn clear_nat44_sessions(
        &self,
        request: Request<ClearNat44SessionsRequest>,
    ) -> Answer<ClearNat44SessionsReply> {
        let request = request.into_inner();
        self.note(&request);
        ok(ClearNat44SessionsReply { sessions: if request.filter.is_some() { 1 } else { 2500 } })
    }

    async fn clear_mac_table(&self, request: Request<ClearMacTableRequest>) -> Answer<ClearMacTableReply> {
        self.note(request.into_inner());
        ok(ClearMacTableReply { stations: 1 })
    }

    async fn add_trace(&self, request: Request<AddTraceRequest>) -> Answer<Done> {
        self.note(request.into_inner());
        ok(Done::default())
    }

    async fn start_capture(&self, request: Request<StartCaptureRequest>) -> Answer<Capture> {
        let request = request.into_inner();
        let (file, interface, filter, limit) = (request.file, request.interface, request.filter, request.limit);
        ok(Capture { running: true, file, interface, filter, limit, packets: 0, missed: 0 })
    }

    async fn stop_capture(&self, _: Request<StopCaptureRequest>) -> Answer<Capture> {
        Err(Status::failed_precondition("no capture runs"))
    }

    async fn get_capture(&self, _: Request<GetCaptureRequest>) -> Answer<Capture> {
        ok(Capture::default())
    }

    /// 192.0.2.1 answers; all others are silent.
    async fn ping(&self, request: Request<PingRequest>) -> Answer<Items<PingEvent>> {
        let request = request.into_inner();
        let answers = request.address == "192.0.2.1";
        let event = |sequence| PingEvent {
            sequence,
            outcome: if answers { "reply" } else { "timeout" }.into(),
            from: answers.then(|| request.address.clone()),
            bytes: 64,
            ttl: 64,
            rtt_us: 500.0,
        };
        items((1..=request.count).map(event).collect())
    }

    async fn traceroute(&self, _: Request<TracerouteRequest>) -> Answer<Items<TracerouteHop>> {
        items(vec![TracerouteHop { hop: 1, probes: vec![TracerouteProbe::default()], reached: false }])
    }
}
