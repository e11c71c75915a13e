//! delivery.yaml: what a person asks for, and the record of it that travels in the archive.

mod diagnostic;
mod model;
mod parse;
pub mod record;
mod schema;
mod types;
mod validate;

pub use diagnostic::{DeliveryError, Diagnostic};
pub use model::{App, AppSource, ChartSource, Delivery, ImageEntry, Profile, SourceOptions, Spec};
pub use parse::{TEXT_MAX, parse};
pub use schema::schema_json;
