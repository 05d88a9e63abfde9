//! `show ip route ADDRESS`: the route that packets to an address take, and how it resolves.
use millrace_api::v1::{ListRoutesRequest, ResolveRouteRequest, ResolveStep, Route, RouteResolution};
use serde::Serialize;

use super::{Family, heading, line};
use crate::error::Error;
use crate::output::{Color, Output};
use crate::session::Session;

/// A route with its way through the tables.
#[derive(Debug, Serialize)]
struct Resolved {
    #[serde(flatten)]
    route: Route,
    /// Every step, depth first.
    resolution: Vec<ResolveStep>,
}

pub fn show(session: &mut Session, family: Family, address: String, vrf: Option<String>) -> Result<(), Error> {
    let request = ListRoutesRequest {
        family: family.name.to_owned(),
        vrf: Some(vrf.clone().unwrap_or_else(|| "default".to_owned())),
        address: Some(address.clone()),
        ..ListRoutesRequest::default()
    };
    let mut stream = session.call(|mut client| async move { client.show.list_routes(request).await })?;
    let mut found = Vec::new();
    while let Some(batch) = session.next(&mut stream)? {
        found.extend(batch.routes);
    }
    let Some(route) = found.into_iter().next() else {
        return session.print(&[] as &[Resolved], |_| format!("no route to {address}\n"));
    };
    let request = ResolveRouteRequest { address, vrf };
    let way = session.call(|mut client| async move { client.show.resolve_route(request).await })?;
    let output = session.output;
    let text = table(&output, family, &route, &way);
    session.print(&[Resolved { route, resolution: way.steps }][..], |_| text)
}

fn table(output: &Output, family: Family, route: &Route, way: &RouteResolution) -> String {
    let mut text = format!("{}\n{}", output.paint(Color::Bold, &heading(family)), line(family, route));
    text.push_str(&format!("\n{}\n", way.address));
    for step in &way.steps {
        let indent = 2 * (step.depth as usize + 1);
        text.push_str(&format!("{:indent$}{}\n", "", describe(step, &way.vrf)));
    }
    text
}

/// A step in words; `vrf` is the one in which the way begins.
fn describe(step: &ResolveStep, vrf: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut say = |word: Option<&str>| words.extend(word.filter(|word| !word.is_empty()).map(str::to_owned));
    let kind = step.r#type.as_deref();
    match step.kind.as_str() {
        "route" => {
            say(step.prefix.as_deref());
            say(step.origin.as_deref());
            say(kind.filter(|kind| *kind != "unicast"));
            if let Some(other) = step.vrf.as_deref().filter(|other| *other != vrf) {
                say(Some(&format!("in vrf {other}")));
            }
        }
        "gateway" => {
            say(step.gateway.as_ref().map(|gateway| format!("via {gateway}")).as_deref());
            say(step.interface.as_deref());
            say(step.state.as_deref().filter(|state| *state != "resolved"));
        }
        "load-balance" => say(Some("load-balance")),
        _ => {
            say(step.interface.as_deref());
            say(step.gateway.as_deref());
            say(step.mac.as_deref());
            say(kind.filter(|kind| *kind != "unicast"));
            say(step.state.as_deref());
        }
    }
    let share = (step.share * 1000.0).round() / 10.0;
    if step.kind != "route" && share < 100.0 {
        say(Some(&format!("{share} %")));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[test]
    fn the_way_is_a_tree() {
        let output = Output { format: Format::Table, colors: false, terminal: false };
        let text = |text: &str| Some(text.to_owned());
        let step = |depth, kind: &str, share| ResolveStep { depth, kind: kind.into(), share, ..Default::default() };
        let route = |depth, prefix: &str, vrf: &str| ResolveStep {
            prefix: text(prefix),
            vrf: text(vrf),
            origin: text("static"),
            r#type: text("unicast"),
            ..step(depth, "route", 1.0)
        };
        let steps = vec![
            ResolveStep { r#type: text("next-vrf"), ..route(0, "10.0.0.0/8", "default") },
            route(1, "10.1.0.0/16", "blue"),
            ResolveStep { gateway: text("192.0.2.1"), state: text("resolved"), ..step(2, "gateway", 2.0 / 3.0) },
            ResolveStep {
                interface: text("wan"),
                gateway: text("192.0.2.1"),
                mac: text("02:00:00:00:00:01"),
                r#type: text("unicast"),
                state: text("reachable"),
                ..step(3, "adjacency", 2.0 / 3.0)
            },
            ResolveStep { gateway: text("192.0.2.9"), state: text("unresolved"), ..step(2, "gateway", 1.0 / 3.0) },
            step(2, "load-balance", 1.0),
        ];
        let best =
            Route { prefix: "10.0.0.0/8".into(), vrf: "default".into(), next_vrf: text("blue"), ..Default::default() };
        let way = RouteResolution { address: "10.1.2.3".into(), vrf: "default".into(), steps };
        let shown = table(&output, Family::IPV4, &best, &way);
        let tree = shown.split_once("\n\n").unwrap().1;
        assert_eq!(
            tree,
            "10.1.2.3\n  10.0.0.0/8 static next-vrf\n    10.1.0.0/16 static in vrf blue\n      via 192.0.2.1 66.7 %\n        \
             wan 192.0.2.1 02:00:00:00:00:01 reachable 66.7 %\n      via 192.0.2.9 unresolved 33.3 %\n      load-balance\n"
        );
    }
}
