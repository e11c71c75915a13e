//! Mutated archives and signatures: no panic, no hang, and a file and a stream are judged alike. `fuzz/run.sh` runs these as well.

use std::{collections::BTreeSet, path::Path, sync::LazyLock};

use offline::{
    archive::{self, Limits, Medium, Signer as _, Trust, Verifier as _},
    progress::Silent,
    signing::{self, PrivateKey, TrustedKeys},
};

use crate::{
    attacks,
    forge::{Draft, Edits, checksum, tar},
    fuzz::{self, Random, digest, fuzz_with},
};

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate().unwrap());

fn keys() -> TrustedKeys {
    TrustedKeys::new(vec![KEY.public().clone()])
}

/// An archive in memory.
#[derive(Debug)]
struct Memory(Vec<u8>);

impl Medium for Memory {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let from = usize::try_from(offset).unwrap().min(self.0.len());
        let n = buffer.len().min(self.0.len() - from);
        buffer[..n].copy_from_slice(&self.0[from..from + n]);
        Ok(n)
    }
}

/// What the reader says of a file; a stream must be judged alike.
fn judged(bytes: &[u8], signed: bool) -> Result<(), String> {
    let name = Path::new("fuzzed");
    let trust = || if signed { Trust::Keys(Box::new(keys())) } else { Trust::AllowUnsigned };
    let file = archive::open_medium(name, Box::new(Memory(bytes.to_vec())), Limits::default()).and_then(|unverified| unverified.verify(&trust(), &Silent));
    let stream = archive::verify_stream(name, &mut &bytes[..], &Limits::default(), &trust(), &Silent);
    assert_eq!(file.is_ok(), stream.is_ok(), "a file and a stream differ: {:?} {:?}", file.err(), stream.err());
    file.map(drop).map_err(|error| error.to_string())
}

/// A JSON text with something changed in it that JSON knows.
fn mutated(text: Vec<u8>, random: &mut Random) -> Vec<u8> {
    const PIECES: [&str; 14] =
        ["{", "}", "[", "]", ",", ":", "null", "-1", "1e400", "\"sha256:\"", "\"mediaType\":1,", "\"layers\":[],", "\\u0000", "18446744073709551616"];
    let mut text = text;
    for _ in 0..=random.below(3) {
        let at = random.below(text.len() + 1);
        let end = (at + random.below(12)).min(text.len());
        match random.below(4) {
            0 => drop(text.drain(at..end)),
            1 => drop(text.splice(at..end, PIECES[random.below(PIECES.len())].bytes())),
            2 => {
                let part = text[at..end].to_vec();
                let to = random.below(text.len() + 1);
                drop(text.splice(to..to, part));
            }
            _ if at < text.len() => text[at] = u8::try_from(random.below(256)).unwrap(),
            _ => {}
        }
    }
    text
}

/// Blocks are moved, doubled, dropped and changed, checksums mended or not.
#[test]
fn fuzz_containers() {
    let parts = Draft::sound().parts(Some(&KEY));
    let sound = tar(&parts);
    let signature: usize = parts[..2].iter().map(|part| 512 + part.content.len() + part.filling.len()).sum::<usize>() + 512;
    let make = |random: &mut Random| {
        let mut bytes = sound.clone();
        for _ in 0..=random.below(4) {
            let blocks = bytes.len() / 512;
            let (at, to) = (random.below(blocks.max(1)) * 512, random.below(blocks.max(1)) * 512);
            if bytes.len() < at + 512 {
                break;
            }
            match random.below(6) {
                0 => drop(bytes.drain(at..at + 512)),
                1 => {
                    let block = bytes[at..at + 512].to_vec();
                    drop(bytes.splice(to..to, block));
                }
                2 => bytes.truncate(at + random.below(512)),
                _ => {
                    // Near the start of a block a header has its name, its numbers and its kind.
                    let field = [random.below(16), 124 + random.below(12), 148 + random.below(9), 156, random.below(512)][random.below(5)];
                    bytes[at + field] = u8::try_from(random.below(256)).unwrap();
                    if random.below(2) == 0 {
                        let mut head: [u8; 512] = bytes[at..at + 512].try_into().unwrap();
                        checksum(&mut head);
                        bytes[at..at + 512].copy_from_slice(&head);
                    }
                }
            }
        }
        bytes
    };
    fuzz_with("containers", make, |bytes| {
        let answer = judged(bytes, true);
        // Only blanks behind the signature may be other white space.
        let outside = |bytes: &[u8]| [&bytes[..signature], &bytes[signature + (16 << 10)..]].concat();
        assert!(answer.is_err() || bytes.len() == sound.len() && outside(bytes) == outside(&sound), "a changed archive is accepted");
        digest(&format!("{answer:?}"))
    });
}

/// Documents and index.json are changed, and everything around them fits again; nobody asks for a signature, so that none is in the way.
#[test]
fn fuzz_documents() {
    let make = |random: &mut Random| {
        let cell = std::cell::RefCell::new(random);
        let edit = |bytes: Vec<u8>| mutated(bytes, &mut cell.borrow_mut());
        let which = cell.borrow_mut().below(4);
        let record = |value: &mut serde_json::Value| {
            if let Ok(changed) = serde_json::from_slice(&mutated(value.to_string().into_bytes(), &mut cell.borrow_mut())) {
                *value = changed;
            }
        };
        let draft = match which {
            0 => Draft::edited(&Edits { config: &edit, ..Edits::default() }),
            1 => Draft::edited(&Edits { manifest: &edit, ..Edits::default() }),
            2 => Draft::edited(&Edits { record: &record, ..Edits::default() }),
            _ => {
                let draft = Draft::sound();
                return tar(&draft.parts_of(edit(draft.index()), None));
            }
        };
        tar(&draft.parts(None))
    };
    fuzz_with("documents", make, |bytes| digest(&format!("{:?}", judged(bytes, false))));
}

/// Bundles: whatever they say, they count only if the key has signed.
#[test]
fn fuzz_bundles() {
    let good = KEY.sign(b"content").unwrap();
    let long = format!("{}{}", &good[..good.len() - 1], r#","dsseEnvelope":{"payload":"","payloadType":"","signatures":[]}}"#);
    let seeds = vec![good.clone(), long, KEY.sign(b"other").unwrap()];
    fuzz::fuzz("bundles", &seeds, |text| {
        let answer = keys().verify(b"content", text);
        let hint = signing::hint(text);
        if answer.is_ok() {
            let signature = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["messageSignature"]["signature"].clone();
            assert_eq!(signature(text), signature(&good), "another signature is accepted");
        }
        digest(&format!("{:?} {hint:?}", answer.map_err(|error| error.to_string())))
    });
}

/// Attacks, mutated further: what an attack is refused for may hide what else is wrong.
#[test]
fn fuzz_attacks() {
    let names: BTreeSet<&str> = attacks::all().iter().map(|attack| attack.name).collect();
    let all: Vec<Vec<u8>> = attacks::all().iter().map(|attack| attack.bytes(&KEY)).filter(|bytes| bytes.len() < 200_000).collect();
    assert!(all.len() > names.len() / 2);
    let make = |random: &mut Random| {
        let mut bytes = all[random.below(all.len())].clone();
        for _ in 0..random.below(3) {
            let at = random.below(bytes.len().max(1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        bytes
    };
    fuzz_with("attacks", make, |bytes| digest(&format!("{:?}", judged(bytes, false))));
}
