//! What images are called on the other side: the plan of new names, the chart's own registry key, and the objects themselves.
//!
//! Pure: nothing here reads or writes anything.

mod documents;
mod error;
mod keys;
mod plan;

pub use documents::{Place, rewrite, rewrite_value, slots};
pub use error::RewriteError;
pub use keys::{KNOWN_KEYS, KeyTrial, Render, Slot, choose, set};
pub use plan::{ImageNames, Plan, image_names};
