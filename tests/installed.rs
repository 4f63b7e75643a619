//! What people install, installed as they would in a place where nothing else is, and the first things that they do with it. It is packed by
//! `cargo xtask dist --profile dev`, from the binary of the other tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::installing::{Market, package};
use crate::stage::{Ended, Stage, agentry, end, skip};

/// From nothing to a run, nothing downloaded and nothing compiled.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was packed; none where nobody did.
fn packed(test: &str) -> Option<PathBuf> {
    let packed = std::env::var_os("AGENTRY_DIST").map(PathBuf::from);
    if packed.is_none() {
        skip(test, "AGENTRY_DIST names no directory of `cargo xtask dist`");
    }
    packed
}

/// The one file there that ends so.
fn file(packed: &Path, ends: &str) -> PathBuf {
    let files = fs::read_dir(packed).expect("it was packed").flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().ends_with(ends)).collect();
    assert_eq!(files.len(), 1, "one {ends} in {}", packed.display());
    files.remove(0)
}

/// A command of somebody who has this directory on the path and nothing else: no Rust, no home of Agentry, none of their own.
fn clean(stage: &Stage, program: &Path) -> Command {
    let mut command = Command::new(program);
    let beside = program.parent().expect("it lies in a directory");
    command.env_clear().env("PATH", beside).env("HOME", stage.directory("somebody")).env("NO_COLOR", "1");
    command.env("AGENTRY_HOME", stage.path("new")).current_dir(stage.path("somebody"));
    command
}

fn version() -> String {
    end(agentry().arg("--version")).with(0).stdout
}

fn ran(command: &mut Command) -> Ended {
    end(command).with(0)
}

