//! Compiles the contract. protox is a protobuf compiler in Rust, so no `protoc` has to be installed.

use std::{env, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["auth", "message", "group", "contact", "block", "info", "admin"]
        .map(|name| format!("im/v1/{name}.proto"));
    for file in &files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // A body is shared by all the streams it goes out on.
        .bytes(".")
        .codec_path("crate::Codec")
        .compile_fds(descriptors)?;
    Ok(())
}
