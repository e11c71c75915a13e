//! Two people on two machines: the same inputs give the same lock, and the same lock gives the same archive.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::support::{PASSWORD, Shop, finish};

/// Copies a folder with its entries in the opposite order and times of long ago.
fn copy_differently(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for (age, path) in entries.into_iter().rev().enumerate() {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_differently(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
            let then = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(900_000_000 + 86_400 * age as u64);
            fs::File::options().write(true).open(&target).unwrap().set_modified(then).unwrap();
        }
    }
}

/// Somebody else's machine: home, working folder, language, zone, umask, clock and user are other ones.
struct Elsewhere {
    home: TempDir,
}

impl Elsewhere {
    fn run(&self, program: &Command, path: &str) {
        let home = self.home.path();
        let mut command = Command::new("sh");
        command.args(["-c", r#"umask 077; exec faketime -f '@2031-03-01 07:00:00' unshare --user --map-user=4711 --map-group=4711 "$0" "$@""#]);
        command.arg(program.get_program()).args(program.get_args()).current_dir("/").env_clear();
        command.env("PATH", format!("/usr/local/bin:{path}")).env("HOME", home).env("XDG_CACHE_HOME", home.join("c")).env("TMPDIR", home.join("t"));
        command.env("DOCKER_CONFIG", home).env("COSIGN_PASSWORD", "").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command.env("TZ", "Asia/Kathmandu").env("LANG", "tr_TR.UTF-8").env("LC_ALL", "tr_TR.UTF-8").env("USER", "somebody").env("NO_COLOR", "1");
        fs::create_dir_all(home.join("t")).unwrap();
        finish(&mut command).ok();
    }
}

#[test]
fn the_same_lock_and_the_same_archive() {
    let shop = Shop::open("twins");
    let mine = shop.delivery("1.0", None);
    let elsewhere = Elsewhere { home: TempDir::new().unwrap() };
    let folder = elsewhere.home.path().join("a folder of another name");
    copy_differently(mine.parent().unwrap(), &folder);
    let theirs = folder.join("delivery.yaml");
    fs::copy(shop.upstream.docker_config().join("config.json"), elsewhere.home.path().join("config.json")).unwrap();
    let key = shop.path().join("shop.key");
    let path = std::env::var("PATH").unwrap();
    let lock = |delivery: &Path| fs::read(delivery.with_file_name("delivery.lock")).unwrap();

    shop.program().run(&["lock", "-f", mine.to_str().unwrap()]).ok();
    let program = |args: &[&str]| shop.program().command(args);
    elsewhere.run(&program(&["lock", "-f", theirs.to_str().unwrap()]), &path);
    assert_eq!(String::from_utf8(lock(&mine)).unwrap(), String::from_utf8(lock(&theirs)).unwrap());
    let told = String::from_utf8(lock(&mine)).unwrap();
    for private in [PASSWORD, mine.parent().unwrap().to_str().unwrap()] {
        assert!(!told.contains(private), "the lock tells of the machine: {private}");
    }

    let (one, other) = (shop.path().join("one.tar"), elsewhere.home.path().join("other.tar"));
    let export = |delivery: &Path, out: &Path| {
        ["export", "--locked", "-f", delivery.to_str().unwrap(), "-o", out.to_str().unwrap(), "--key", key.to_str().unwrap()].map(str::to_owned)
    };
    shop.program().run(&export(&mine, &one).each_ref().map(String::as_str)).ok();
    elsewhere.run(&program(&export(&theirs, &other).each_ref().map(String::as_str)), &path);
    assert!(fs::read(&one).unwrap() == fs::read(&other).unwrap(), "the same lock gave other bytes");
    assert_eq!(lock(&mine), lock(&theirs), "an export from the lock writes none");
}
