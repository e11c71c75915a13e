//! The Helm chart engine.

pub mod engine;
pub mod error;
mod funcs;
mod gotmpl;
mod lower;
mod value;
