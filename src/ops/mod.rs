//! Use cases: options in, an outcome out. Nothing here prints; outcomes are data that `report` shows or writes as JSON.

pub mod inspect;
pub mod keygen;
pub mod sign;
pub mod verify;
//! One file per use case: options in, an outcome out. Nothing here prints.

pub mod install;
pub mod list;
pub mod status;
