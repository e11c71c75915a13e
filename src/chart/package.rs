//! A chart as .tgz: the same files give the same bytes.

use std::io::Write as _;

use flate2::{Compression, GzBuilder};

use super::{Chart, ChartError};
use crate::tree::FileTree;

impl Chart {
    /// Packs the chart as it was loaded, under a folder of its name, with Chart.yaml first as Helm has it, and without times.
    pub fn package(&self) -> Result<Vec<u8>, ChartError> {
        let first = self.raw.iter().filter(|file| file.name == "Chart.yaml");
        let rest = self.raw.iter().filter(|file| file.name != "Chart.yaml");
        pack(self.name(), first.chain(rest).map(|file| (file.name.as_str(), file.data.as_ref())))
    }
}

/// Packs files under a folder, in the order of their paths.
pub fn package(folder: &str, tree: &FileTree) -> Result<Vec<u8>, ChartError> {
    pack(folder, tree.iter().map(|(path, content)| (path.as_str(), content.as_ref())))
}

fn pack<'a>(folder: &str, files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Vec<u8>, ChartError> {
    // No name and no time in the gzip header, and a fixed "operating system": nothing but the content decides.
    let gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    let mut tar = tar::Builder::new(gzip);
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, format!("{folder}/{name}"), data).map_err(ChartError::Unpack)?;
    }
    let mut gzip = tar.into_inner().map_err(ChartError::Unpack)?;
    gzip.flush().map_err(ChartError::Unpack)?;
    gzip.finish().map_err(ChartError::Unpack)
}