#[test]
fn from_nothing_to_a_run_by_a_wheel_and_a_package() {
    let Some(packed) = packed("from_nothing_to_a_run_by_a_wheel_and_a_package") else { return };
    let market = Market::new();
    let stage = &market.stage;
    market.publish(&package(stage, "echo.wasm", "echo", |_| {}));
    let venv = stage.path("venv");
    ran(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    let program = |name: &str| venv.join("bin").join(name);
    let index = format!("[indexes.main]\nat = \"{}\"\nroot = \"{}\"\n", stage.path("index").display(), market.root);
    let begun = Instant::now();
    let pip = |verb: &[&str]| {
        let mut pip = clean(stage, &program("pip"));
        pip.arg("--disable-pip-version-check").args(verb);
        pip
    };
    ran(pip(&["install", "--no-index"]).arg(file(&packed, ".whl")));
    let installed = || clean(stage, &program("agentry"));
    assert_eq!(ran(installed().arg("--version")).stdout, version());
    ran(installed().args(["setup", "--yes"]));
    fs::write(stage.path("new/packages.toml"), format!("format = 1\n{index}")).expect("a file");
    let shown = ran(installed().args(["info", "acme:keeper", "--json"])).json();
    let code = shown["consent"].as_str().expect("a code");
    ran(installed().args(["install", "acme:keeper", "--consent", code]));
    let run = ran(installed().args(["run", "keeper", "--json", "--input", "[1, 2]"])).json();
    assert_eq!(run["output"], json!([1, 2]));
    assert!(begun.elapsed() < PATIENCE, "from nothing to a run in {:?}", begun.elapsed());
    eprintln!("from nothing to a run in {:?}", begun.elapsed());
    ran(installed().args(["policy", "check"]));
    for page in ["man/man1/agentry-run.1", "bash-completion/completions/agentry", "zsh/site-functions/_agentry"] {
        assert!(venv.join("share").join(page).is_file(), "no {page}");
    }
    // What is taken away leaves nothing but the home.
    ran(&mut pip(&["uninstall", "--yes", "agentry"]));
    assert!(!program("agentry").exists() && !venv.join("share/man/man1/agentry.1").exists());
    assert!(stage.path("new/agents.lock").exists());
}

#[test]
fn npm_links_the_command_and_npx_runs_it() {
    let Some(packed) = packed("npm_links_the_command_and_npx_runs_it") else { return };
    let stage = Stage::new();
    let tgz = file(&packed, ".tgz");
    let prefix = stage.directory("prefix");
    let npm = || {
        let mut npm = Command::new("npm");
        npm.env("npm_config_cache", stage.path("npm-cache")).env("npm_config_update_notifier", "false");
        npm.env("npm_config_offline", "true").current_dir(stage.directory("somewhere"));
        npm
    };
    ran(npm().args(["install", "--global", "--no-audit", "--no-fund", "--prefix"]).arg(&prefix).arg(&tgz));
    assert_eq!(ran(clean(&stage, &prefix.join("bin/agentry")).arg("--version")).stdout, version());
    assert!(prefix.join("share/man/man1/agentry-run.1").exists(), "its pages are not where man looks");
    ran(clean(&stage, &prefix.join("bin/agentry")).args(["setup", "--yes"]));
    let once = ran(npm().args(["exec", "--yes", "--package"]).arg(&tgz).args(["--", "agentry", "--version"]));
    assert_eq!(once.stdout, version());
    ran(npm().args(["uninstall", "--global", "--prefix"]).arg(&prefix).arg("agentry"));
    assert!(!prefix.join("bin/agentry").exists());
}

#[test]
fn an_archive_is_unpacked_and_used_where_it_lies() {
    let Some(packed) = packed("an_archive_is_unpacked_and_used_where_it_lies") else { return };
    let stage = Stage::new();
    let place = stage.directory("opt");
    ran(Command::new("tar").arg("-xzf").arg(file(&packed, ".tar.gz")).args(["--strip-components=1", "-C"]).arg(&place));
    assert_eq!(ran(clean(&stage, &place.join("bin/agentry")).arg("--version")).stdout, version());
    let terms = fs::read_to_string(place.join("share/doc/agentry/THIRD-PARTY.txt")).expect("the terms are there");
    assert!(terms.contains("wasmtime 48.") && terms.contains("Apache License"), "whose terms?");
    assert!(
        place.join("share/doc/agentry/LICENSE-APACHE").exists() && place.join("share/doc/agentry/LICENSE-MIT").exists()
    );
}

#[test]
fn checksums_are_signed_and_one_changed_byte_is_found() {
    let Some(packed) = packed("checksums_are_signed_and_one_changed_byte_is_found") else { return };
    let stage = Stage::new();
    let place = stage.directory("downloads");
    for entry in fs::read_dir(&packed).expect("it was packed").flatten() {
        fs::copy(entry.path(), place.join(entry.file_name())).expect("a copy");
    }
    assert!(!place.join(".key.der").exists(), "the secret half of the key stayed there");
    let check = || end(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&place));
    let signed = || {
        let mut openssl = Command::new("openssl");
        openssl.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "SHA256SUMS.pem", "-in", "SHA256SUMS"]);
        end(openssl.args(["-sigfile", "SHA256SUMS.sig"]).current_dir(&place))
    };
    check().with(0);
    signed().with(0);
    let listed = fs::read_to_string(place.join("SHA256SUMS")).expect("a list");
    assert_eq!(listed.lines().count(), 6, "{listed}");
    let wheel = file(&place, ".whl");
    let mut bytes = fs::read(&wheel).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&wheel, bytes).expect("a file");
    assert_ne!(check().code, 0, "a changed byte passes");
    fs::write(place.join("SHA256SUMS"), listed.replacen('0', "1", 1)).expect("a file");
    assert_ne!(signed().code, 0, "another list passes under the same signature");
}

#[test]
fn what_is_built_in_is_listed_as_others_read_it() {
    let Some(packed) = packed("what_is_built_in_is_listed_as_others_read_it") else { return };
    let list = file(&packed, ".cdx.json");
    let text = fs::read_to_string(&list).expect("a list");
    let listed: Value = serde_json::from_str(&text).expect("it is JSON");
    let components = listed["components"].as_array().expect("a list");
    let named: Vec<&str> = components.iter().filter_map(|one| one["bom-ref"].as_str()).collect();
    assert!(named.iter().any(|name| name.starts_with("wasmtime@48.")) && named.contains(&"agentry-kernel@0.1.0"));
    assert!(
        !named.iter().any(|name| name.starts_with("expect-test@") || name.starts_with("clap_derive@")),
        "{named:?}"
    );
    for one in components {
        assert!(one["licenses"][0]["expression"].as_str().is_some_and(|terms| !terms.is_empty()), "{one}");
    }
    let Some(python) = std::env::var_os("AGENTRY_CYCLONEDX_PYTHON") else {
        return skip(
            "what_is_built_in_is_listed_as_others_read_it",
            "AGENTRY_CYCLONEDX_PYTHON names no Python with it",
        );
    };
    let strictly = "import sys\nfrom cyclonedx.schema import SchemaVersion\n\
        from cyclonedx.validation.json import JsonStrictValidator\n\
        print(JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read()))";
    assert_eq!(ran(Command::new(python).args(["-c", strictly]).arg(&list)).stdout, "None\n");
}
