//! Integration tests: the commands, the engines against their oracles, the cluster.

mod delivery;
mod nodes;
mod registry;
mod release;
mod support;
