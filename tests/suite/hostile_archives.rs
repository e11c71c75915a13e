//! Attacks on whoever unpacks and puts charts together: archives that grow, names without end, charts in charts, aliases of aliases.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header};

use crate::hostile_charts::Attack;

const CHART: &str = "apiVersion: v2\nname: hostile\nversion: 0.1.0\n";

struct Archive(Builder<GzEncoder<Vec<u8>>>);

impl Archive {
    fn empty() -> Self {
        Self(Builder::new(GzEncoder::new(Vec::new(), Compression::fast())))
    }

    fn chart() -> Self {
        let mut archive = Self::empty();
        archive.file("hostile/Chart.yaml", CHART.as_bytes());
        archive
    }

    fn header(kind: EntryType, size: usize) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_mode(0o644);
        header
    }

    fn file(&mut self, name: &str, content: &[u8]) {
        self.0.append_data(&mut Self::header(EntryType::Regular, content.len()), name, content).unwrap();
    }

    /// An entry as it is, whatever its name.
    fn raw(&mut self, kind: EntryType, name: &str, link: &str, content: &[u8]) {
        let mut header = Self::header(kind, content.len());
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.append(&header, content).unwrap();
    }

    fn done(self) -> Vec<u8> {
        self.0.into_inner().unwrap().finish().unwrap()
    }
}

/// A chart with so many files of nearly the largest size, which compress to nothing.
fn swelling(files: usize) -> Vec<u8> {
    let mut archive = Archive::chart();
    let content = vec![b' '; 5 << 20];
    (0..files).for_each(|i| archive.file(&format!("hostile/{i}"), &content));
    archive.done()
}

fn with(fill: impl FnOnce(&mut Archive)) -> Vec<u8> {
    let mut archive = Archive::chart();
    fill(&mut archive);
    archive.done()
}

/// A chart with a subchart at each level, each under so many aliases.
fn aliases(levels: usize, aliases: usize) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folder = String::new();
    for level in 0..=levels {
        let needs: String = (0..aliases).map(|i| format!("- {{name: s{}, version: 0.1.0, alias: a{i}}}\n", level + 1)).collect();
        let needs = if level == levels { String::new() } else { format!("dependencies:\n{needs}") };
        files.push((format!("{folder}Chart.yaml"), format!("apiVersion: v2\nname: s{level}\nversion: 0.1.0\n{needs}")));
        files.push((format!("{folder}templates/a.yaml"), "kind: X\n".to_owned()));
        files.push((format!("{folder}values.yaml"), (0..200).map(|i| format!("v{i}: {{a: 1}}\n")).collect()));
        folder = format!("{folder}charts/s{}/", level + 1);
    }
    files
}

fn folder(name: &str, files: &[(String, String)]) -> Attack {
    let files: Vec<(&str, String)> = files.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
    Attack::new(name, &files, &[]).running()
}

/// Archives in archives.
fn nested(levels: usize) -> Vec<u8> {
    (0..levels).fold(Archive::chart().done(), |inner, _| with(|archive| archive.file("hostile/charts/hostile.tgz", &inner)))
}

/// Attacks with archives.
pub(crate) fn all() -> Vec<Attack> {
    let zeros = vec![0; 90 << 20];
    let dense = format!("a: [{}x]", "x,".repeat(400_000));
    let deep = format!("hostile/{}Chart.yaml", "charts/a/".repeat(1000));
    let mut pax = format!("{} path=", 90 << 20).into_bytes();
    pax.resize(90 << 20, b'a');
    vec![
        Attack::archive("tgz-swells", swelling(25)),
        Attack::archive("tgz-of-swelling", with(|archive| (0..12).for_each(|i| archive.file(&format!("hostile/charts/{i}.tgz"), &swelling(18))))),
        Attack::archive("tgz-large-folder", with(|archive| archive.raw(EntryType::Directory, "hostile/d", "", &[zeros.as_slice(), &zeros].concat()))),
        Attack::archive("tgz-long-name", with(|archive| archive.raw(EntryType::GNULongName, "x", "", &zeros))),
        Attack::archive("tgz-long-link", with(|archive| archive.raw(EntryType::GNULongLink, "x", "", &zeros))),
        Attack::archive("tgz-long-pax", with(|archive| archive.raw(EntryType::XHeader, "x", "", &pax))),
        Attack::archive("tgz-large-pax-of-all", with(|archive| archive.raw(EntryType::XGlobalHeader, "x", "", &pax))),
        Attack::archive("tgz-many-files", with(|archive| (0..100_000).for_each(|i| archive.file(&format!("hostile/files/{i}"), b"")))),
        Attack::archive("tgz-many-folders", with(|archive| (0..100_000).for_each(|_| archive.raw(EntryType::Directory, "hostile/d", "", b"")))),
        Attack::archive("tgz-same-file", with(|archive| (0..60_000).for_each(|_| archive.file("hostile/a", b"x")))),
        Attack::archive("tgz-deep", with(|archive| archive.file(&deep, CHART.as_bytes()))),
        Attack::archive("tgz-name-of-a-megabyte", with(|archive| archive.file(&format!("hostile/{}", "a/".repeat(500_000) + "b"), b""))),
        Attack::archive("tgz-in-tgz", nested(100)),
        Attack::archive(
            "tgz-of-dense-values",
            with(|archive| (0..20).for_each(|i| archive.file(&format!("hostile/charts/c{i}/values.yaml"), dense.as_bytes()))),
        ),
        Attack::archive("tgz-above", with(|archive| archive.raw(EntryType::Regular, "hostile/../../x", "", b"x"))),
        Attack::archive("tgz-absolute", with(|archive| archive.raw(EntryType::Regular, "/etc/x", "", b"x"))),
        Attack::archive("tgz-links", {
            let mut archive = Archive::empty();
            archive.raw(EntryType::Symlink, "hostile/Chart.yaml", "Chart.yaml", b"");
            archive.raw(EntryType::Symlink, "hostile/values.yaml", "/etc/passwd", b"");
            archive.raw(EntryType::Link, "hostile/templates/a.yaml", "/etc/passwd", b"");
            archive.raw(EntryType::Char, "hostile/zero", "", b"");
            archive.raw(EntryType::Fifo, "hostile/pipe", "", b"");
            archive.done()
        }),
        Attack::archive("tgz-trailing", {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            (0..3).for_each(|_| gzip.write_all(&zeros).unwrap());
            gzip.finish().unwrap()
        }),
        folder("alias-tower", &aliases(15, 8)),
        folder("alias-crowd", &aliases(1, 9_000)),
        folder("alias-pairs", &aliases(3, 60)),
    ]
}
