//! The service `Config`: everything that can be changed.

use super::{Answer, Api, edits, ok, refused};
use crate::control::apply::Committed;
use crate::control::{Router, time};
use millrace_api::v1::config_server::Config as Service;
use millrace_api::v1::*;
use millrace_config::{Config, Plan, edit, parse, plan};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::{Request, Status};

#[tonic::async_trait]
impl Service for Api {
    async fn edit(&self, request: Request<EditRequest>) -> Answer<EditReply> {
        let mut router = self.0.lock();
        let request = request.into_inner();
        if edits::forgets_learnt_neighbor(&mut router, &request) {
            return ok(EditReply { lines: Vec::new(), revision: router.history.running() });
        }
        let mut wanted = router.config.clone();
        for one in edits::read(request)? {
            wanted = edit(&wanted, &one).map_err(|error| edits::status(&error))?;
        }
        let Committed { plan, revision } = router.commit(wanted, "edit").map_err(|error| refused(&error))?;
        ok(EditReply { lines: lines(&plan), revision })
    }

    async fn check(&self, request: Request<CheckRequest>) -> Answer<CheckReply> {
        ok(CheckReply { diagnostics: file(request.into_inner().file).err().unwrap_or_default() })
    }

    async fn plan(&self, request: Request<PlanRequest>) -> Answer<PlanReply> {
        ok(match file(request.into_inner().file) {
            Ok(wanted) => PlanReply { diagnostics: vec![], lines: lines(&plan(&self.0.lock().config, &wanted)) },
            Err(diagnostics) => PlanReply { diagnostics, lines: vec![] },
        })
    }

    async fn apply(&self, request: Request<ApplyRequest>) -> Answer<ApplyReply> {
        let request = request.into_inner();
        let mut router = self.0.lock();
        let wanted = match file(request.file) {
            Ok(wanted) => wanted,
            Err(diagnostics) => {
                return ok(ApplyReply { diagnostics, lines: vec![], revision: router.history.running() });
            }
        };
        let committed = match request.confirm_seconds {
            Some(0) => return Err(Status::invalid_argument("at least 1 second to confirm")),
            Some(seconds) => router.commit_for(wanted, Duration::from_secs(seconds.into())),
            None => router.commit(wanted, "apply"),
        };
        ok(applied(&committed.map_err(|error| refused(&error))?))
    }

    async fn confirm(&self, _: Request<ConfirmRequest>) -> Answer<Done> {
        let mut router = self.0.lock();
        if !router.confirm() {
            return Err(Status::failed_precondition("nothing waits to be confirmed"));
        }
        ok(Done { text: format!("revision {} stays", router.history.running()) })
    }

    async fn rollback(&self, request: Request<RollbackRequest>) -> Answer<ApplyReply> {
        let committed = self.0.lock().rollback(request.into_inner().revision, "rollback");
        ok(applied(&committed.map_err(|error| refused(&error))?))
    }

    async fn list_history(&self, _: Request<ListHistoryRequest>) -> Answer<ListHistoryReply> {
        let router = self.0.lock();
        let running = router.history.running();
        let revision = |r: &crate::control::history::Revision| Revision {
            revision: r.number,
            time: time::millis(r.time),
            source: r.source.to_owned(),
            summary: r.summary(),
            running: r.number == running,
        };
        ok(ListHistoryReply { revisions: router.history.newest_first().map(revision).collect() })
    }

    async fn save(&self, request: Request<SaveRequest>) -> Answer<Done> {
        let router = self.0.lock();
        let path = match request.into_inner().path {
            Some(path) if Path::new(&path).is_absolute() => PathBuf::from(path),
            Some(path) => return Err(Status::invalid_argument(format!("{path} is no absolute path"))),
            None => router.options.config_file.clone(),
        };
        save(&router, &path)
            .map_err(|error| Status::failed_precondition(format!("can't write {}: {error}", path.display())))?;
        ok(Done { text: format!("wrote {}", path.display()) })
    }
}

/// A file's configuration, or all its errors.
fn file(file: Option<ConfigFile>) -> Result<Config, Vec<Diagnostic>> {
    let ConfigFile { text, name } = file.unwrap_or_default();
    let message = |d: millrace_config::Diagnostic| Diagnostic {
        file: d.file,
        line: d.line as u32,
        column: d.column as u32,
        message: format!("{}; {}", d.message, d.hint),
    };
    parse(&text, &name).map_err(|diagnostics| diagnostics.into_iter().map(message).collect())
}

/// The steps of a plan: a sign, and what.
fn lines(plan: &Plan) -> Vec<PlanLine> {
    let line = |text: &str| match text.split_once(' ') {
        Some((kind, text)) => PlanLine { kind: kind.to_owned(), text: text.to_owned() },
        None => PlanLine { kind: "~".to_owned(), text: text.to_owned() },
    };
    plan.to_string().lines().map(line).collect()
}

fn applied(committed: &Committed) -> ApplyReply {
    ApplyReply { diagnostics: vec![], lines: lines(&committed.plan), revision: committed.revision }
}

/// Writes the running configuration; the old file stays until the new one is whole.
fn save(router: &Router, path: &Path) -> std::io::Result<()> {
    // The file itself, not the link to it.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut beside = path.clone().into_os_string();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let write = || {
        let mut file = std::fs::File::create(&beside)?;
        if let Ok(old) = std::fs::metadata(&path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(router.config.to_yaml().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)
    };
    write().inspect_err(|_| drop(std::fs::remove_file(&beside)))
}
