//! The wire contract of imd: messages, clients and server traits of package `im.v1`.
//!
//! The commented files in `proto/im/v1` are the documentation; this crate is what they compile to.

mod codec;
mod content;

pub use codec::Codec;

/// Package `im.v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod v1 {
    tonic::include_proto!("im.v1");
}

/// The encoded `FileDescriptorSet` of what imd serves.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/served.bin"));

/// The same without what is for administrators alone: for the server reflection of the public listener,
/// which tells strangers of nothing that it does not serve.
pub const PUBLIC_FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/public.bin"));
