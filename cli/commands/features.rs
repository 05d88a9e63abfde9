//! `show features`.
use millrace_api::v1::{FeatureArc, ListFeaturesRequest};

use crate::error::Error;
use crate::grammar::{Args, Command};
use crate::output::{Output, Table};
use crate::session::Session;

pub const COMMANDS: &[Command] = &[Command {
    path: &["show", "features"],
    args: &[],
    help: "feature arcs, in the order in which a packet meets the features",
    more: "",
    run: show,
}];

fn show(session: &mut Session, _: &Args) -> Result<(), Error> {
    let reply = session.call(|mut client| async move { client.show.list_features(ListFeaturesRequest {}).await })?;
    let output = session.output;
    session.print(&reply.arcs[..], |arcs| table(&output, arcs))
}

fn table(output: &Output, arcs: &[FeatureArc]) -> String {
    let mut table = Table::new(output, &["Arc", ">Place", "Feature", "After", "Before", "Interfaces"]);
    for arc in arcs {
        for (place, feature) in arc.features.iter().enumerate() {
            table.row([
                (&arc.arc).into(),
                (place + 1).into(),
                (&feature.node).into(),
                feature.after.join(" ").into(),
                feature.before.join(" ").into(),
                feature.interfaces.join(" ").into(),
            ]);
        }
    }
    table.text()
}
