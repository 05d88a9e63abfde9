//! DPDK's environment (EAL): started once a process, by the first interface that needs it.

use super::{log, port};
use crate::spec::Eal;
use dpdk_sys as sys;
use millrace_engine::memory::HugePages;
use std::ffi::CString;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What the kernel tells of huge pages of 2 MiB.
const PAGES: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";
/// A PCI address with no device that a driver is for. As devices are named to the environment, it takes those alone.
const NO_DEVICE: &str = "0000:00:00.0";
/// Arguments that end the process, or contradict what the router's memory needs.
const FORBIDDEN: [&str; 12] = [
    "-h",
    "--help",
    "-v",
    "--version",
    "-m",
    "--socket-mem",
    "--in-memory",
    "--no-huge",
    "--no-shconf",
    "--iova-mode",
    "--proc-type",
    "--file-prefix",
];

/// What the environment was started with, and how that went.
static STARTED: Mutex<Option<(Eal, Result<Started, String>)>> = Mutex::new(None);

/// The environment as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Started {
    /// Whether its own memory lies in huge pages.
    pub huge: bool,
}

/// Starts the environment, or finds that it runs. The error tells the operator what to do.
pub(super) fn start(eal: &Eal) -> Result<Started, String> {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((with, result)) = &*started {
        return match result {
            Ok(_) if with != eal => {
                Err("DPDK runs with other settings (`dpdk:`), which it takes once: the new ones need a restart".into())
            }
            Ok(running) => Ok(*running),
            Err(error) => Err(format!("{error}; DPDK can be started once: another try needs a restart")),
        };
    }
    if let Some(argument) = eal.arguments.iter().find(|a| FORBIDDEN.iter().any(|f| names(a, f))) {
        return Err(format!("DPDK can't be given the argument {argument}: the router sets its memory, mode and files"));
    }
    // The environment binds the thread that starts it to a processor: not one of ours.
    let settings = eal.clone();
    let thread = std::thread::Builder::new().name("dpdk-start".into()).spawn(move || start_here(&settings));
    let result = match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err("DPDK could not be started".into()),
        Err(error) => Err(format!("DPDK could not be started: {error}")),
    };
    *started = Some((eal.clone(), result.clone()));
    result
}

/// Whether an argument is this option, with or without a value.
fn names(argument: &str, option: &str) -> bool {
    match argument.strip_prefix(option) {
        Some(rest) => rest.is_empty() || rest.starts_with('=') || !option.starts_with("--"),
        None => false,
    }
}

/// The environment's arguments, and whether its memory lies in huge pages.
fn arguments(eal: &Eal, free_pages: u64, processor: usize) -> Result<(Vec<String>, bool), String> {
    let need = u64::from(eal.memory_mib.div_ceil(2));
    let huge = match eal.huge_pages {
        HugePages::Off => false,
        HugePages::Auto => free_pages >= need,
        HugePages::Required if free_pages >= need => true,
        HugePages::Required => {
            return Err(format!(
                "DPDK needs {need} free huge pages of 2 MiB, here are {free_pages}: reserve more (`sysctl vm.nr_hugepages`), or set \
                 `huge-pages: auto` below `dpdk:`"
            ));
        }
    };
    let mut all: Vec<String> = vec!["millrace".into(), "--no-telemetry".into(), "--iova-mode=va".into()];
    all.push(format!("--file-prefix=millrace-{}", std::process::id()));
    // Two ways without files: in memory, for which there is no word together with ordinary pages.
    let mode: &[&str] = if huge { &["--in-memory"] } else { &["--no-huge", "--no-shconf"] };
    all.extend(mode.iter().map(ToString::to_string));
    all.extend(["-m".into(), eal.memory_mib.to_string()]);
    let given = |options: &[&str]| eal.arguments.iter().any(|a| options.iter().any(|o| names(a, o)));
    if !given(&["-l", "-c", "--lcores"]) {
        all.push(format!("--lcores=0@{processor}"));
    }
    if !given(&["-a", "--allow", "-b", "--block", "--no-pci"]) {
        all.extend(["-a".into(), NO_DEVICE.into()]);
    }
    all.extend(eal.arguments.iter().cloned());
    Ok((all, huge))
}

