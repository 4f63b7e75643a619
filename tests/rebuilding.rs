//! Builds that anybody can make again: the same source gives the same bytes wherever and by whomever it is built, and what gives others is
//! told apart.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::stage::{Ended, Stage, agentry, begin, end, skip};

/// A crate's first build compiles all that it depends on, and perhaps std.
const PATIENCE: Duration = Duration::from_secs(600);

/// A copy of a crate as somebody else has it: what is made of it stays behind.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory").flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let name = entry.file_name();
        if source.is_dir() && name != "target" && name != ".agentry" {
            copy(&source, &target);
        } else if source.is_file() {
            fs::copy(source, target).expect("a file");
        }
    }
}

/// Somebody else: another home, another directory of cargo and of what is compiled, another day, and flags of their own in their shell. Crates and
/// std that are on this machine are not fetched again.
fn stranger(stage: &Stage, command: &mut Command) {
    let own = PathBuf::from(std::env::var_os("HOME").expect("there is a home"));
    let of = |variable: &str, inside: &str| std::env::var_os(variable).map_or_else(|| own.join(inside), PathBuf::from);
    let cargo = stage.directory("stranger/cargo");
    if !cargo.join("registry").exists() {
        symlink(of("CARGO_HOME", ".cargo").join("registry"), cargo.join("registry")).expect("a link");
    }
    command
        .env("HOME", stage.directory("stranger"))
        .env("RUSTUP_HOME", of("RUSTUP_HOME", ".rustup"))
        .env("XDG_CACHE_HOME", of("XDG_CACHE_HOME", ".cache"))
        .env("CARGO_HOME", cargo)
        .env("CARGO_TARGET_DIR", stage.path("stranger/made"))
        .env("SOURCE_DATE_EPOCH", "1")
        .env("RUSTFLAGS", "-Copt-level=0")
        .env("CARGO_PROFILE_RELEASE_LTO", "false")
        .env("USER", "stranger")
        .env("TZ", "Asia/Tokyo");
}

/// `agentry verify --rebuild SOURCE FILE`.
fn rebuild(source: &Path, file: &Path) -> Command {
    let mut verify = agentry();
    verify.args(["verify", "--rebuild"]).arg(source).arg(file);
    verify
}

/// A crate `sky` that was built, with what came of it; none if std cannot be had here.
fn built(stage: &Stage, test: &str) -> Option<(PathBuf, PathBuf)> {
    end(agentry().args(["new", "sky"]).current_dir(stage.path(""))).with(0);
    let source = stage.path("sky");
    let ended = begin(agentry().arg("build").current_dir(&source)).end_within(PATIENCE);
    let lacks = ended.stderr.contains("cannot get std") || ended.stderr.contains("std does not compile");
    if ended.code != 0 && lacks {
        skip(test, "std for WebAssembly cannot be had here");
        return None;
    }
    ended.with(0);
    Some((source.clone(), source.join("sky.wasm")))
}

fn patiently(command: &mut Command) -> Ended {
    begin(command).end_within(PATIENCE)
}

