//! Mirrors as the API lists them.

use crate::control::Router;
use crate::control::mirror::Running;
use millrace_api::v1::{ListMirrorsReply, ListMirrorsRequest, Mirror};
use millrace_config::{MirrorTarget, Name};
use tonic::Status;

pub fn list(router: &Router, request: &ListMirrorsRequest) -> Result<ListMirrorsReply, Status> {
    let all =
        router.mirrors.iter().filter(|(name, _)| request.name.as_deref().is_none_or(|only| only == name.as_str()));
    let mirrors: Vec<_> = all.map(|(name, running)| message(name, running)).collect();
    match &request.name {
        Some(name) if mirrors.is_empty() => {
            Err(Status::not_found(format!("no mirror \"{name}\"; `show mirrors` lists them")))
        }
        _ => Ok(ListMirrorsReply { mirrors }),
    }
}

fn message(name: &Name, running: &Running) -> Mirror {
    let (settings, totals) = (running.settings(), running.totals());
    let (to, file) = match &settings.to {
        MirrorTarget::Interface(to) => (Some(to.to_string()), None),
        MirrorTarget::File(path) => (None, Some(path.display().to_string())),
    };
    Mirror {
        mirror: name.to_string(),
        from: settings.from.iter().map(ToString::to_string).collect(),
        direction: settings.direction.to_string(),
        to,
        file,
        limit: settings.limit,
        snap_length: settings.snap_length,
        state: running.state().as_str().to_owned(),
        problem: running.problem().map(ToOwned::to_owned),
        copied: totals.copied,
        missed_down: totals.down,
        missed_no_buffer: totals.no_buffer,
        missed_queue_full: totals.queue_full,
    }
}
