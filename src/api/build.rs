//! Compiles the contract with protox, so that no protoc is needed, and keeps its descriptors for server reflection.
use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=millrace.proto");
    println!("cargo:rerun-if-changed=millrace");

    let descriptors = protox::compile(["millrace.proto"], ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("millrace.v1.bin"), descriptors.encode_to_vec())?;

    // A listing is printed as JSON or YAML by serializing its message: keys are the field names, an unset optional
    // field is null. `details` is only there when it was asked for.
    tonic_prost_build::configure()
        .btree_map(".")
        .type_attribute(".", "#[derive(serde::Serialize)]")
        .field_attribute("Interface.details", "#[serde(skip_serializing_if = \"Option::is_none\")]")
        .compile_fds(descriptors)?;
    Ok(())
}
