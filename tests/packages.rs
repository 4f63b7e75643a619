//! Files that are no packages, or bad ones: each is one line with a hint, exit 2, and takes neither long nor much.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::package::{Sections, patched};
use crate::stage::{Stage, agentry, end, guest};

/// A refused file is refused before anyone could get bored.
const SOON: Duration = Duration::from_secs(20);

/// Both `inspect` and `run` refuse the file, and no run has begun.
fn is_refused(bytes: &[u8], of: &str) {
    let stage = Stage::new();
    let file = stage.path("bad.wasm");
    fs::write(&file, bytes).expect("a file");
    file_is_refused(&stage, &file, of);
}

fn file_is_refused(stage: &Stage, file: &Path, of: &str) {
    let inspected = end(agentry().arg("inspect").arg(file)).with(2);
    inspected.complains(of);
    let ran = end(stage.agentry("run").arg(file)).with(2);
    ran.complains(of);
    assert!(inspected.took < SOON && ran.took < SOON, "{:?} {:?}", inspected.took, ran.took);
    assert_eq!(end(stage.agentry("ps").arg("--json")).with(0).json(), json!([]));
    stage.costs_nothing(&[]);
}

fn echo() -> Vec<u8> {
    fs::read(guest("echo")).expect("echo is built")
}

#[test]
fn a_text_is_not_a_component() {
    is_refused(b"#!/bin/sh\necho hello\n", "not");
}

#[test]
fn an_empty_file_is_not_a_component() {
    is_refused(b"", "");
}

#[test]
fn a_core_module_is_not_a_component() {
    is_refused(b"\0asm\x01\0\0\0", "module");
}

#[test]
fn a_truncated_component_is_refused_wherever_it_is_cut() {
    let whole = echo();
    for kept in [9, whole.len() / 3, whole.len() - 1] {
        is_refused(&whole[..kept], "");
    }
}

#[test]
fn two_hundred_megabytes_are_refused_unread() {
    let stage = Stage::new();
    let path = stage.path("huge.wasm");
    let file = fs::File::create(&path).expect("a file");
    file.set_len(200 << 20).expect("a sparse file");
    file_is_refused(&stage, &path, "200 MiB");
}

#[test]
fn a_pipe_and_a_directory_are_no_files_to_read() {
    let stage = Stage::new();
    let pipe = stage.path("pipe.wasm");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    file_is_refused(&stage, &pipe, "not a regular file");
    file_is_refused(&stage, &stage.directory("directory.wasm"), "not a regular file");
    file_is_refused(&stage, &stage.path("nothing.wasm"), "cannot read");
}

#[test]
fn another_version_of_the_syscall_table_is_refused_by_name() {
    is_refused(&patched(echo(), "@0.1.0", "@0.9.0"), "0.9.0");
}

#[test]
fn a_manifest_for_another_version_is_refused_by_name() {
    let sections = Sections::of(&echo());
    let manifest = sections.manifest().replace(r#""wit":"0.1.0""#, r#""wit":"7.0.0""#);
    is_refused(&sections.bare().and(&manifest).component(), "7.0.0");
}

#[test]
fn an_import_that_the_manifest_does_not_declare_is_refused_by_name() {
    let sections = Sections::of(&fs::read(guest("ask")).expect("ask is built"));
    let mut manifest: serde_json::Value = serde_json::from_str(&sections.manifest()).expect("a manifest is JSON");
    manifest["wants"] = json!({});
    is_refused(&sections.bare().and(&manifest.to_string()).component(), "`llm`, which its manifest does not declare");
}

#[test]
fn a_component_without_a_manifest_is_refused() {
    is_refused(&Sections::of(&echo()).bare().component(), "has no manifest");
}

#[test]
fn two_manifests_are_one_too_many() {
    let sections = Sections::of(&echo());
    let manifest = sections.manifest();
    is_refused(&sections.and(&manifest).component(), "2 manifests");
}

#[test]
fn a_component_that_exports_no_agent_is_refused() {
    let manifest = Sections::of(&echo()).manifest();
    is_refused(&Sections::none().and(&manifest).component(), "export");
}

#[test]
fn a_manifest_that_is_not_json_or_says_too_much_is_refused() {
    let bare = |manifest: &str| Sections::of(&echo()).bare().and(manifest).component();
    is_refused(&bare("{"), "manifest");
    is_refused(&bare(r#"{"format":1,"sudo":true}"#), "manifest");
    is_refused(&bare(&"[".repeat(70_000)), "manifest");
}

#[test]
fn inspect_shows_what_a_package_wants_and_runs_nothing() {
    let shown = end(agentry().arg("inspect").arg(guest("echo"))).with(0);
    assert!(shown.stdout.contains("asks for"), "{}", shown.stdout);
    let json = end(agentry().arg("inspect").arg(guest("echo")).arg("--json")).with(0).json();
    assert_eq!(json["manifest"]["wit"], "0.1.0");
    assert_eq!(json["digest"].as_str().map(str::len), Some(64));
}

#[test]
fn what_a_package_says_of_itself_cannot_move_the_cursor() {
    let stage = Stage::new();
    let sections = Sections::of(&echo());
    let mut manifest: serde_json::Value = serde_json::from_str(&sections.manifest()).expect("a manifest is JSON");
    manifest["description"] = json!("\u{1b}[2J\u{202e}all is well");
    let file = stage.path("sly.wasm");
    fs::write(&file, sections.bare().and(&manifest.to_string()).component()).expect("a file");
    let shown = end(agentry().arg("inspect").arg(&file));
    let all = format!("{}{}", shown.stdout, shown.stderr);
    assert!(!all.contains(['\u{1b}', '\u{202e}']), "{all:?}");
}

#[test]
fn a_grant_that_inspect_drafts_is_one_that_policy_check_takes() {
    let stage = Stage::drafting(&guest("ask"));
    let checked = end(stage.agentry("policy check").arg("--json")).with(0).json();
    assert_eq!(checked["grants"][0]["agent"], "ask");
}
