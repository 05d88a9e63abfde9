//! The messages of the vhost-user protocol (docs/interop/vhost-user.rst of QEMU), one by one. Taking them apart is the `vhost` crate's
//! part. An error ends the connection.

use super::Counts;
use super::features::{self, Features};
use super::memory::{Description, REGIONS, Region};
use super::ring::Addresses;
use super::shared::{Shared, Status};
use super::vrings::Vrings;
use std::fs::File;
use std::io;
use std::sync::Arc;
use vhost::vhost_user::message::{
    VhostTransferStateDirection, VhostTransferStatePhase, VhostUserConfigFlags, VhostUserInflight, VhostUserLog,
    VhostUserMemoryRegion, VhostUserProtocolFeatures, VhostUserShMemConfig, VhostUserSharedMsg,
    VhostUserSingleMemoryRegion, VhostUserVringAddrFlags, VhostUserVringState,
};
use vhost::vhost_user::{Error, GpuBackend, Result, VhostUserBackendReqHandlerMut};

/// Our end of a connection.
pub(super) struct Backend {
    shared: Arc<Shared>,
    offered: Features,
    protocol: u64,
    regions: Vec<Region>,
    rings: Vrings,
    /// Who is at the other end.
    peer: String,
}

/// What was not agreed on, so that no other end that keeps to the protocol asks for it.
const NOT_OFFERED: Error = Error::InvalidOperation("it was not offered");

impl Backend {
    /// For a connection from `peer`, to whom `offered` is offered.
    pub fn new(shared: Arc<Shared>, counts: Arc<Counts>, offered: Features, peer: String) -> Backend {
        let rings = Vrings::new(shared.clone(), counts);
        Backend { shared, offered, protocol: 0, regions: Vec::new(), rings, peer }
    }

    /// Looks for rings that workers have ended.
    ///
    /// # Errors
    /// When the connection is to end with them.
    pub fn check(&mut self) -> io::Result<()> {
        self.rings.check()
    }

    /// Shows how things are.
    pub fn show(&self) {
        let up = self.rings.is_up();
        let mut notes = self.rings.problems();
        if !up && notes.is_empty() {
            notes.push("the guest's driver has not started its rings yet".to_owned());
        }
        let sizes: Vec<String> = self.rings.running().iter().map(u16::to_string).collect();
        let bytes: u64 = self.regions.iter().map(|region| region.is().size).sum();
        let modes = vec![
            ("peer", self.peer.clone()),
            ("features", self.rings.features().names()),
            ("protocol-features", features::protocol_names(self.protocol)),
            ("receiving-queues", self.shared.receiving().count_ones().to_string()),
            ("ring-sizes", sizes.join(", ")),
            ("memory", format!("{} MiB in {} regions", bytes >> 20, self.regions.len())),
        ];
        self.shared.show(Status { up, modes, notes });
    }

    /// Whether it was said which features the guest took.
    pub fn has_features(&self) -> bool {
        self.rings.features().protocol()
    }

    /// Whether this part of the protocol was agreed on.
    pub fn has_protocol_feature(&self, feature: VhostUserProtocolFeatures) -> bool {
        self.protocol & feature.bits() != 0
    }

    fn set_regions(&mut self, regions: Vec<Region>) -> io::Result<()> {
        self.rings.set_memory(regions.clone())?;
        self.regions = regions;
        Ok(())
    }
}

fn description(region: &VhostUserMemoryRegion) -> Description {
    Description {
        guest: region.guest_phys_addr,
        user: region.user_addr,
        size: region.memory_size,
        offset: region.mmap_offset,
    }
}

/// Whether it is this region of the guest's memory that is there.
fn same(there: &Region, named: &VhostUserMemoryRegion) -> bool {
    let (there, named) = (there.is(), description(named));
    (there.guest, there.user, there.size) == (named.guest, named.user, named.size)
}

fn wrong(what: impl Into<String>) -> Error {
    Error::ReqHandlerError(io::Error::new(io::ErrorKind::InvalidInput, what.into()))
}

impl VhostUserBackendReqHandlerMut for Backend {
    fn set_owner(&mut self) -> Result<()> {
        Ok(())
    }

    fn reset_owner(&mut self) -> Result<()> {
        self.rings.reset();
        Ok(())
    }

    fn reset_device(&mut self) -> Result<()> {
        Err(NOT_OFFERED)
    }

    fn get_features(&mut self) -> Result<u64> {
        Ok(self.offered.bits())
    }

    fn set_features(&mut self, features: u64) -> Result<()> {
        let more = || wrong(format!("features {:#x} were not offered", features & !self.offered.bits()));
        let taken = self.offered.taken(features).ok_or_else(more)?;
        self.rings.set_features(taken);
        Ok(())
    }

    fn get_protocol_features(&mut self) -> Result<VhostUserProtocolFeatures> {
        Ok(features::PROTOCOL)
    }

    fn set_protocol_features(&mut self, features: u64) -> Result<()> {
        let more = features & !features::PROTOCOL.bits();
        if more != 0 {
            return Err(wrong(format!("protocol features {more:#x} were not offered")));
        }
        self.protocol = features;
        Ok(())
    }

