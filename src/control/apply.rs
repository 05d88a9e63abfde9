//! From one configuration to another while everything runs: the steps of the plan, one by one; when one of them fails,
//! those that were done are undone.

use super::Router;
use super::events::Severity;
use super::history::Pending;
use super::routes::{Hop, Origin, Path, Source};
use millrace_config::{Change, Config, Name, NeighborKey, NextHop, Op, Plan, Route, RouteKey, Setting, State, plan};
use millrace_wire::MacAddr;
use std::time::{Duration, Instant};

/// Why a configuration was not applied. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// These steps can't be taken while the daemon runs.
    #[error("{} needs a restart of the daemon:\n{}", if .0.len() == 1 { "this change" } else { "these changes" }, .0.join("\n"))]
    Restart(Vec<String>),
    /// A step failed.
    #[error("{step}: {error}")]
    Failed {
        /// The step, as a plan shows it.
        step: String,
        /// What was wrong.
        error: String,
    },
    /// There is no such revision.
    #[error("there is no revision {0}; `config history` lists those that are kept")]
    NoRevision(u64),
}

/// What was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The steps that were taken.
    pub plan: Plan,
    /// The revision that runs now.
    pub revision: u64,
}

impl Router {
    /// Makes `wanted` the running configuration. What is the same already makes no new revision.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn commit(&mut self, wanted: Config, source: &'static str) -> Result<Committed, CommitError> {
        let plan = plan(&self.config, &wanted);
        if plan.is_empty() && self.history.running() > 0 {
            return Ok(Committed { plan, revision: self.history.running() });
        }
        let restart: Vec<String> = plan.ops.iter().filter(|op| self.needs_restart(op)).map(Op::to_string).collect();
        if !restart.is_empty() {
            return Err(CommitError::Restart(restart));
        }
        let taken = self.take(&plan);
        self.wake_for_routes();
        taken?;
        self.attach_queues();
        self.config = wanted;
        let revision = self.history.add(source, plan.clone());
        let summary = self.history.newest_first().next().map(super::history::Revision::summary).unwrap_or_default();
        self.tell(Severity::Info, "config".to_owned(), format!("revision {revision} by {source}: {summary}"));
        Ok(Committed { plan, revision })
    }

    /// Makes `wanted` the running configuration, to be undone unless [`confirm`](Self::confirm) comes in time.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn commit_for(&mut self, wanted: Config, time: Duration) -> Result<Committed, CommitError> {
        let back_to = self.history.pending.map_or(self.history.running(), |pending| pending.back_to);
        let committed = self.commit(wanted, "apply")?;
        self.history.pending = Some(Pending { back_to, deadline: Instant::now() + time });
        self.control.wake();
        Ok(committed)
    }

    /// Keeps the configuration that waits to be confirmed. False when none does.
    pub fn confirm(&mut self) -> bool {
        self.history.pending.take().is_some()
    }

    /// Returns to an earlier revision; the one before the running one when none is named. What waits to be confirmed
    /// waits no more.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn rollback(&mut self, to: Option<u64>, source: &'static str) -> Result<Committed, CommitError> {
        let to = to.unwrap_or(self.history.running().saturating_sub(1));
        let wanted = self.history.config(to, &self.config).ok_or(CommitError::NoRevision(to))?;
        let committed = self.commit(wanted, source)?;
        self.history.pending = None;
        Ok(committed)
    }

    /// Undoes what was not confirmed in time.
    pub(super) fn run_pending(&mut self, now: Instant) {
        let Some(pending) = self.history.pending.filter(|pending| pending.deadline <= now) else { return };
        self.history.pending = None;
        if let Err(error) = self.rollback(Some(pending.back_to), "confirm timeout") {
            let text = format!("what was not confirmed can't be undone: {error}");
            self.tell(Severity::Error, "config".to_owned(), text);
        }
    }

    /// A command-line socket stands above the configuration's, so that this one may change. DPDK starts once in a process.
    fn needs_restart(&self, op: &Op) -> bool {
        match op {
            Op::ApiSet(_) => !self.options.socket_given,
            Op::DpdkSet(_) => self.dpdk_started,
            _ => op.restart_required(),
        }
    }

    fn take(&mut self, plan: &Plan) -> Result<(), CommitError> {
        self.set_under_way(true);
        for (done, op) in plan.ops.iter().enumerate() {
            if let Err(error) = self.step(op) {
                for op in plan.ops[..done].iter().rev().map(Op::inverse) {
                    if let Err(error) = self.step(&op) {
                        self.tell(Severity::Error, "config".to_owned(), format!("undoing failed: {op}: {error}"));
                    }
                }
                self.set_under_way(false);
                self.follow_nat44();
                self.follow_features();
                self.attach_queues();
                return Err(CommitError::Failed { step: op.to_string(), error });
            }
        }
        self.set_under_way(false);
        self.follow_nat44();
        self.follow_features();
        self.announce_added(plan);
        Ok(())
    }

    /// Takes one step. When it fails, it has changed nothing.
    fn step(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::WorkersSet(_) | Op::BuffersSet(_) => Err("needs a restart".to_owned()),
            Op::DpdkSet(change) => {
                self.config.dpdk = change.to.clone();
                Ok(())
            }
            Op::ApiSet(_) => Ok(()),
            Op::VrfAdd(name) => {
                let table = self.routes.add_table().map_err(|error| error.to_string())?;
                self.vrfs.insert(name.clone(), table);
                Ok(())
            }
            Op::VrfRemove(name) => {
                if let Some(table) = self.vrfs.remove(name) {
                    self.routes.remove_table(table);
                }
                Ok(())
            }
            Op::BridgeAdd { name, bridge } => {
                self.set_bridge(name, Some(bridge));
                Ok(())
            }
            Op::BridgeSet { name, change } => {
                self.set_bridge(name, Some(&change.to));
                Ok(())
            }
            Op::BridgeRemove { name, .. } => {
                self.set_bridge(name, None);
                Ok(())
            }
            Op::InterfaceCreate { name, interface } => self.create_interface(name, interface),
            Op::InterfaceRemove { name, .. } => {
                let index = self.interface_index(name)?;
                self.remove_interface(index);
                Ok(())
            }
            Op::InterfaceSet { name, setting } => self.set_interface(self.interface_index(name)?, setting),
            Op::AddressAdd(address) => {
                self.add_address(self.interface_index(&address.interface)?, address.address, address.at)
            }
            Op::AddressRemove(address) => {
                self.remove_address(self.interface_index(&address.interface)?, address.address);
                Ok(())
            }
            Op::RouteAdd { key, route } => self.set_route(key, route),
            Op::RouteReplace { key, change } => self.set_route(key, &change.to),
            Op::RouteRemove { key, .. } => {
                let table = self.table(&key.vrf)?;
                self.routes.unset(table, key.prefix, Source(Origin::Static, 0));
                Ok(())
            }
            Op::NeighborAdd { key, mac } | Op::NeighborReplace { key, change: Change { to: mac, .. } } => {
                let (key, mac) = (self.neighbor_key(key)?, MacAddr(mac.0));
                let actions = self.neighbors.set_static(key, mac, Instant::now());
                self.act(actions);
                Ok(())
            }
            Op::NeighborRemove { key, .. } => {
                let key = self.neighbor_key(key)?;
                let actions = self.neighbors.remove(key).into_iter().collect();
                self.act(actions);
                Ok(())
            }
            Op::Nat44Set(change) => self.set_nat44(&change.to),
            Op::PolicyRoutesSet(change) => self.set_policy_routes(&change.to),
            Op::MirrorsSet(change) => {
                self.set_mirrors(&change.to);
                Ok(())
            }
            Op::LldpSet(change) => {
                self.set_lldp(&change.to);
                Ok(())
            }
        }
    }

    fn set_interface(&mut self, index: u32, setting: &Setting) -> Result<(), String> {
        let table = match setting {
            Setting::Vrf(change) => self.table(&change.to)?,
            // Others are told while that can still be sent.
            Setting::State(change) if change.to == State::Down => {
                self.stop_advertising(index);
                self.end_lldp_port(index);
                self.quiet_bond(index);
                0
            }
            Setting::RouterAdvertisements(change) => {
                self.set_router_advertisements(index, change.to.clone());
                return Ok(());
            }
            _ => 0,
        };
        let Some(interface) = self.interfaces.get_mut(index) else { return Err("no such interface".to_owned()) };
        let name = interface.name.clone();
        match setting {
            Setting::Mtu(change) => {
                if let Some(device) = &mut interface.device {
                    device.set_mtu(change.to.into()).map_err(|error| format!("{name}: mtu {}: {error}", change.to))?;
                }
                (interface.mtu, interface.wanted_mtu) = (change.to, change.to);
            }
            Setting::Mac(change) => {
                let mac = change.to.map_or(interface.unset_mac, |mac| MacAddr(mac.0));
                if let Some(device) = &mut interface.device {
                    device.set_mac(mac.0).map_err(|error| format!("{name}: its address can't be set: {error}"))?;
                }
                (interface.mac, interface.wanted_mac) = (mac, change.to);
            }
            Setting::State(change) => interface.state = change.to,
            Setting::Vrf(change) => interface.vrf = (change.to.clone(), table),
            Setting::Urpf(change) => interface.urpf = change.to,
            Setting::MssClamp(change) => interface.mss_clamp = change.to,
            Setting::CrossConnect(change) => interface.cross_connect = change.to.clone(),
            Setting::Bridge(change) => interface.bridge = change.to.clone(),
            Setting::Driver(change) => interface.driver = change.to.clone(),
            // Done above.
            Setting::RouterAdvertisements(_) => {}
        }
        if matches!(setting, Setting::CrossConnect(_)) {
            self.follow_cross_connects();
        }
        self.refresh(index).map_err(|error| error.to_string())?;
        if matches!(setting, Setting::Mac(_) | Setting::State(_)) {
            self.announce(index);
        }
        Ok(())
    }

    fn set_route(&mut self, key: &RouteKey, route: &Route) -> Result<(), String> {
        let (table, prefix, path) = (self.table(&key.vrf)?, key.prefix, self.path(route)?);
        self.routes.set(table, prefix, Source(Origin::Static, 0), path).map_err(|error| error.to_string())
    }

    /// Where a route leads.
    pub(super) fn path(&self, route: &Route) -> Result<Path, String> {
        Ok(match route {
            Route::Via(hops) => Path::Via(hops.iter().map(|hop| self.hop(hop)).collect::<Result<_, _>>()?),
            Route::NextVrf(vrf) => Path::NextVrf(self.table(vrf)?),
            Route::Blackhole => Path::Blackhole,
            Route::Unreachable => Path::Unreachable,
            Route::Prohibit => Path::Prohibit,
        })
    }

    fn hop(&self, hop: &NextHop) -> Result<Hop, String> {
        let interface = hop.interface.as_ref().map(|name| self.interface_index(name)).transpose()?;
        Ok(Hop { gateway: hop.gateway, interface, weight: hop.weight })
    }

    fn neighbor_key(&self, key: &NeighborKey) -> Result<super::neighbors::Key, String> {
        Ok((self.interface_index(&key.interface)?, key.address))
    }

    /// The number of a VRF's table.
    pub(super) fn table(&self, vrf: &Name) -> Result<u32, String> {
        self.vrfs.get(vrf).copied().ok_or_else(|| format!("no vrf \"{vrf}\""))
    }

    /// The number of an interface.
    pub(super) fn interface_index(&self, name: &Name) -> Result<u32, String> {
        self.interfaces.index(name).ok_or_else(|| format!("no interface \"{name}\""))
    }
}
