//! suite
mod release;
