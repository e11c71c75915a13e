//! TLS to servers: whom a connection trusts besides the machine's authorities, and who it says we are; from files, and from the folders in which docker and
//! podman keep them.

mod certificate;
mod client;
mod folder;
mod identity;
mod verifier;

pub(crate) use client::{Tls, TlsError};
