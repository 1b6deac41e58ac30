//! Who may do what: each call of the contract, over both transports, with each kind of credentials.

mod credentials;
mod grpc;
mod order;
mod rest;
mod strangers;

pub(crate) use credentials::forgeries;

/// Who may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Anyone,
    User,
    Admin,
}
