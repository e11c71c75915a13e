//! Files: every error names its path and what was tried, every read has an upper bound, every write of a whole file is atomic.

mod error;
mod file;
mod positioned;
mod writeback;

pub use error::FileError;
pub use file::{
    NewFile, allocated, create_private, create_private_folder, create_public, folder_of, free_space, part_of, read_capped, read_capped_text, remove_if_there,
    rename, sync_parent, write_atomic, write_private_atomic,
};
pub use positioned::{read_at, read_exact_at, write_all_at};
pub use writeback::{Writeback, Written};