fn start_here(eal: &Eal) -> Result<Started, String> {
    let (arguments, huge) = arguments(eal, free_pages(), first_processor())?;
    tracing::info!("starting DPDK: {}", arguments.join(" "));
    let strings = arguments.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>();
    let strings = strings.map_err(|_| "an argument for DPDK has a zero byte in it".to_owned())?;
    let count = strings.len() as i32;
    // For the environment to keep.
    let mut pointers: Vec<_> = strings.into_iter().map(CString::into_raw).collect();
    pointers.push(std::ptr::null_mut());
    let pointers = pointers.leak();
    // SAFETY: `count` strings that stay, and a null pointer behind them; `STARTED` sees to it that this is the first call.
    let result = log::explain(|| unsafe { sys::mr_start(count, pointers.as_mut_ptr(), log::write) });
    result.map_err(|(_, text)| format!("DPDK could not be started: {text}"))?;
    clean();
    port::watch();
    Ok(Started { huge })
}

/// How many huge pages of 2 MiB nobody has taken, or is promised: a mapping that nobody has written to yet.
fn free_pages() -> u64 {
    let read = |name| std::fs::read_to_string(Path::new(PAGES).join(name)).ok()?.trim().parse::<u64>().ok();
    read("free_hugepages").unwrap_or(0).saturating_sub(read("resv_hugepages").unwrap_or(0))
}

/// The environment makes a folder even where it has no files to put there.
fn clean() {
    // SAFETY: the environment runs.
    let folder = unsafe { port::text(sys::mr_runtime_dir()) };
    let folder = Path::new(&folder);
    let _ = std::fs::remove_dir(folder);
    // The one above is removed if no other program uses it.
    let _ = folder.parent().map(std::fs::remove_dir);
}

/// The first processor that we may run on.
fn first_processor() -> usize {
    // SAFETY: all bits zero is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes a set of this size.
    if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) } != 0 {
        return 0;
    }
    // SAFETY: below the size of the set.
    (0..libc::CPU_SETSIZE as usize).find(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eal(huge_pages: HugePages, arguments: &[&str]) -> Eal {
        Eal { arguments: arguments.iter().map(ToString::to_string).collect(), huge_pages, memory_mib: 65 }
    }

    #[test]
    fn huge_pages_are_used_where_enough_are_free() {
        let huge = |pages, free| arguments(&eal(pages, &[]), free, 1).map(|(all, huge)| (all.join(" "), huge));
        let (line, is) = huge(HugePages::Auto, 33).unwrap();
        assert!(
            is && line.contains("--in-memory -m 65") && line.contains("--lcores=0@1") && !line.contains("--no-huge"),
            "{line}"
        );
        let (line, is) = huge(HugePages::Auto, 32).unwrap();
        assert!(!is && line.contains("--no-huge --no-shconf -m 65") && !line.contains("--in-memory"), "{line}");
        assert!(!huge(HugePages::Off, 100).unwrap().1);
        assert!(huge(HugePages::Required, 33).unwrap().1);
        let error = huge(HugePages::Required, 32).unwrap_err();
        assert!(error.contains("needs 33 free huge pages") && error.contains("here are 32"), "{error}");
    }

    #[test]
    fn the_operators_arguments_win_where_they_may() {
        let (all, _) = arguments(&eal(HugePages::Off, &["-l", "3", "-b0000:01:00.0"]), 0, 1).unwrap();
        let line = all.join(" ");
        assert!(
            !line.contains("--lcores") && !line.contains("-a 0000:00:00.0") && line.ends_with("-l 3 -b0000:01:00.0"),
            "{line}"
        );
        for bad in ["--in-memory", "--iova-mode=pa", "-m512", "--help"] {
            let error = start(&eal(HugePages::Off, &[bad])).unwrap_err();
            assert!(error.contains(&format!("can't be given the argument {bad}")), "{error}");
        }
    }
}
