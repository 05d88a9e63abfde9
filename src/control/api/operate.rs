//! The service `Operate`: what can be done that leaves the configuration as it is.

use super::{Answer, Api, Items, bridges, nat44, no_interface, ok, ping, routing, stream, traceroute, updates};
use crate::control::Router;
use crate::control::capture::{CaptureError, Status as CaptureStatus};
use millrace_api::v1::operate_server::Operate;
use millrace_api::v1::*;
use millrace_engine::trace::PacketFilter;
use millrace_graph_nodes::filter::{Filter, Layer};
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

#[tonic::async_trait]
impl Operate for Api {
    type PingStream = Items<PingEvent>;
    type TracerouteStream = Items<TracerouteHop>;
    type UpdateRoutesStream = Items<RouteUpdatesReply>;
    type WatchRoutesStream = Items<RouteNews>;

    async fn clear(&self, request: Request<ClearRequest>) -> Answer<Done> {
        let mut router = self.0.lock();
        let Router { stats, engine, .. } = &mut *router;
        match request.into_inner().what() {
            ClearWhat::Unspecified => return Err(Status::invalid_argument("nothing is named that could be cleared")),
            ClearWhat::Counters => router.clear_counters(),
            ClearWhat::Runtime => stats.clear_runtime(engine),
            ClearWhat::Errors => stats.clear_errors(engine),
            ClearWhat::Trace => engine.clear_traces(),
            ClearWhat::Neighbors => router.clear_neighbors(),
        }
        ok(Done::default())
    }

    async fn clear_nat44_sessions(
        &self,
        request: Request<ClearNat44SessionsRequest>,
    ) -> Answer<ClearNat44SessionsReply> {
        nat44::clear(&self.0, request.into_inner()).await
    }

    async fn clear_mac_table(&self, request: Request<ClearMacTableRequest>) -> Answer<ClearMacTableReply> {
        bridges::clear(&self.0, request.into_inner()).await
    }

    async fn add_trace(&self, request: Request<AddTraceRequest>) -> Answer<Done> {
        let AddTraceRequest { node, count, filter } = request.into_inner();
        if count == 0 {
            return Err(Status::invalid_argument("at least 1 packet can be traced"));
        }
        let router = self.0.lock();
        let named = router.engine.nodes().into_iter().find(|n| n.as_str() == node);
        let unknown = || Status::not_found(format!("no node \"{node}\"; `show graph` lists them"));
        let layer = Layer::at(named.ok_or_else(unknown)?);
        let filter = filter.map(|text| match text.parse::<Filter>() {
            Ok(filter) => {
                Ok(Arc::new(move |p: &millrace_engine::Packet<'_>| filter.matches(layer, p.data())) as PacketFilter)
            }
            Err(error) => Err(Status::invalid_argument(format!("filter \"{text}\": {error}"))),
        });
        if !router.engine.trace(&node, count, filter.transpose()?) {
            return Err(unknown());
        }
        ok(Done::default())
    }

    async fn start_capture(&self, request: Request<StartCaptureRequest>) -> Answer<Capture> {
        let StartCaptureRequest { file, interface, filter, limit } = request.into_inner();
        if !std::path::Path::new(&file).is_absolute() {
            return Err(Status::invalid_argument(format!("{file} is no absolute path")));
        }
        let wanted = CaptureStatus { file, interface, filter, limit, ..CaptureStatus::default() };
        let started = self.0.lock().start_capture(wanted);
        ok(capture(started.map_err(|error| match &error {
            CaptureError::NoInterface(name) => no_interface(name),
            CaptureError::Filter(..) => Status::invalid_argument(error.to_string()),
            _ => Status::failed_precondition(error.to_string()),
        })?))
    }

    async fn stop_capture(&self, _: Request<StopCaptureRequest>) -> Answer<Capture> {
        let stopped = self.0.lock().stop_capture();
        ok(capture(stopped.ok_or_else(|| Status::failed_precondition("no capture runs"))?))
    }

    async fn get_capture(&self, _: Request<GetCaptureRequest>) -> Answer<Capture> {
        let mut router = self.0.lock();
        router.pump();
        ok(capture(router.capture_status()))
    }

    async fn ping(&self, request: Request<PingRequest>) -> Answer<Items<PingEvent>> {
        let series = ping::Series::start(&mut self.0.lock(), &request.into_inner())?;
        let (sender, items) = stream();
        tokio::spawn(series.run(self.0.clone(), sender));
        Ok(Response::new(items))
    }

    async fn traceroute(&self, request: Request<TracerouteRequest>) -> Answer<Items<TracerouteHop>> {
        let search = traceroute::Search::start(&mut self.0.lock(), &request.into_inner())?;
        let (sender, items) = stream();
        tokio::spawn(search.run(self.0.clone(), sender));
        Ok(Response::new(items))
    }

    async fn update_routes(&self, request: Request<Streaming<RouteUpdates>>) -> Answer<Items<RouteUpdatesReply>> {
        let (sender, items) = stream();
        tokio::spawn(updates::run(self.0.clone(), request.into_inner(), sender));
        Ok(Response::new(items))
    }

    async fn watch_routes(&self, request: Request<WatchRoutesRequest>) -> Answer<Items<RouteNews>> {
        let watch = routing::Watch::start(&mut self.0.lock(), request.into_inner())?;
        let (sender, items) = stream();
        tokio::spawn(watch.run(self.0.clone(), sender));
        Ok(Response::new(items))
    }
}

fn capture(status: CaptureStatus) -> Capture {
    let CaptureStatus { running, file, interface, filter, limit, packets, missed } = status;
    Capture { running, file, interface, filter, limit, packets, missed }
}