    /// For a network device this is the number of pairs.
    fn get_queue_num(&mut self) -> Result<u64> {
        Ok(self.shared.pairs() as u64)
    }

    fn set_mem_table(
        &mut self,
        regions: &[VhostUserMemoryRegion],
        files: Vec<File>,
        _postcopy: Option<bool>,
    ) -> Result<Option<Vec<u64>>> {
        let map = |(region, file): (&VhostUserMemoryRegion, File)| Region::map(description(region), &file);
        let regions = regions.iter().zip(files).map(map).collect::<io::Result<_>>();
        regions.and_then(|regions| self.set_regions(regions)).map_err(Error::ReqHandlerError)?;
        Ok(None)
    }

    fn get_max_mem_slots(&mut self) -> Result<u64> {
        Ok(REGIONS as u64)
    }

    fn add_mem_region(
        &mut self,
        region: &VhostUserSingleMemoryRegion,
        file: File,
        _postcopy: Option<bool>,
    ) -> Result<Option<u64>> {
        // QEMU before version 8 says this, and that a region goes, once for each pair of rings.
        if self.regions.iter().any(|there| same(there, region)) {
            return Ok(None);
        }
        let mut regions = self.regions.clone();
        regions.push(Region::map(description(region), &file).map_err(Error::ReqHandlerError)?);
        self.set_regions(regions).map_err(Error::ReqHandlerError)?;
        Ok(None)
    }

    fn remove_mem_region(&mut self, region: &VhostUserSingleMemoryRegion) -> Result<()> {
        let kept: Vec<_> = self.regions.iter().filter(|there| !same(there, region)).cloned().collect();
        if kept.len() == self.regions.len() {
            return Ok(());
        }
        self.set_regions(kept).map_err(Error::ReqHandlerError)
    }

    fn set_vring_num(&mut self, index: u32, num: u32) -> Result<()> {
        self.rings.set_size(index, num).map_err(Error::ReqHandlerError)
    }

    fn set_vring_addr(
        &mut self,
        index: u32,
        flags: VhostUserVringAddrFlags,
        descriptors: u64,
        used: u64,
        available: u64,
        _log: u64,
    ) -> Result<()> {
        if !flags.is_empty() {
            return Err(NOT_OFFERED);
        }
        self.rings.set_addresses(index, Addresses { descriptors, available, used }).map_err(Error::ReqHandlerError)
    }

    fn set_vring_base(&mut self, index: u32, base: u32) -> Result<()> {
        self.rings.set_base(index, base).map_err(Error::ReqHandlerError)
    }

    fn get_vring_base(&mut self, index: u32) -> Result<VhostUserVringState> {
        let base = self.rings.take_base(index).map_err(Error::ReqHandlerError)?;
        Ok(VhostUserVringState::new(index, base.into()))
    }

    fn set_vring_kick(&mut self, index: u8, file: Option<File>) -> Result<()> {
        self.rings.set_kick(index, file).map_err(Error::ReqHandlerError)
    }

    fn set_vring_call(&mut self, index: u8, file: Option<File>) -> Result<()> {
        self.rings.set_call(index, file).map_err(Error::ReqHandlerError)
    }

    fn set_vring_err(&mut self, index: u8, file: Option<File>) -> Result<()> {
        self.rings.set_error(index, file).map_err(Error::ReqHandlerError)
    }

    fn set_vring_enable(&mut self, index: u32, enable: bool) -> Result<()> {
        self.rings.set_enabled(index, enable).map_err(Error::ReqHandlerError)
    }

    fn get_config(&mut self, _offset: u32, _size: u32, _flags: VhostUserConfigFlags) -> Result<Vec<u8>> {
        Err(NOT_OFFERED)
    }

    fn set_config(&mut self, _offset: u32, _buf: &[u8], _flags: VhostUserConfigFlags) -> Result<()> {
        Err(NOT_OFFERED)
    }

    fn set_gpu_socket(&mut self, _gpu: GpuBackend) -> Result<()> {
        Err(NOT_OFFERED)
    }

    fn get_shared_object(&mut self, _uuid: VhostUserSharedMsg) -> Result<File> {
        Err(NOT_OFFERED)
    }

    fn get_inflight_fd(&mut self, _inflight: &VhostUserInflight) -> Result<(VhostUserInflight, File)> {
        Err(NOT_OFFERED)
    }

    fn set_inflight_fd(&mut self, _inflight: &VhostUserInflight, _file: File) -> Result<()> {
        Err(NOT_OFFERED)
    }

    fn set_device_state_fd(
        &mut self,
        _direction: VhostTransferStateDirection,
        _phase: VhostTransferStatePhase,
        _file: File,
    ) -> Result<Option<File>> {
        Err(NOT_OFFERED)
    }

    fn check_device_state(&mut self) -> Result<()> {
        Err(NOT_OFFERED)
    }

    fn get_shmem_config(&mut self) -> Result<VhostUserShMemConfig> {
        Err(NOT_OFFERED)
    }

    fn set_log_base(&mut self, _log: &VhostUserLog, _file: File) -> Result<()> {
        Err(NOT_OFFERED)
    }
}
