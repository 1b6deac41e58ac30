//! Compiles the contract. protox is a protobuf compiler in Rust, so no `protoc` has to be installed.

use std::{env, path::PathBuf};

use prost::Message;

/// What is for everybody.
const PUBLIC: [&str; 11] = [
    "im/v1/auth.proto",
    "im/v1/attachment.proto",
    "im/v1/message.proto",
    "im/v1/group.proto",
    "im/v1/contact.proto",
    "im/v1/block.proto",
    "im/v1/presence.proto",
    "im/v1/profile.proto",
    "im/v1/schedule.proto",
    "im/v1/push.proto",
    "im/v1/info.proto",
];

/// What is for administrators alone.
const ADMIN: &str = "im/v1/admin.proto";

/// What servers of a deployment's own serve, and imd calls.
const HOOK: &str = "im/v1/policy.proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let served = PUBLIC.into_iter().chain([ADMIN]);
    let all = served.clone().chain([HOOK]);
    for file in all.clone() {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(all, ["."])?;
    let served = protox::compile(served, ["."])?;
    let public = protox::compile(PUBLIC, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    std::fs::write(out.join("served.bin"), served.encode_to_vec())?;
    std::fs::write(out.join("public.bin"), public.encode_to_vec())?;
    tonic_prost_build::configure()
        // A body is shared by all the streams it goes out on.
        .bytes(".")
        .codec_path("crate::Codec")
        .compile_fds(descriptors)?;
    Ok(())
}
