//! Discovery: which images a delivery needs, who named each, and what may be one. The walker is that of `objects`, so what is found is
//! what is rewritten.
//!
//! Sources in order of trust: rendered objects ([`discover`]), annotations of Chart.yaml ([`annotated`]), values of charts ([`of_values`]),
//! the templates' own text ([`of_templates`]). The first two prove an image, the others make guesses, and so do texts in objects; [`Trial`] tells which guesses
//! other values bring. docs/discovery.md tells them apart.

mod annotations;
mod candidate;
mod discover;
mod evidence;
mod explore;
mod pattern;
mod templates;
mod trial;
mod values;

pub use annotations::annotated;
pub use candidate::{Candidate, settle};
pub use discover::{BadImage, Face, Rendering, discover};
pub use evidence::{Evidence, ImageSet};
pub use explore::{Switch, switches};
pub use pattern::matches;
pub use templates::of_templates;
pub use trial::{Render, Trial};
pub use values::of_values;
