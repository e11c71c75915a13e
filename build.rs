//! Builds the agent for the nodes.

fn main() {}
