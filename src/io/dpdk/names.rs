//! What devices are called, and why one is not to be had: what DPDK itself does not say.

use crate::device::OpenError;
use std::path::Path;

/// The PCI address that a device's name starts with, with its domain.
pub(super) fn pci_address(device: &str) -> Option<String> {
    let address = device.split(',').next()?;
    let address = address.strip_prefix("pci:").unwrap_or(address);
    let parts: Vec<&str> = address.split([':', '.']).collect();
    let hex =
        |text: &&str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    match parts[..] {
        [bus, slot, function] if hex(&bus, 2) && hex(&slot, 2) && hex(&function, 1) => Some(format!("0000:{address}")),
        [domain, bus, slot, function] if hex(&domain, 8) && hex(&bus, 2) && hex(&slot, 2) && hex(&function, 1) => {
            Some(address.to_owned())
        }
        _ => None,
    }
}

/// Says what DPDK doesn't about a PCI device that it can't have.
pub(super) fn look_at_pci(device: &str, address: &str) -> Result<(), OpenError> {
    let folder = Path::new("/sys/bus/pci/devices").join(address.to_lowercase());
    if !folder.exists() {
        return Err(OpenError::Missing { device: device.to_owned() });
    }
    let driver = std::fs::read_link(folder.join("driver")).ok();
    let driver = driver.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    match driver.as_deref() {
        Some("vfio-pci" | "igb_uio" | "uio_pci_generic") => Ok(()),
        other => {
            let has = other
                .map_or_else(|| "no driver has it".to_owned(), |name| format!("the kernel's driver {name} has it"));
            let reason = format!("{has}: give it to vfio-pci (`dpdk-devbind.py --bind=vfio-pci {address}`)");
            Err(OpenError::refused(device, reason))
        }
    }
}

/// Why DPDK did not take a device.
pub(super) fn why_not(device: &str, text: &str) -> String {
    let virtual_device = device.starts_with("net_") || device.starts_with("eth_");
    let hint = match pci_address(device) {
        None if !virtual_device => "; virtual devices are called like their driver, such as net_tap0",
        _ => "",
    };
    format!("DPDK does not take it: {text}{hint}")
}
