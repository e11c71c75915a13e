//! Parses the command line, runs it, exits with its code; nothing else.

fn main() {}
