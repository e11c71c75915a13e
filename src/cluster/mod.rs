//! The cluster: into its nodes, and onto it.

pub mod nodes;
