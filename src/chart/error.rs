//! What rendering can fail with, in the words of `helm template`.

/// A failed render.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A template that does not parse: `parse error at (chart/templates/x.yaml:1): …`.
    #[error("{0}")]
    Parse(String),
    /// A template that failed while it ran; `required` and `fail` read `execution error at (…): …`.
    #[error("{0}")]
    Execution(String),
    /// A limit on untrusted charts was reached.
    #[error(
        "rendering {template} was ended at {place}: {limit}, which is the most that a chart may use; if it can be trusted, \
         render it with helm and deliver what comes out as manifests"
    )]
    Budget {
        /// The file that was being executed.
        template: String,
        /// Where: `template:line:column`.
        place: String,
        /// Which limit, with its value.
        limit: String,
    },
    /// A manifest with bytes that are no UTF-8, in go-yaml's words (`yaml_parser_update_buffer`).
    #[error("YAML parse error on {0}: error converting YAML to JSON: yaml: invalid leading UTF-8 octet")]
    NotText(String),
    /// It panicked: a fault of this program, or no memory for the stack.
    #[error("rendering panicked; that is a fault of this program")]
    Panic,
}