#[test]
fn the_same_source_gives_the_same_bytes_anywhere_and_a_changed_line_does_not() {
    const TEST: &str = "the_same_source_gives_the_same_bytes_anywhere_and_a_changed_line_does_not";
    let stage = Stage::new();
    let Some((source, package)) = built(&stage, TEST) else { return };
    // Nothing of this machine stands in it.
    let bytes = fs::read(&package).expect("it was built");
    for path in [stage.path(""), std::env::var_os("HOME").map(PathBuf::from).expect("there is a home")] {
        let path = path.display().to_string();
        assert!(!bytes.windows(path.len()).any(|window| window == path.as_bytes()), "{path} stands in it");
    }
    // Somebody else builds it again, and gets the same.
    let elsewhere = stage.path("stranger/src/checkout-17");
    copy(&source, &elsewhere);
    let mut verify = rebuild(&elsewhere, &package);
    stranger(&stage, &mut verify);
    let told = patiently(&mut verify).with(0);
    assert!(told.stdout.contains("local:sky 0.1.0: this source makes the same bytes"), "{}", told.stdout);
    assert!(!elsewhere.join(".agentry").exists() && !elsewhere.join("target").exists(), "the source is only read");
    let file = elsewhere.join("src/lib.rs");
    let text = fs::read_to_string(&file).expect("a source");
    fs::write(&file, text.replace("llm::ask(input.question)", "llm::ask(format!(\"Please: {}\", input.question))"))
        .expect("a file");
    let mut verify = rebuild(&elsewhere, &package);
    stranger(&stage, verify.arg("--json"));
    let told = patiently(&mut verify).with(1).json();
    assert!(told["differs"]["section"].as_str().is_some_and(|section| section.ends_with("of module 1")), "{told}");
    assert!(told["hint"].as_str().is_some_and(|hint| hint.contains("it is the source that is another")), "{told}");
    assert_eq!(told["toolchain"], Value::Array(vec![]));
}

#[test]
fn a_package_that_another_toolchain_built_says_which() {
    let stage = Stage::new();
    let Some((source, package)) = built(&stage, "a_package_that_another_toolchain_built_says_which") else { return };
    // What would be there if the compiler had been another one.
    let mut bytes = fs::read(&package).expect("it was built");
    let version = end(Command::new("rustc").arg("-V")).with(0).stdout;
    let release = version.split(' ').nth(1).expect("rustc says its version");
    let said = format!("{release} (");
    let at = |bytes: &[u8]| bytes.windows(said.len()).rposition(|window| window == said.as_bytes());
    let other = format!("0{}", &release[1..]);
    let place = at(&bytes).expect("a package says what built it");
    bytes[place..place + other.len()].copy_from_slice(other.as_bytes());
    let changed = stage.path("changed.wasm");
    fs::write(&changed, &bytes).expect("a file");
    let told = patiently(&mut rebuild(&source, &changed)).with(1).stdout;
    assert!(told.contains("they differ first in section `producers`"), "{told}");
    assert!(told.contains(&format!("it was built with rustc {other} (")), "{told}");
    assert!(
        told.contains(&format!("rustup toolchain install {other}, then again with RUSTUP_TOOLCHAIN={other}")),
        "{told}"
    );
}

#[test]
fn what_cannot_be_built_again_is_told_before_anything_is_compiled() {
    let stage = Stage::new();
    end(agentry().args(["new", "sky"]).current_dir(stage.path(""))).with(0);
    let (source, other) = (stage.path("sky"), crate::stage::guest("echo"));
    end(&mut rebuild(&stage.path("nowhere"), &other)).with(2).complains("there is no ");
    end(&mut rebuild(&stage.directory("empty"), &other)).with(2).complains("there is no Cargo.toml");
    end(&mut rebuild(&source, &other)).with(2).complains("so nobody can tell which versions of other crates");
    fs::write(source.join("Cargo.lock"), "version = 4\n").expect("a file");
    let told = end(&mut rebuild(&source, &other)).with(1).stdout;
    assert!(told.contains("this source is that of local:sky 0.1.0"), "{told}");
    end(rebuild(&source, &other).arg("another")).with(2).complains("--rebuild compares one package");
    end(stage.agentry("verify").arg("--rebuild").arg(&source)).with(2).complains("no agent `sky` is installed");
    let manifest = fs::read_to_string(source.join("Cargo.toml")).expect("a manifest");
    let place = stage.directory("outside/src");
    fs::write(place.join("lib.rs"), "").expect("a file");
    stage.write("outside/Cargo.toml", "[package]\nname = \"outside\"\nversion = \"1.0.0\"\nedition = \"2024\"\n");
    let depends = manifest.replace("[dependencies]\n", "[dependencies]\noutside = { path = \"../outside\" }\n");
    fs::write(source.join("Cargo.toml"), depends).expect("a file");
    end(&mut rebuild(&source, &other)).with(2).complains("the crate depends on `outside` in ");
}
