//! delivery.yaml: what a person asks for, and the record of it that travels in the archive.

pub mod record;
