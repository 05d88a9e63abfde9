//! Compiles the shim and links DPDK. What the drivers register themselves by is referenced by nothing, so their archives come whole.

use std::error::Error;
use std::process::Command;

/// In every binary: buses, drivers of virtual devices, and those of the cards that need no library beyond Debian's DPDK.
const DRIVERS: [&str; 32] = [
    "bus_pci",
    "bus_vdev",
    "common_iavf",
    "common_idpf",
    "mempool_ring",
    // What finds a device's ports registers itself, too.
    "ethdev",
    // Virtual devices.
    "net_af_packet",
    "net_memif",
    "net_null",
    "net_pcap",
    "net_ring",
    "net_tap",
    "net_vhost",
    "net_bond",
    // Virtual machines and clouds.
    "net_ena",
    "net_gve",
    "net_virtio",
    "net_vmxnet3",
    // Cards.
    "net_atlantic",
    "net_axgbe",
    "net_bnxt",
    "net_cxgbe",
    "net_e1000",
    "net_enic",
    "net_fm10k",
    "net_i40e",
    "net_iavf",
    "net_ice",
    "net_igc",
    "net_ionic",
    "net_ixgbe",
    "net_nfp",
];

/// What the drivers need, each before what it needs itself.
const LIBRARIES: [&str; 20] = [
    "vhost",
    "gso",
    "sched",
    "cryptodev",
    "dmadev",
    "bpf",
    "security",
    "hash",
    "rcu",
    "ip_frag",
    "timer",
    "meter",
    "net",
    "pci",
    "mbuf",
    "mempool",
    "ring",
    "eal",
    "telemetry",
    "kvargs",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_DPDK").is_none() {
        return Ok(());
    }
    let version = pkg_config("--modversion")?;
    if !version.starts_with("22.11.") {
        println!("cargo:warning=the shim was written for DPDK 22.11, here is {}", version.trim());
    }
    let mut shim = cc::Build::new();
    for flag in pkg_config("--cflags")?.split_whitespace() {
        shim.flag(flag);
    }
    shim.files(["shim/eal.c", "shim/pool.c", "shim/port.c", "shim/burst.c"]).opt_level(3);
    // In a program thread-local storage is an offset to a register.
    shim.flag("-std=gnu11")
        .define("ALLOW_EXPERIMENTAL_API", None)
        .flag("-ftls-model=initial-exec")
        .warnings(true)
        .extra_warnings(true)
        .try_compile("millrace_dpdk")?;

    let folder = pkg_config("--variable=libdir")?;
    println!("cargo:rustc-link-search=native={}", folder.trim());
    for driver in DRIVERS {
        println!("cargo:rustc-link-lib=static:+whole-archive,-bundle=rte_{driver}");
    }
    for library in LIBRARIES {
        println!("cargo:rustc-link-lib=static:-bundle=rte_{library}");
    }
    for library in ["pcap", "numa", "bsd", "z", "m"] {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
    Ok(())
}

fn pkg_config(question: &str) -> Result<String, Box<dyn Error>> {
    let answer = Command::new("pkg-config").args([question, "libdpdk"]).output();
    match answer {
        Ok(answer) if answer.status.success() => Ok(String::from_utf8(answer.stdout)?),
        _ => Err("DPDK's headers and libraries are missing: install libdpdk-dev and pkg-config (`make packages` does), or build without the feature `dpdk` (`make DPDK=off`)".into()),
    }
}
