//! The protocols around the contract: what any client of gRPC, gRPC-web or a browser counts on.

mod compression;
mod cors;
mod deadlines;
mod details;
mod grpc_web;
mod raw;
mod services;
