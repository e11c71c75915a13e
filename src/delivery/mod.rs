//! delivery.yaml: what a person asks for; delivery.lock: what that was resolved to; and the record of it that travels in the archive.

mod diagnostic;
mod lock;
mod model;
mod parse;
pub mod record;
mod schema;
mod types;
mod validate;

pub use diagnostic::{DeliveryError, Diagnostic};
pub use lock::{LOCK_MAX, Lock, LockedAttachment, LockedChart, LockedDependency, LockedImage, LockedTag};
pub use model::{App, AppSource, ChartSource, Delivery, ImageEntry, Install, Profile, SourceOptions, Spec};
pub use parse::{TEXT_MAX, parse};
pub use schema::{lock_schema_json, schema_json};
pub use types::{Guesses, Pick as WrittenPick, TagPolicy as WrittenPolicy};
