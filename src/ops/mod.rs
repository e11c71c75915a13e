//! One file per use case: options in, an outcome out. Nothing here prints.

pub mod install;
pub mod list;
pub mod status;
