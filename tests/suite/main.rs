//! suite

mod nodes;
