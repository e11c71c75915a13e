//! Discovery: which images a delivery needs, and who named each. The walker is that of `objects`, so what is found is what is rewritten.

mod discover;
mod pattern;
mod set;

pub use discover::{BadImage, Rendering, discover};
pub use pattern::matches;
pub use set::ImageSet;
