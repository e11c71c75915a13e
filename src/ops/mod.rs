//! One file per use case: options in, an outcome out. Nothing here prints; outcomes are data that `report` shows or writes as JSON.

mod charts;
mod deep;
pub mod diff;
pub mod export;
pub mod extract;
mod faces;
mod guesses;
pub mod images;
mod inputs;
pub mod inspect;
pub mod install;
pub mod keygen;
pub mod list;
pub mod lock;
pub mod nodes;
pub mod outdated;
mod prepare;
pub mod reach;
pub mod registry;
pub mod sbom;
pub mod schemas;
mod several;
pub mod sign;
pub mod status;
mod tags;
pub mod template;
pub mod trust;
pub mod verify;
pub mod version;
pub mod watch;

pub use charts::{ChartAccess, locate};
pub use deep::{DeepOutcome, LeftOut, Without};
pub use guesses::{Ask, Guess};
pub use inputs::{read_delivery, read_values};
