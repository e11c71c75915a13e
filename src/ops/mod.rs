//! Use cases: options in, an outcome out. Nothing here prints; outcomes are data that `report` shows or writes as JSON.

pub mod inspect;
pub mod install;
pub mod keygen;
pub mod list;
pub mod sign;
pub mod status;
pub mod verify;
