//! Attacks on whoever reads an archive, one for a way in, each named after it. All of them are made by somebody who holds a trusted key, so that no
//! signature stops them; those on the signature itself are the exception. tests/suite/forge.rs writes what no writer should.

use offline::{archive::Signer as _, signing::PrivateKey};
use serde_json::{Value, json};

use crate::forge::{CONFIG, Draft, Edits, INDEX, LAYER, MANIFEST, Part, checksum, descriptor, header, hex, room, tar};

/// An attack: which rule of docs/archive-format.md it breaks, what makes it, and what the refusal says, the entry's name first.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) make: Make,
    pub(crate) says: &'static [&'static str],
}

/// What the attacker changes.
pub(crate) enum Make {
    /// The record of the delivery.
    Record(fn(&mut Value)),
    /// The image's config.
    Config(fn(Vec<u8>) -> Vec<u8>),
    /// The image's manifest.
    Manifest(fn(Vec<u8>) -> Vec<u8>),
    /// The descriptor that names the image.
    Root(fn(&mut Value)),
    /// What is in the archive.
    Draft(fn(&mut Draft)),
    /// index.json, before it is signed.
    Index(fn(Vec<u8>) -> Vec<u8>),
    /// The signature, over index.json.
    Signature(fn(&[u8], &PrivateKey) -> String),
    /// The entries.
    Parts(fn(&mut Vec<Part>)),
    /// The whole file.
    File(fn(Vec<u8>) -> Vec<u8>),
}

impl Attack {
    pub(crate) fn bytes(&self, key: &PrivateKey) -> Vec<u8> {
        let edited = |edits: Edits<'_>| tar(&Draft::edited(&edits).parts(Some(key)));
        let sound = Draft::sound();
        match self.make {
            Make::Record(record) => edited(Edits { record: &record, ..Edits::default() }),
            Make::Config(config) => edited(Edits { config: &config, ..Edits::default() }),
            Make::Manifest(manifest) => edited(Edits { manifest: &manifest, ..Edits::default() }),
            Make::Root(root) => edited(Edits { root: &root, ..Edits::default() }),
            Make::Draft(edit) => {
                let mut draft = sound;
                edit(&mut draft);
                tar(&draft.parts(Some(key)))
            }
            Make::Index(edit) => tar(&sound.parts_of(edit(sound.index()), Some(key))),
            Make::Signature(sign) => {
                let mut parts = sound.parts(None);
                parts[2] = Part::new("index.json.sigstore.json", room(&sign(&sound.index(), key)));
                tar(&parts)
            }
            Make::Parts(edit) => {
                let mut parts = sound.parts(Some(key));
                edit(&mut parts);
                tar(&parts)
            }
            Make::File(edit) => edit(tar(&sound.parts(Some(key)))),
        }
    }
}

const fn attack(name: &'static str, rule: &'static str, make: Make, says: &'static [&'static str]) -> Attack {
    Attack { name, rule, make, says }
}

/// Changes bytes of the header of index.json and mends the checksum.
fn head(parts: &mut [Part], edit: impl FnOnce(&mut [u8; 512])) {
    edit(&mut parts[1].head);
    checksum(&mut parts[1].head);
}

fn foreign(kind: u8, name: &str, content: &[u8]) -> Part {
    let mut part = Part::new(name, content.to_vec());
    part.head[156] = kind;
    checksum(&mut part.head);
    part
}

fn last(parts: &mut [Part]) -> &mut Part {
    parts.last_mut().unwrap()
}

