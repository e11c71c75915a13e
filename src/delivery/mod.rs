//! delivery.yaml: what a person asks for, and the record of it that travels in the archive.

mod diagnostic;
mod model;
pub mod record;
mod types;
mod validate;

pub use diagnostic::{DeliveryError, Diagnostic};
pub use model::{App, AppSource, Delivery, ImageEntry, Profile, SourceOptions, Spec};
