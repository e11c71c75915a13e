//! Runs the attacks of tests/suite/attacks.rs against the library, against a stream and against the program, and holds the specification against both
//! writers and the attacks.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use offline::{
    archive::{self, Builder, Limits, Trust, content},
    failure::Kind,
    oci::{Descriptor, media_type},
    ops::verify::{self, TrustOptions, VerifyOptions},
    progress::Silent,
    signing::{PrivateKey, TrustedKeys},
};

use crate::{
    attacks,
    forge::{CONFIG, Draft, LAYER, MANIFEST, tar},
    support::{Program, peak, root},
};

/// What one archive may take. An unoptimised program is slower, and tests share the machine.
const SECONDS: f64 = if cfg!(debug_assertions) { 20.0 } else { 1.0 };
/// Peak memory of the program.
const MEBIBYTES: u64 = 200;

fn trust(key: &PrivateKey) -> Trust {
    Trust::Keys(Box::new(TrustedKeys::new(vec![key.public().clone()])))
}

#[test]
fn what_the_specification_says_is_accepted() {
    let key = PrivateKey::generate().unwrap();
    let bytes = tar(&Draft::sound().parts(Some(&key)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    fs::write(&path, &bytes).unwrap();
    let archive = archive::open(&path).unwrap().verify(&trust(&key), &Silent).unwrap();
    assert_eq!((archive.images().len(), archive.charts().len()), (1, 1));
    archive::verify_stream(Path::new("-"), &mut &bytes[..], &Limits::default(), &trust(&key), &Silent).unwrap();
}

/// The reader × writer test: two writers that share no code give the same bytes for the same content.
#[test]
fn the_programs_writer_writes_what_the_specification_says() {
    let key = PrivateKey::generate().unwrap();
    let draft = Draft::sound();
    let mut builder = Builder::new();
    let put = |builder: &mut Builder, kind: &str, bytes: &[u8]| {
        let descriptor = Descriptor::of(kind, bytes);
        builder.add_document(&descriptor, Bytes::copy_from_slice(bytes)).unwrap();
        descriptor
    };
    let image = put(&mut builder, MANIFEST, &draft.documents[1]);
    put(&mut builder, CONFIG, &draft.documents[0]);
    draft.layers[..2].iter().for_each(|layer| drop(put(&mut builder, LAYER, layer)));
    builder.name(content::image_root(&image, &"registry.example/a:1".parse().unwrap()));
    builder.add_artifact(content::chart_artifact("web", "1.0.0", Bytes::from_static(br#"{"name":"web"}"#), Bytes::from_static(b"chart"))).unwrap();
    // The record is read and written again by the program, so its bytes are the program's.
    let record = serde_json::from_slice(&draft.documents[2]).unwrap();
    let delivery = content::delivery_artifact(&record, &[("delivery.yaml".to_owned(), Bytes::from_static(b"kind: Delivery\n"))]);
    let mut forged = Draft::sound();
    assert_eq!(delivery.blobs[1].0.media_type, media_type::DELIVERY);
    // Members of the record are in the order of the program's types, which the specification leaves open.
    forged.replace_record(&delivery.blobs[1].1);
    builder.add_artifact(delivery).unwrap();
    let layout = builder.lay_out().unwrap();
    assert_eq!(String::from_utf8_lossy(layout.index_json()), String::from_utf8_lossy(&forged.index()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    let writer = archive::Writer::create(&path, &layout).unwrap();
    writer.sign(&[&key]).unwrap();
    writer.finish().unwrap();
    assert!(fs::read(&path).unwrap() == tar(&forged.parts(Some(&key))), "the two writers differ");
}

#[test]
fn every_rule_of_the_specification_is_attacked() {
    let page = fs::read_to_string(root().join("docs/archive-format.md")).unwrap();
    let rule = |line: &str| line.strip_prefix("| ").and_then(|line| line.split(" |").next()).map(str::to_owned);
    let is_rule = |name: &String| name.starts_with(['C', 'S', 'I', 'D', 'L']) && name.len() <= 3 && name[1..].parse::<u8>().is_ok();
    let rules: BTreeSet<String> = page.lines().filter_map(rule).filter(is_rule).collect();
    let attacks = attacks::all();
    let attacked: BTreeSet<String> = attacks.iter().map(|attack| attack.rule.to_owned()).collect();
    // L2 is that of `verify --deep`: tests/suite/looking.rs.
    let wanted: BTreeSet<String> = rules.iter().filter(|rule| *rule != "L2").cloned().collect();
    assert!(rules.len() > 35, "{rules:?}");
    assert_eq!(attacked, wanted);
    let names: BTreeSet<&str> = attacks.iter().map(|attack| attack.name).collect();
    assert_eq!(names.len(), attacks.len(), "two attacks have one name");
    assert!(names.len() >= 60);
}

#[test]
fn every_attack_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let key = PrivateKey::generate().unwrap();
    let public = folder.path().join("k.pub");
    fs::write(&public, key.public().to_pem()).unwrap();
    let mut wrong = Vec::new();
    for attack in attacks::all() {
        let path = folder.path().join("a.tar");
        let bytes = attack.bytes(&key);
        fs::write(&path, &bytes).unwrap();
        let options = TrustOptions { keys: vec![offline::signing::KeySource::File(public.clone())], ..TrustOptions::default() };
        match verify::run(&VerifyOptions { archive: path.clone(), trust: options, deep: false }, &Silent) {
            Ok(_) => wrong.push(format!("{}: accepted", attack.name)),
            Err(failure) => {
                let text = failure.to_string();
                let unsaid: Vec<_> = attack.says.iter().filter(|say| !text.contains(**say)).collect();
                if failure.kind != Kind::Untrusted || !unsaid.is_empty() || text.contains(['\u{1b}', '\u{7}']) {
                    wrong.push(format!("{}: {:?} `{text}` does not say {unsaid:?}", attack.name, failure.kind));
                }
            }
        }
        let streamed =
            archive::verify_stream(Path::new("-"), &mut &bytes[..], &Limits::default(), &trust(&key), &Silent).map(|_| ()).map_err(verify::archive_failure);
        match streamed {
            Ok(()) => wrong.push(format!("{}: accepted as a stream", attack.name)),
            Err(failure) if failure.kind != Kind::Untrusted => wrong.push(format!("{}: {:?} `{failure}` of a stream", attack.name, failure.kind)),
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn run(mut command: Command, input: Stdio) -> (Option<i32>, u64, Duration) {
    let start = Instant::now();
    let mut child = command.stdin(input).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut mebibytes = 0;
    loop {
        mebibytes = mebibytes.max(peak(&child).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), mebibytes, start.elapsed());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn every_attack_ends_soon_in_little_memory_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let key = PrivateKey::generate().unwrap();
    fs::write(folder.path().join("k.pub"), key.public().to_pem()).unwrap();
    let (mut wrong, mut most, mut slowest) = (Vec::new(), (0, ""), (0.0, ""));
    for attack in attacks::all() {
        fs::write(folder.path().join("a.tar"), attack.bytes(&key)).unwrap();
        for stream in [false, true] {
            let program = Program::new(folder.path());
            let command = program.command(&["verify", if stream { "-" } else { "a.tar" }, "--key", "k.pub"]);
            let before = listing(folder.path());
            let input = if stream { Stdio::from(fs::File::open(folder.path().join("a.tar")).unwrap()) } else { Stdio::null() };
            let (code, mebibytes, took) = run(command, input);
            let seconds = took.as_secs_f64();
            if code != Some(3) || mebibytes > MEBIBYTES || seconds > SECONDS || listing(folder.path()) != before {
                wrong.push(format!("{} (stream: {stream}): exit {code:?}, {mebibytes} MiB, {seconds:.1} s, {:?}", attack.name, listing(folder.path())));
            }
            most = most.max((mebibytes, attack.name));
            if seconds > slowest.0 {
                slowest = (seconds, attack.name);
            }
        }
    }
    println!("{} attacks, at most {} MiB ({}) and {:.2} s ({})", attacks::all().len(), most.0, most.1, slowest.0, slowest.1);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn listing(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