fn replace(bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    text.replacen(from, to, 1).into_bytes()
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Attacks on the container.
#[expect(clippy::too_many_lines, reason = "a table")]
fn container() -> Vec<Attack> {
    use Make::{File, Parts};
    vec![
        attack("size-negative", "C1", Parts(|p| head(p, |h| h[124..136].fill(0xff))), &["index.json", "header"]),
        attack(
            "size-overflows",
            "C1",
            Parts(|p| head(p, |h| h[124..136].copy_from_slice(b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"))),
            &["index.json", "at most"],
        ),
        attack("size-beyond-64-bits", "C1", Parts(|p| head(p, |h| h[124..136].copy_from_slice(b"\x80\0\0\x01\0\0\0\0\0\0\0\x01"))), &["index.json", "header"]),
        attack(
            "size-near-the-end-of-numbers",
            "C6",
            Parts(|p| {
                let name = last(p).name();
                last(p).head = header(name.as_bytes(), u64::MAX - 511);
            }),
            &["blobs/sha256/", "at most"],
        ),
        attack(
            "size-base256-though-small",
            "C1",
            Parts(|p| {
                let n = p[1].content.len() as u64;
                head(p, |h| {
                    h[124..128].copy_from_slice(b"\x80\0\0\0");
                    h[128..136].copy_from_slice(&n.to_be_bytes());
                });
            }),
            &["index.json", "header"],
        ),
        attack("size-octal-with-blanks", "C1", Parts(|p| head(p, |h| h[124..128].fill(b' '))), &["index.json", "header"]),
        attack("size-octal-with-a-sign", "C1", Parts(|p| head(p, |h| h[124] = b'+')), &["index.json", "header"]),
        attack("size-without-digits", "C1", Parts(|p| head(p, |h| h[124..136].fill(0))), &["index.json", "header"]),
        attack(
            "size-larger-by-one",
            "C8",
            Parts(|p| {
                let n = p[1].content.len() as u64;
                p[1].head = header(b"index.json", n + 1);
                p[1].content.push(b' ');
                p[1].filling.pop();
            }),
            &["index.json.sigstore.json", "other content"],
        ),
        attack("checksum-wrong", "C1", Parts(|p| p[1].head[148] ^= 1), &["index.json", "header"]),
        attack(
            "checksum-signed-sum",
            "C1",
            Parts(|p| {
                p[1].head[148..156].copy_from_slice(b" 06134\0 ");
            }),
            &["index.json", "header"],
        ),
        attack(
            "checksum-without-leading-zeros",
            "C1",
            Parts(|p| {
                let digits = p[1].head[149..154].to_vec();
                p[1].head[148] = b' ';
                p[1].head[149..154].copy_from_slice(&digits);
            }),
            &["index.json", "header"],
        ),
        attack("name-with-nul", "C1", Parts(|p| head(p, |h| h[11..17].copy_from_slice(b"secret"))), &["index.json", "header"]),
        attack("name-in-prefix", "C1", Parts(|p| head(p, |h| h[345..349].copy_from_slice(b"/etc"))), &["index.json", "header"]),
        attack("name-empty", "C3", Parts(|p| head(p, |h| h[..100].fill(0))), &["after oci-layout", "header"]),
        attack(
            "name-not-utf8",
            "C3",
            Parts(|p| p.push(Part { head: header(b"blobs/sha256/\xff\xfe", 0), content: vec![], filling: vec![] })),
            &["blobs/sha256/", "header"],
        ),
        attack("name-absolute", "C3", Parts(|p| p.push(Part::new("/etc/cron.d/x", b"x".to_vec()))), &["/etc/cron.d/x", "has this name"]),
        attack("name-above", "C3", Parts(|p| p.push(Part::new("blobs/sha256/../../../x", b"x".to_vec()))), &["../../../x", "has this name"]),
        attack("name-with-backslash", "C3", Parts(|p| p.push(Part::new("blobs\\sha256\\x", b"x".to_vec()))), &["blobs\\sha256\\x", "has this name"]),
        attack("name-dot-slash", "C3", Parts(|p| p[0] = Part::new("./oci-layout", p[0].content.clone())), &["./oci-layout", "has this name"]),
        attack("name-fills-the-field", "C3", Parts(|p| p.push(Part::new(&"a".repeat(100), b"x".to_vec()))), &["aaaa", "has this name"]),
        attack(
            "name-upper-case-digest",
            "C3",
            Parts(|p| {
                let name = last(p).name().to_uppercase().replace("BLOBS/SHA256", "blobs/sha256");
                let content = last(p).content.clone();
                *last(p) = Part::new(&name, content);
            }),
            &["blobs/sha256/", "has this name"],
        ),
        attack("name-of-sha512", "C3", Parts(|p| p.push(Part::new("blobs/sha512/00", b"x".to_vec()))), &["blobs/sha512/00", "has this name"]),
        attack(
            "name-of-signature-zero",
            "C3",
            Parts(|p| p.insert(3, Part::new("index.json.0.sigstore.json", room("")))),
            &["index.json.0.sigstore.json", "has this name"],
        ),
        attack("name-with-escape", "C3", Parts(|p| p.push(Part::new("\x1b]0;x\x07\x1b[2J", b"x".to_vec()))), &["]0;x", "header"]),
        attack("hard-link", "C2", Parts(|p| p.push(foreign(b'1', "blobs/sha256/x", b""))), &["blobs/sha256/x", "hard link"]),
        attack(
            "symbolic-link",
            "C2",
            Parts(|p| {
                let mut part = foreign(b'2', "index.json", b"");
                part.head[157..168].copy_from_slice(b"/etc/passwd");
                checksum(&mut part.head);
                p[1] = part;
            }),
            &["index.json", "symbolic link"],
        ),
        attack("folder", "C2", Parts(|p| p.insert(1, foreign(b'5', "blobs/", b""))), &["blobs/", "folder"]),
        attack("device", "C2", Parts(|p| p.insert(1, foreign(b'3', "index.json", b""))), &["index.json", "device"]),
        attack("fifo", "C2", Parts(|p| p.insert(1, foreign(b'6', "index.json", b""))), &["index.json", "device"]),
        attack("contiguous-file", "C2", Parts(|p| p[1].head = foreign(b'7', "index.json", &p[1].content.clone()).head), &["index.json", "unknown kind"]),
        attack("old-regular-file", "C2", Parts(|p| p[1].head = foreign(0, "index.json", &p[1].content.clone()).head), &["index.json", "unknown kind"]),
        attack("pax-size", "C2", Parts(|p| p.insert(1, foreign(b'x', "PaxHeaders/index.json", b"13 size=9999\n"))), &["PaxHeaders/index.json", "PAX"]),
        attack("pax-path", "C2", Parts(|p| p.insert(1, foreign(b'x', "x", b"20 path=/etc/passwd\n"))), &["x: ", "PAX"]),
        attack("pax-global", "C2", Parts(|p| p.insert(0, foreign(b'g', "pax_global_header", b"13 size=9999\n"))), &["pax_global_header", "PAX"]),
        attack("pax-endless", "C2", Parts(|p| p.insert(1, foreign(b'x', "x", &vec![b'1'; 8 << 20]))), &["x: ", "PAX"]),
        attack("gnu-long-name", "C2", Parts(|p| p.insert(1, foreign(b'L', "././@LongLink", b"index.json\0"))), &["@LongLink", "GNU"]),
        attack("gnu-long-link", "C2", Parts(|p| p.insert(1, foreign(b'K', "././@LongLink", b"index.json\0"))), &["@LongLink", "GNU"]),
        attack(
            "gnu-sparse",
            "C2",
            Parts(|p| {
                let mut part = foreign(b'S', "index.json", b"");
                part.head[483..495].copy_from_slice(b"77777777777\0");
                checksum(&mut part.head);
                p[1] = part;
            }),
            &["index.json", "GNU"],
        ),
        attack("gnu-multi-volume", "C2", Parts(|p| p.insert(1, foreign(b'M', "index.json", b""))), &["index.json", "GNU"]),
        attack("gnu-magic", "C1", Parts(|p| head(p, |h| h[257..265].copy_from_slice(b"ustar  \0"))), &["index.json", "header"]),
        attack("mode-setuid", "C1", Parts(|p| head(p, |h| h[100..108].copy_from_slice(b"0004755\0"))), &["index.json", "header"]),
        attack("owner-and-time", "C1", Parts(|p| head(p, |h| h[136..147].copy_from_slice(b"14371573105"))), &["index.json", "header"]),
        attack("owner-name", "C1", Parts(|p| head(p, |h| h[265..269].copy_from_slice(b"root"))), &["index.json", "header"]),
        attack(
            "duplicate-index",
            "C4",
            Parts(|p| {
                let copy = p[1].clone();
                p.insert(2, copy);
            }),
            &["index.json", "second entry"],
        ),
        attack(
            "duplicate-blob",
            "C4",
            Parts(|p| {
                let copy = last(p).clone();
                p.push(copy);
            }),
            &["blobs/sha256/", "second entry"],
        ),
        attack(
            "index-after-blobs",
            "C5",
            Parts(|p| {
                let index = p.remove(1);
                p.push(index);
            }),
            &["index.json.sigstore.json", "not in its place"],
        ),
        attack(
            "signature-after-blobs",
            "C5",
            Parts(|p| p.push(Part::new("index.json.1.sigstore.json", room("")))),
            &["index.json.1.sigstore.json", "not in its place"],
        ),
        attack(
            "signatures-descend",
            "C5",
            Parts(|p| {
                p.insert(3, Part::new("index.json.2.sigstore.json", room("")));
                p.insert(4, Part::new("index.json.1.sigstore.json", room("")));
            }),
            &["index.json.1.sigstore.json", "not in its place"],
        ),
        attack("docker-list-first", "C5", Parts(|p| p.swap(1, 3)), &["manifest.json", "not in its place"]),
        attack("no-signature-entry", "C5", Parts(|p| drop(p.remove(2))), &["manifest.json", "not in its place"]),
        attack("only-a-layout", "C5", Parts(|p| p.truncate(1)), &["index.json", "missing"]),
        attack("nothing-at-all", "C5", Parts(Vec::clear), &["oci-layout", "missing"]),
        attack("layout-of-a-gigabyte", "C6", Parts(|p| p[0].head = header(b"oci-layout", 1 << 30)), &["oci-layout", "at most 30"]),
        attack("index-of-a-terabyte", "C6", Parts(|p| p[1].head = header(b"index.json", 1 << 40)), &["index.json", "at most"]),
        attack(
            "signature-of-a-megabyte",
            "C6",
            Parts(|p| p[2] = Part::new("index.json.sigstore.json", vec![b' '; 1 << 20])),
            &["index.json.sigstore.json", "at most"],
        ),
        attack("docker-list-too-large", "C6", Parts(|p| p[3] = Part::new("manifest.json", vec![b'['; (16 << 20) + 1])), &["manifest.json", "at most"]),
        attack(
            "layer-of-a-petabyte",
            "C6",
            Parts(|p| {
                let name = last(p).name();
                last(p).head = header(name.as_bytes(), 1 << 50);
            }),
            &["blobs/sha256/", "at most"],
        ),
        attack(
            "entries-100000",
            "C7",
            Parts(|p| p.extend((0..100_000u32).map(|i| Part::new(&format!("blobs/sha256/{}", hex(&i.to_le_bytes())), vec![])))),
            &["blobs/sha256/", "more than 100000"],
        ),
        attack("padding-smuggles", "C8", Parts(|p| p[1].filling[0] = b'x'), &["index.json", "not zero"]),
        attack(
            "trailing-byte",
            "C9",
            File(|mut f| {
                f.push(0);
                f
            }),
            &["end of the archive", "follow"],
        ),
        attack("trailing-archive", "C9", File(|f| [f.clone(), f].concat()), &["end of the archive", "follow"]),
        attack(
            "one-closing-block",
            "C10",
            File(|mut f| {
                f.truncate(f.len() - 512);
                f
            }),
            &["end of the archive", "missing"],
        ),
        attack(
            "hidden-behind-one-zero-block",
            "C9",
            File(|mut f| {
                let at = f.len() - 1024;
                f.splice(at..at, [vec![0; 512], vec![b'x'; 512]].concat());
                f
            }),
            &["end of the archive", "follow"],
        ),
        attack(
            "cut-in-a-layer",
            "C10",
            File(|mut f| {
                f.truncate(f.len() - 1024 - 600);
                f
            }),
            &["missing"],
        ),
        attack(
            "cut-in-a-header",
            "C10",
            File(|mut f| {
                f.truncate(700);
                f
            }),
            &["oci-layout", "missing"],
        ),
        attack("empty-file", "C10", File(|_| Vec::new()), &["the start", "missing"]),
        attack(
            "compressed",
            "C1",
            File(|f| {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                std::io::Write::write_all(&mut gzip, &f).unwrap();
                gzip.finish().unwrap()
            }),
            &["kind"],
        ),
    ]
}

/// A bundle with a part of it replaced.
fn bundle(index: &[u8], key: &PrivateKey, from: &str, to: &str) -> String {
    String::from_utf8(replace(key.sign(index).unwrap().into_bytes(), from, to)).unwrap()
}

/// Attacks on signatures.
fn signatures() -> Vec<Attack> {
    use Make::{Parts, Signature};
    vec![
        attack("signature-stripped", "S1", Signature(|_, _| String::new()), &["index.json.sigstore.json", "not signed"]),
        attack(
            "signature-by-a-stranger",
            "S1",
            Signature(|i, _| PrivateKey::generate().unwrap().sign(i).unwrap()),
            &["index.json.sigstore.json", "trusted key"],
        ),
        attack("signature-of-another-archive", "S3", Signature(|_, k| k.sign(b"{}").unwrap()), &["index.json.sigstore.json", "other content"]),
        attack(
            "signature-digest-swapped",
            "S3",
            Signature(|i, k| {
                let other = json_of(k.sign(b"{}").unwrap().as_bytes());
                let mut own = json_of(k.sign(i).unwrap().as_bytes());
                own["messageSignature"]["messageDigest"] = other["messageSignature"]["messageDigest"].clone();
                own.to_string()
            }),
            &["index.json.sigstore.json", "other content"],
        ),
        attack(
            "signature-without-digest",
            "S3",
            Signature(|i, k| {
                let mut own = json_of(k.sign(i).unwrap().as_bytes());
                own["messageSignature"]["messageDigest"] = json!({});
                own.to_string()
            }),
            &["index.json.sigstore.json"],
        ),
        attack(
            "signature-digest-of-another-algorithm",
            "S3",
            Signature(|i, k| bundle(i, k, "SHA2_256", "SHA2_512")),
            &["index.json.sigstore.json", "SHA2_256"],
        ),
        attack(
            "signature-hint-of-another-key",
            "S4",
            Signature(|i, k| {
                let hint = k.public().hint();
                bundle(i, k, &hint, &PrivateKey::generate().unwrap().public().hint())
            }),
            &["index.json.sigstore.json", "trusted key"],
        ),
        attack("signature-old-bundle", "S2", Signature(|i, k| bundle(i, k, "v0.3", "v0.1")), &["index.json.sigstore.json", "media type"]),
        attack(
            "signature-with-certificate",
            "S2",
            Signature(|i, k| bundle(i, k, r#""publicKey":{"#, r#""certificate":{},"publicKey":{"#)),
            &["index.json.sigstore.json", "keyless"],
        ),
        attack(
            "signature-twice-in-a-bundle",
            "S2",
            Signature(|i, k| bundle(i, k, r#""messageSignature":"#, r#""messageSignature":null,"messageSignature":"#)),
            &["index.json.sigstore.json", "duplicate"],
        ),
        attack(
            "signature-with-unknown-member",
            "S2",
            Signature(|i, k| bundle(i, k, r#"{"mediaType""#, r#"{"evil":1,"mediaType""#)),
            &["index.json.sigstore.json", "unknown field"],
        ),
        attack(
            "signature-of-zeros",
            "S1",
            Signature(|i, k| {
                let mut own = json_of(k.sign(i).unwrap().as_bytes());
                own["messageSignature"]["signature"] = json!("MAYCAQACAQA=");
                own.to_string()
            }),
            &["index.json.sigstore.json", "does not fit"],
        ),
        attack("signature-deep-json", "S2", Signature(|_, _| "[".repeat(16_000)), &["index.json.sigstore.json", "no Sigstore bundle"]),
        attack("signature-not-text", "S5", Parts(|p| p[2].content[600] = 0xff), &["index.json.sigstore.json", "not text"]),
        attack("signature-damaged-beside-a-good-one", "S6", Parts(damaged_beside), &["index.json.1.sigstore.json", "does not fit"]),
        attack("signature-with-a-tail", "S5", Parts(|p| p[2].content[10_000] = b'x'), &["index.json.sigstore.json", "no Sigstore bundle"]),
    ]
}

/// A second signature by the same key that does not fit.
fn damaged_beside(parts: &mut Vec<Part>) {
    let mut other = json_of(std::str::from_utf8(&parts[2].content).unwrap().trim_end().as_bytes());
    other["messageSignature"]["signature"] = json!("MAYCAQACAQA=");
    parts.insert(3, Part::new("index.json.1.sigstore.json", room(&other.to_string())));
}

/// Attacks on index.json.
#[expect(clippy::too_many_lines, reason = "a table")]
fn index() -> Vec<Attack> {
    use Make::{Draft as D, Index, Root};
    vec![
        attack("index-no-json", "I1", Index(|_| b"\0".to_vec()), &["index.json", "not the JSON"]),
        attack("index-deep-json", "I1", Index(|_| "[".repeat(1 << 20).into_bytes()), &["index.json", "not the JSON"]),
        attack(
            "index-huge-json",
            "I3",
            Index(|mut b| {
                b.resize((4 << 20) - 1, b' ');
                b
            }),
            &["index.json", "not written as"],
        ),
        attack("index-schema-1", "I1", Index(|b| replace(b, r#""schemaVersion":2"#, r#""schemaVersion":1"#)), &["index.json", "no OCI image index"]),
        attack(
            "index-of-docker",
            "I1",
            Index(|b| replace(b, INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")),
            &["index.json", "no OCI image index"],
        ),
        attack("index-is-a-manifest", "I1", Index(|b| replace(b, INDEX, MANIFEST)), &["index.json", "no OCI image index"]),
        attack("index-without-format", "I2", Index(|b| replace(b, "dev.offline.format", "dev.offline.farmat")), &["index.json", "no annotation"]),
        attack("index-of-a-later-format", "I2", Index(|b| replace(b, r#"format":"1""#, r#"format":"2""#)), &["index.json", "format 2"]),
        attack("index-members-twice", "I3", Index(|b| replace(b, r#","manifests":["#, r#","manifests":[],"manifests":["#)), &["index.json", "duplicate field"]),
        attack(
            "index-members-in-another-case",
            "I3",
            Index(|b| replace(b, r#","manifests":["#, r#","Manifests":[],"manifests":["#)),
            &["index.json", "not written as"],
        ),
        attack(
            "index-annotation-twice",
            "I3",
            Index(|b| replace(b, r#""annotations":{"dev.offline.format""#, r#""annotations":{"dev.offline.format":"9","dev.offline.format""#)),
            &["index.json", "not written as"],
        ),
        attack("index-with-embedded-data", "I3", Root(|r| r["data"] = json!("e30=")), &["index.json", "not written as"]),
        attack("index-with-white-space", "I3", Index(|b| replace(b, "{", "{ ")), &["index.json", "not written as"]),
        attack("index-escapes-a-name", "I3", Index(|b| replace(b, "registry.example", "\\u0072egistry.example")), &["index.json", "not written as"]),
        attack("index-byte-order-mark", "I3", Index(|b| [b"\xef\xbb\xbf".to_vec(), b].concat()), &["index.json", "not the JSON"]),
        attack("index-size-negative", "I3", Root(|r| r["size"] = json!(-1)), &["index.json", "not the JSON"]),
        attack("index-size-a-fraction", "I3", Root(|r| r["size"] = json!(1.5)), &["index.json", "not the JSON"]),
        attack("index-size-overflows", "I3", Index(|b| replace(b, r#""size":"#, r#""size":99999999999999999999"#)), &["index.json", "not the JSON"]),
        attack("index-digest-of-sha512", "D5", Root(|r| r["digest"] = json!(format!("sha512:{}", "0".repeat(128)))), &["index.json", "is not a digest"]),
        attack("index-digest-is-a-path", "D5", Root(|r| r["digest"] = json!("sha256:../../../../etc/passwd")), &["index.json", "is not a digest"]),
        attack(
            "index-name-twice",
            "I4",
            D(|d| {
                let mut again = d.roots[2].clone();
                again["digest"] = d.roots[0]["digest"].clone();
                again["size"] = d.roots[0]["size"].clone();
                d.roots.push(again);
            }),
            &["index.json", "twice"],
        ),
        attack(
            "index-names-unsorted",
            "I4",
            D(|d| {
                let copy = d.roots[2].clone();
                d.image(copy, "registry.example/0:1", &|_| ());
            }),
            &["index.json", "not in order"],
        ),
        attack("image-before-artifacts", "I4", D(|d| d.roots.swap(1, 2)), &["index.json", "not in order"]),
        attack(
            "two-deliveries",
            "I5",
            D(|d| {
                let mut again = d.roots[0].clone();
                again["annotations"]["dev.offline.name"] = json!("delivery2");
                d.roots.insert(1, again);
            }),
            &["index.json", "two deliveries"],
        ),
        attack(
            "no-delivery",
            "I5",
            D(|d| {
                d.roots.truncate(0);
                let image = d.documents[1].clone();
                d.image(descriptor(MANIFEST, &image), "registry.example/a:1", &|_| ());
                d.documents.truncate(2);
                d.layers.truncate(2);
            }),
            &["index.json", "does not begin with the delivery"],
        ),
        attack(
            "image-with-two-names",
            "I6",
            Root(|r| r["annotations"]["io.containerd.image.name"] = json!("docker.io/library/other:1")),
            &["index.json", "two names"],
        ),
        attack(
            "image-for-docker-only",
            "I6",
            Root(|r| drop(r["annotations"].as_object_mut().unwrap().remove("io.containerd.image.name"))),
            &["index.json", "two names"],
        ),
        attack("image-with-our-name", "I6", Root(|r| r["annotations"]["dev.offline.name"] = json!("x")), &["index.json", "two names"]),
        attack("image-without-a-name", "I6", Root(|r| drop(r.as_object_mut().unwrap().remove("annotations"))), &["index.json", "two names"]),
        attack(
            "image-name-is-a-path",
            "I6",
            Root(|r| {
                r["annotations"]["org.opencontainers.image.ref.name"] = json!("../../x");
                r["annotations"]["io.containerd.image.name"] = json!("../../x");
            }),
            &["index.json", "../../x"],
        ),
        attack(
            "image-name-with-escape",
            "I6",
            Root(|r| {
                r["annotations"]["org.opencontainers.image.ref.name"] = json!("a\u{1b}[2J");
                r["annotations"]["io.containerd.image.name"] = json!("a\u{1b}[2J");
            }),
            &["index.json"],
        ),
    ]
}

/// An image of `count` documents around one another; each is of a type and refers to the one before.
fn tower(draft: &mut Draft, levels: usize) {
    let mut below = descriptor(MANIFEST, &draft.documents[1]);
    for _ in 0..levels {
        below = draft.document(INDEX, json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [below]}).to_string().into_bytes());
    }
    draft.image(below, "registry.example/b:1", &|_| ());
}

/// Another image, of this manifest.
fn another(draft: &mut Draft, kind: &str, manifest: Vec<u8>) {
    let made = draft.document(kind, manifest);
    draft.image(made, "registry.example/b:1", &|_| ());
}

/// A manifest that names one layer again and again, as large as a document may be.
fn repeating(draft: &Draft, note: usize, layers: usize) -> Vec<u8> {
    let layer = descriptor(LAYER, &draft.layers[0]).to_string();
    let config = descriptor(CONFIG, &draft.documents[0]);
    let layers = vec![layer; layers].join(",");
    format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","annotations":{{"n":"{note:09}"}},"config":{config},"layers":[{layers}]}}"#).into_bytes()
}

/// Attacks on documents and what follows from them.
#[expect(clippy::too_many_lines, reason = "a table")]
fn documents() -> Vec<Attack> {
    use Make::{Config, Draft as D, Manifest, Parts, Record, Root};
    vec![
        attack(
            "document-swapped",
            "D1",
            Parts(|p| {
                let (a, b) = (p[4].content.clone(), p[5].content.clone());
                let (x, y) = (p[4].name(), p[5].name());
                p[4] = Part::new(&x, b);
                p[5] = Part::new(&y, a);
            }),
            &["blobs/sha256/"],
        ),
        attack(
            "document-changed",
            "D1",
            Parts(|p| {
                let part = p.iter_mut().find(|p| p.content.starts_with(b"{\"architecture")).unwrap();
                part.content[18] = b'b';
            }),
            &["blobs/sha256/", "digest"],
        ),
        attack("size-of-descriptor-smaller", "D2", Root(|r| r["size"] = json!(r["size"].as_u64().unwrap() - 1)), &["blobs/sha256/", "index.json"]),
        attack(
            "size-of-layer-larger",
            "D2",
            Manifest(|b| {
                let mut m = json_of(&b);
                m["layers"][0]["size"] = json!(3001);
                m.to_string().into_bytes()
            }),
            &["blobs/sha256/", "3001"],
        ),
        attack("manifest-called-an-index", "D3", Root(|r| r["mediaType"] = json!(INDEX)), &["blobs/sha256/", "it is called"]),
        attack("manifest-called-a-layer", "D3", Root(|r| r["mediaType"] = json!(LAYER)), &["blobs/sha256/"]),
        attack(
            "manifest-and-index-in-one",
            "D3",
            Manifest(|b| {
                let mut m = json_of(&b);
                m["manifests"] = json!([]);
                m["mediaType"] = json!(INDEX);
                m.to_string().into_bytes()
            }),
            &["blobs/sha256/", "it is called"],
        ),
        attack(
            "manifest-of-two-types",
            "D3",
            D(|d| {
                let mut m = json_of(&d.documents[1]);
                m.as_object_mut().unwrap().remove("mediaType");
                let bytes = m.to_string().into_bytes();
                let one = d.document(MANIFEST, bytes.clone());
                d.image(one, "registry.example/b:1", &|_| ());
                d.image(descriptor("application/vnd.docker.distribution.manifest.v2+json", &bytes), "registry.example/c:1", &|_| ());
            }),
            &["blobs/sha256/", "it is called"],
        ),
        attack("manifest-with-unknown-type", "D3", Manifest(|b| replace(b, MANIFEST, "application/x-evil")), &["blobs/sha256/", "application/x-evil"]),
        attack(
            "document-of-five-megabytes",
            "D4",
            Config(|mut b| {
                b.resize(5 << 20, b' ');
                b
            }),
            &["blobs/sha256/", "at most"],
        ),
        attack(
            "documents-together-too-large",
            "D4",
            D(|d| {
                (0..40).for_each(|i| {
                    let m = repeating(d, i, 9_000);
                    let mut m = m;
                    m.resize(4 << 20, b' ');
                    let made = d.document(MANIFEST, m);
                    d.image(made, &format!("registry.example/b{i:02}:1"), &|_| ());
                });
            }),
            &["blobs/sha256/", "at most"],
        ),
        attack(
            "manifest-with-endless-layers",
            "D4",
            D(|d| {
                let m = repeating(d, 0, 20_000);
                another(d, MANIFEST, m);
            }),
            &["blobs/sha256/", "20000"],
        ),
        attack(
            "index-with-endless-manifests",
            "D4",
            D(|d| {
                let child = descriptor(MANIFEST, &d.documents[1]).to_string();
                let children = vec![child; 20_000].join(",");
                another(d, INDEX, format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{children}]}}"#).into_bytes());
            }),
            &["blobs/sha256/", "20000"],
        ),
        attack("manifest-no-json", "D5", Manifest(|_| b"\xff".to_vec()), &["blobs/sha256/", "no image manifest"]),
        attack(
            "manifest-deep-json",
            "D5",
            Manifest(|b| replace(b, r#""schemaVersion":2"#, &format!(r#""schemaVersion":2,"config":{}"#, "[".repeat(100_000)))),
            &["blobs/sha256/", "no image manifest"],
        ),
        attack("manifest-members-twice", "D5", Manifest(|b| replace(b, r#""layers":["#, r#""layers":[],"layers":["#)), &["blobs/sha256/", "duplicate field"]),
        attack("manifest-schema-1", "D5", Manifest(|b| replace(b, r#""schemaVersion":2"#, r#""schemaVersion":1"#)), &["blobs/sha256/", "schema 1"]),
        attack(
            "manifest-layer-of-sha512",
            "D5",
            Manifest(|b| {
                let mut m = json_of(&b);
                m["layers"][0]["digest"] = json!(format!("sha512:{}", "a".repeat(128)));
                m.to_string().into_bytes()
            }),
            &["blobs/sha256/", "is not a digest"],
        ),
        attack(
            "manifest-layer-size-negative",
            "D5",
            Manifest(|b| {
                let mut m = json_of(&b);
                m["layers"][0]["size"] = json!(-1);
                m.to_string().into_bytes()
            }),
            &["blobs/sha256/", "no image manifest"],
        ),
        attack("config-no-json", "D5", Config(|_| b"MZ".to_vec()), &["blobs/sha256/", "not the JSON"]),
        attack("config-diff-ids-of-another-algorithm", "D5", Config(|b| replace(b, "sha256:", "sha384:")), &["blobs/sha256/", "is not a digest"]),
        attack("indexes-nested-deep", "D6", D(|d| tower(d, 6)), &["blobs/sha256/", "nested"]),
        attack("indexes-nested-a-thousand-deep", "D6", D(|d| tower(d, 1000)), &["blobs/sha256/", "nested"]),
        attack(
            "index-that-would-hold-itself",
            "D8",
            D(|d| another(d, INDEX, json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(INDEX, b"itself")]}).to_string().into_bytes())),
            &["blobs/sha256/", "none of the manifests"],
        ),
        attack(
            "cycle-of-indexes",
            "D1",
            D(|d| {
                let a = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"mediaType": INDEX, "digest": format!("sha256:{}", "b".repeat(64)), "size": 10}]}).to_string().into_bytes();
                another(d, INDEX, a);
                let b = descriptor(INDEX, b"1234567890");
                d.roots[3]["digest"] = json!(format!("sha256:{}", "b".repeat(64)));
                d.roots[3]["size"] = b["size"].clone();
            }),
            &["blobs/sha256/", "missing"],
        ),
        attack(
            "index-of-nothing",
            "D8",
            D(|d| another(d, INDEX, json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string().into_bytes())),
            &["blobs/sha256/", "none of the manifests"],
        ),
        attack("layer-missing", "D7", D(|d| drop(d.layers.remove(0))), &["blobs/sha256/", "missing"]),
        attack("config-missing", "D7", D(|d| drop(d.documents.remove(0))), &["blobs/sha256/", "missing"]),
        attack("manifest-missing", "D7", D(|d| drop(d.documents.remove(1))), &["blobs/sha256/", "missing", "index.json"]),
        attack("blob-that-nobody-names", "D9", D(|d| drop(d.layer(LAYER, b"evil".to_vec()))), &["blobs/sha256/", "nothing in index.json leads to it"]),
        attack("document-that-nobody-names", "D9", D(|d| drop(d.document(CONFIG, b"{}".to_vec()))), &["blobs/sha256/", "nothing in index.json leads to it"]),
        attack("documents-swapped-places", "D10", Parts(|p| p.swap(4, 5)), &["blobs/sha256/", "not in its place"]),
        attack(
            "layers-swapped-places",
            "D10",
            Parts(|p| {
                let n = p.len();
                p.swap(n - 1, n - 2);
            }),
            &["blobs/sha256/", "not in its place"],
        ),
        attack(
            "layer-before-documents",
            "D10",
            Parts(|p| {
                let layer = p.pop().unwrap();
                p.insert(4, layer);
            }),
            &["blobs/sha256/", "not in its place"],
        ),
        attack(
            "document-among-layers",
            "D10",
            Parts(|p| {
                let document = p.remove(4);
                p.push(document);
            }),
            &["blobs/sha256/", "not in its place"],
        ),
        attack("layout-of-another-version", "D11", Parts(|p| p[0].content[23] = b'9'), &["oci-layout", "not what follows"]),
        attack(
            "docker-list-of-another-image",
            "D11",
            Parts(|p| {
                let text = replace(p[3].content.clone(), "registry.example/a:1", "registry.example/b:1");
                p[3] = Part::new("manifest.json", text);
            }),
            &["manifest.json", "not what follows"],
        ),
        attack(
            "docker-list-with-parents",
            "D11",
            Parts(|p| {
                let text = replace(p[3].content.clone(), r#"{"Config""#, r#"{"Parent":"x","Config""#);
                p[3] = Part::new("manifest.json", text);
            }),
            &["manifest.json", "not what follows"],
        ),
        attack(
            "docker-list-with-a-path",
            "D11",
            Parts(|p| {
                let text = replace(p[3].content.clone(), "blobs/sha256/", "../../../etc/");
                p[3] = Part::new("manifest.json", text);
            }),
            &["manifest.json", "not what follows"],
        ),
        attack(
            "docker-list-layers-swapped",
            "D11",
            D(|d| {
                let layers = d.docker[0]["layers"].as_array_mut().unwrap();
                layers.reverse();
            }),
            &["manifest.json", "not what follows"],
        ),
        attack(
            "docker-list-twice",
            "D11",
            D(|d| {
                let item = d.docker[0].clone();
                d.docker.push(item);
            }),
            &["manifest.json", "not what follows"],
        ),
        attack("docker-list-empty", "D11", D(|d| d.docker.clear()), &["manifest.json", "not what follows"]),
        attack("record-of-a-later-format", "D12", Record(|r| r["format"] = json!(2)), &["blobs/sha256/", "format 2"]),
        attack("record-of-format-negative", "D12", Record(|r| r["format"] = json!(-1)), &["blobs/sha256/", "not the JSON"]),
        attack(
            "record-deep-values",
            "D12",
            Record(|r| {
                r["apps"][0]["values"]["x"] = (0..200).fold(json!(1), |v, _| json!([v]));
            }),
            &["blobs/sha256/", "recursion"],
        ),
        attack(
            "record-promises-an-image",
            "D12",
            Record(|r| r["images"][0]["digest"] = json!(format!("sha256:{}", "1".repeat(64)))),
            &["blobs/sha256/1111", "the record"],
        ),
        attack(
            "record-promises-a-chart",
            "D12",
            Record(|r| r["apps"][0]["source"]["digest"] = json!(format!("sha256:{}", "2".repeat(64)))),
            &["blobs/sha256/2222", "the record"],
        ),
        attack(
            "record-promises-a-file",
            "D12",
            Record(|r| r["files"] = json!([{"path": "x", "digest": format!("sha256:{}", "3".repeat(64)), "size": 1}])),
            &["blobs/sha256/3333", "the record"],
        ),
        attack("record-of-no-apps", "D12", Record(|r| drop(r.as_object_mut().unwrap().remove("apps"))), &["blobs/sha256/", "missing field"]),
        attack(
            "chart-without-package",
            "D13",
            D(|d| d.artifact("charts/a-1", "application/vnd.cncf.helm.config.v1+json", b"{ }", &[], vec![]).front()),
            &["blobs/sha256/", "no layer"],
        ),
        attack(
            "agent-without-platform",
            "D13",
            D(|d| {
                d.artifact(
                    "agents/x",
                    "application/vnd.offline.agent.v1",
                    b"{}",
                    &["application/vnd.offline.loader.v1", "application/vnd.offline.agent.v1"],
                    vec![b"l".to_vec(), b"g".to_vec()],
                )
                .front();
            }),
            &["index.json", "no platform"],
        ),
        attack("record-name-with-escape", "D14", Record(|r| r["name"] = json!("\u{1b}]0;evil\u{7}")), &["blobs/sha256/", "control characters"]),
        attack("record-app-with-line-feed", "D14", Record(|r| r["apps"][0]["name"] = json!("web\nsigned by root")), &["blobs/sha256/", "control characters"]),
        attack("layer-changed", "L1", Parts(|p| last(p).content[0] ^= 1), &["blobs/sha256/", "digest"]),
        attack(
            "layer-swapped-for-another",
            "L1",
            Parts(|p| {
                let n = last(p).content.len();
                last(p).content = vec![b'x'; n];
            }),
            &["blobs/sha256/", "digest"],
        ),
    ]
}

/// All of them.
pub(crate) fn all() -> Vec<Attack> {
    [container(), signatures(), index(), documents()].into_iter().flatten().collect()
}
