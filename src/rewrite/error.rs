//! Why images cannot be renamed, or are not all there.

use crate::oci::{Reference, ReferenceError};

/// A failure of rewriting.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// An image cannot have the new name.
    #[error("the image {image} cannot be moved to `{registry}`")]
    Name {
        /// The image.
        image: Box<Reference>,
        /// The new host and path.
        registry: String,
        /// Why.
        #[source]
        source: ReferenceError,
    },
    /// Two images would get one name.
    #[error("the images {first} and {second} would both be called {name}; give them different tags, or leave out spec.registry")]
    Collision {
        /// The new name.
        name: Box<Reference>,
        /// One image.
        first: Box<Reference>,
        /// The other.
        second: Box<Reference>,
    },
    /// An object names an image that did not travel.
    #[error("{object} ({template}, {pointer}) needs the image {image}, which is not in the archive")]
    NotPacked {
        /// The object, as in `Deployment/web`.
        object: String,
        /// The template that it came from.
        template: String,
        /// Where in the object.
        pointer: String,
        /// The image, as the object names it.
        image: String,
    },
    /// An object names something that is no image.
    #[error("{object} ({template}, {pointer}) names an image that is none")]
    BadImage {
        /// The object, as in `Deployment/web`.
        object: String,
        /// The template that it came from.
        template: String,
        /// Where in the object.
        pointer: String,
        /// Why.
        #[source]
        source: ReferenceError,
    },
    /// A document cannot be edited.
    #[error("cannot rewrite {object} ({template}): {reason}")]
    Document {
        /// The object, as in `Deployment/web`.
        object: String,
        /// The template that it came from.
        template: String,
        /// Why.
        reason: String,
    },
}
