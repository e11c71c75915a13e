//! Kubernetes documents: split, ordered, walked for images, edited in place.
//!
//! [`image_slots`] is the one walker: what it finds is what is carried, and what is rewritten.

mod definition;
mod document;
pub mod edit;
mod edits;
mod embedded;
mod mention;
mod operators;
mod order;
mod split;
mod walk;

pub use definition::may_default_an_image;
pub use document::{Document, Gvk, ObjectError, ObjectId, documents};
pub use edits::Edits;
pub use mention::{Care, Mention, mentions, names_image, shape};
pub use order::{install_rank, sort_for_install, sort_for_install_helm4, sort_for_uninstall};
pub use split::{split, split_helm4};
pub use walk::{ImageSlot, PolicySlot, SlotKind, SlotSource, image_slots, pull_policies};
