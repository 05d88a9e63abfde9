//! `GetRouteSummary`: how many routes there are.

use super::Scope;
use crate::control::Router;
use crate::control::routes::Family;
use millrace_api::v1::{GetRouteSummaryRequest, LengthCount, OriginCount, RouteSummary, RouteTable};
use tonic::Status;

/// The counts of each table that a request is about.
///
/// # Errors
/// There is no such VRF or family.
pub fn summary(router: &Router, request: &GetRouteSummaryRequest) -> Result<RouteSummary, Status> {
    let scope = Scope::read(router, &request.family, request.vrf.as_deref())?;
    let mut tables = Vec::new();
    for (vrf, table) in &scope.vrfs {
        for (family, word) in [(Family::Ip4, "ipv4"), (Family::Ip6, "ipv6")] {
            if scope.family.is_some_and(|only| only != family) {
                continue;
            }
            let counted = router.routes.summary(*table, family);
            let origin = |(origin, count)| OriginCount { origin, count: count as u64 };
            let length = |(length, count): (u8, usize)| LengthCount { length: length.into(), count: count as u64 };
            let mut by_origin: Vec<OriginCount> = counted.by_origin.into_iter().map(origin).collect();
            by_origin.sort_by(|a, b| a.origin.cmp(&b.origin));
            tables.push(RouteTable {
                vrf: vrf.to_string(),
                family: word.to_owned(),
                total: counted.prefixes as u64,
                by_origin,
                by_length: counted.by_length.into_iter().map(length).collect(),
            });
        }
    }
    Ok(RouteSummary { tables })
}
