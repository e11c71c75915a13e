//! Integration tests: the commands, the engines against their oracles, the cluster.

mod delivery;
//! suite

mod nodes;
mod release;
