//! Why a chart could not be read.

use crate::goyaml::YamlError;

/// A chart that could not be loaded; in Helm's words where Helm has some.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// No Chart.yaml.
    #[error("Chart.yaml file is missing")]
    Missing,
    /// A file of the chart is not what it should be.
    #[error("cannot load {file}: error converting YAML to JSON: {source}")]
    Yaml {
        /// The file.
        file: String,
        /// What is wrong with it.
        #[source]
        source: YamlError,
    },
    /// A file of the chart has the wrong shape.
    #[error("cannot load {file}: error unmarshaling JSON: while decoding JSON: {problem}")]
    Shape {
        /// The file.
        file: String,
        /// What was found where what was wanted.
        problem: String,
    },
    /// Chart.yaml breaks a rule.
    #[error("validation: {0}")]
    Invalid(String),
    /// A subchart could not be loaded.
    #[error("error unpacking subchart {subchart} in {chart}: {source}")]
    Subchart {
        /// Its entry under charts/.
        subchart: String,
        /// The chart that holds it.
        chart: String,
        /// Why.
        #[source]
        source: Box<ChartError>,
    },
    /// .helmignore has a pattern that cannot be read.
    #[error("cannot parse .helmignore: {0}")]
    Ignore(String),
    /// The archive is damaged or unsafe.
    #[error("chart archive: {0}")]
    Archive(String),
    /// The archive could not be read.
    #[error("cannot unpack the chart archive")]
    Unpack(#[source] std::io::Error),
    /// All of it together is more than a chart may be.
    #[error("the chart has more than {0}, its subcharts and what is unpacked counted in: no chart needs as many, so it is refused")]
    Budget(String),
    /// Something is larger than a chart may be.
    #[error("{subject} has {found} bytes, at most {limit} are accepted")]
    TooLarge {
        /// The file, or the whole chart.
        subject: String,
        /// Bytes found.
        found: u64,
        /// Bytes accepted.
        limit: u64,
    },
}
