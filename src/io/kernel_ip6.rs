//! The kernel's own IPv6 on a device that is ours, switched off while we have it: from the same MAC address it makes itself the same
//! link-local address, which our duplicate address detection would find taken; and it would answer for the router.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The kernel's IPv6 on a device, off. It comes back by [`restore`](Self::restore) alone: the name may be another device's by then.
#[derive(Debug)]
pub(crate) struct KernelIp6 {
    switch: PathBuf,
    was_on: bool,
}

impl KernelIp6 {
    /// Switches it off on a device of this thread's network namespace.
    ///
    /// # Errors
    /// The kernel refuses. A kernel without IPv6 has nothing to switch off.
    pub fn off(device: &str) -> io::Result<KernelIp6> {
        Self::off_by(Path::new("/proc/sys/net/ipv6/conf").join(device).join("disable_ipv6"))
    }

    fn off_by(switch: PathBuf) -> io::Result<KernelIp6> {
        let was_on = match fs::read_to_string(&switch) {
            Ok(disabled) => disabled.trim() == "0",
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if was_on {
            fs::write(&switch, "1")?;
        }
        Ok(KernelIp6 { switch, was_on })
    }

    /// Switches it on again if it was. The device is still the same.
    pub fn restore(&self) {
        if self.was_on {
            // Who wants it otherwise says so to the kernel.
            let _ = fs::write(&self.switch, "0");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_on_comes_back_and_nothing_else() {
        let file = std::env::temp_dir().join(format!("millrace-kernel-ip6-{}", std::process::id()));
        for (before, during, after) in [("0\n", "1", "0"), ("1\n", "1\n", "1\n")] {
            fs::write(&file, before).unwrap();
            let kernel = KernelIp6::off_by(file.clone()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), during);
            kernel.restore();
            assert_eq!(fs::read_to_string(&file).unwrap(), after);
        }
        fs::remove_file(&file).unwrap();
        KernelIp6::off_by(file.clone()).unwrap().restore();
        assert!(!file.exists(), "a kernel without IPv6");
        assert!(KernelIp6::off_by(std::env::temp_dir()).is_err());
    }
}
