//! What authors do: a crate begun, a component built from it and run under the grant it came with; and what they get wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::package::Sections;
use crate::stage::{Ended, Stage, agentry, begin, end, guest, skip};

const SCRIPT: &str = "{\"script\": 1, \"repeat\": true}\n{\"text\": \"Because of the air.\"}\n";

/// A crate's first build compiles all that it depends on, and perhaps std.
const BUILD_PATIENCE: Duration = Duration::from_secs(600);

/// A manifest that asks for nothing.
const MANIFEST: &str = "name = \"local:plain\"\nversion = \"0.1.0\"\ndescription = \"Gives back what it got.\"\n";

/// `agentry new` beside the home of a stage.
fn new(stage: &Stage, name: &str) -> Ended {
    end(agentry().args(["new", name]).current_dir(stage.path("")))
}

/// `agentry build`, with arguments.
fn build(path: &Path) -> Command {
    let mut build = agentry();
    build.arg("build").arg(path);
    build
}

/// A component without a manifest, and a manifest for it beside it.
fn bare(stage: &Stage, manifest: &str) -> PathBuf {
    let file = stage.path("plain-of-another-toolchain.wasm");
    fs::write(&file, Sections::of(&fs::read(guest("echo")).expect("echo is built")).bare().component())
        .expect("a component");
    stage.write("agent.toml", manifest);
    file
}

/// True if the crate was built; false, said aloud, if std for WebAssembly cannot be had on this machine.
fn was_built(test: &str, ended: &Ended) -> bool {
    let lacks = ended.stderr.contains("cannot get std") || ended.stderr.contains("std does not compile");
    if ended.code != 0 && lacks {
        skip(test, "std for WebAssembly cannot be had here");
        return false;
    }
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    true
}

#[test]
fn a_new_crate_has_what_it_promises() {
    let stage = Stage::new();
    let ended = new(&stage, "note-taker").with(0);
    assert!(ended.stdout.contains("next: agentry build note-taker"), "{}", ended.stdout);
    for file in ["Cargo.toml", "agent.toml", "README.md", ".gitignore", "src/lib.rs", "policies/50-note-taker.toml"] {
        let text = fs::read_to_string(stage.path("note-taker").join(file)).expect(file);
        assert!(!text.is_empty() && !text.contains("{{"), "{file}:\n{text}");
    }
    let policies = stage.path("note-taker/policies");
    let checked = end(agentry().args(["policy", "check", "--json"]).arg(policies.join("50-note-taker.toml"))).with(0);
    assert_eq!(checked.json()["grants"][0]["agent"], "note-taker");
}

#[test]
fn a_new_crate_goes_where_it_is_told() {
    let stage = Stage::new();
    end(agentry().args(["new", "clerk", "--dir"]).arg(stage.path("elsewhere/desk"))).with(0);
    assert!(stage.path("elsewhere/desk/agent.toml").exists());
    let again = end(agentry().args(["new", "clerk", "--dir"]).arg(stage.path("elsewhere/desk"))).with(2);
    again.complains("is there already");
}

/// Builds the crate `sky`, inspects what came of it and runs it under the grant that it came with.
fn is_built_and_runs(stage: &Stage, arguments: &[&str]) -> Option<Value> {
    let mut command = build(Path::new("."));
    let built = begin(command.args(arguments).current_dir(stage.path("sky"))).end_within(BUILD_PATIENCE);
    if !was_built("a_new_agent_is_built_with_and_without_wasi_and_runs_under_its_draft", &built) {
        return None;
    }
    let component = stage.path("sky/sky.wasm");
    let inspected = end(agentry().arg("inspect").arg(&component).arg("--json")).with(0).json();
    assert_eq!(inspected["manifest"]["name"], "local:sky");
    assert!(built.stdout.contains(inspected["digest"].as_str().expect("a package has a digest")), "{}", built.stdout);
    let mut run = stage.run_on(SCRIPT, &component, &json!({"question": "Why is the sky blue?"}));
    let report = end(run.arg("--policies").arg(stage.path("sky/policies"))).with(0).json();
    assert_eq!((&report["output"], &report["refusals"]), (&json!("Because of the air."), &json!([])));
    Some(inspected["imports"].clone())
}

#[test]
fn a_new_agent_is_built_with_and_without_wasi_and_runs_under_its_draft() {
    let stage = Stage::new();
    new(&stage, "sky").with(0);
    // One crate for both, because what runs at compile time is compiled once then.
    let Some(imports) = is_built_and_runs(&stage, &["--sbom", "sky.cdx.json"]) else { return };
    assert!(imports.to_string().contains("wasi:"), "{imports}");
    // What it is made of is told with the digest of what was made.
    let bom = fs::read_to_string(stage.path("sky/sky.cdx.json")).expect("a bill of materials");
    let bom: Value = serde_json::from_str(&bom).expect("JSON");
    let made = end(agentry().arg("inspect").arg(stage.path("sky/sky.wasm")).arg("--json")).with(0).json();
    assert_eq!(bom["metadata"]["component"]["hashes"][0]["content"], made["digest"]);
    let names: Vec<&str> =
        bom["components"].as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(names.contains(&"sky") && names.contains(&"agentry") && names.contains(&"serde"), "{names:?}");
    let Some(imports) = is_built_and_runs(&stage, &["--pure"]) else { return };
    assert!(!imports.to_string().contains("wasi:"), "{imports}");
}

#[test]
fn a_name_or_a_directory_that_cannot_be_is_refused_and_nothing_is_written() {
    let stage = Stage::new();
    for name in ["Note", "2nd", "a/b", "../a", "agentry", "a_b"] {
        new(&stage, name).with(2).complains("name");
    }
    stage.write("taken/notes.txt", "mine");
    new(&stage, "taken").with(2).complains("is there already");
    stage.write("file", "mine");
    new(&stage, "file").with(2).complains("is there already");
    let left: Vec<_> = fs::read_dir(stage.path("")).expect("it is there").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
    assert_eq!(fs::read_dir(stage.path("taken")).expect("it is there").count(), 1);
}

#[test]
fn a_component_of_another_toolchain_gets_a_manifest_and_runs() {
    let stage = Stage::new();
    let file = bare(&stage, MANIFEST);
    end(&mut build(&file)).with(0);
    let package = stage.path("plain.wasm");
    assert_eq!(
        end(agentry().arg("inspect").arg(&package).arg("--json")).with(0).json()["manifest"]["name"],
        "local:plain"
    );
    let draft = end(agentry().arg("inspect").arg(&package).arg("--grant")).with(0).stdout;
    stage.policy(&draft);
    assert_eq!(end(&mut stage.run(&package, &json!([1]))).with(0).json()["output"], json!([1]));
}

#[test]
fn a_core_module_that_is_no_agent_is_told_how_to_compile_one() {
    let stage = Stage::new();
    stage.write("agent.toml", MANIFEST);
    let core = stage.path("core.wasm");
    for (bytes, says) in [
        (&b"\0asm\x01\0\0\0"[..], "the module does not become a component"),
        (b"\0asm\x01\0\0\0\xff", "the module is not valid"),
    ] {
        fs::write(&core, bytes).expect("a file");
        end(&mut build(&core)).with(2).complains(says);
    }
    fs::write(&core, b"\0asm\x01\0\0\0").expect("a file");
    let refused = end(agentry().arg("inspect").arg(&core)).with(2);
    assert!(refused.stderr.contains("`agentry build FILE.wasm --manifest agent.toml` makes an agent of it"));
}

#[test]
fn the_manifest_and_the_package_are_where_one_says() {
    let stage = Stage::new();
    let file = bare(&stage, "not what is asked for");
    let manifest = stage.write("elsewhere/plain.toml", MANIFEST);
    let out = stage.path("out/agents/plain.wasm");
    end(build(&file).arg("--manifest").arg(manifest).arg("--out").arg(&out)).with(0);
    end(agentry().arg("inspect").arg(&out)).with(0);
    end(build(&file).arg("--manifest").arg(stage.path("nowhere.toml"))).with(2).complains("nowhere.toml");
    end(build(&file).arg("--manifest").arg(stage.path("elsewhere/plain.toml")).arg("--out").arg(stage.path("out")))
        .with(2);
    assert!(stage.path("out").is_dir());
}

#[test]
fn a_second_manifest_is_refused() {
    let stage = Stage::new();
    let file = bare(&stage, MANIFEST);
    end(&mut build(&file)).with(0);
    let package = stage.path("plain.wasm");
    let before = fs::read(&package).expect("it was built");
    end(&mut build(&package)).with(2).complains("has a manifest already");
    assert_eq!(fs::read(&package).expect("it is there"), before);
}

#[test]
fn a_mistake_in_agent_toml_is_told_with_its_line_before_anything_is_compiled() {
    for (manifest, of) in [
        ("name = \"local:plain\"\nversion = \n", "agent.toml:2:11: not TOML"),
        ("name = \"local:plain\"\nversion = \"0.1.0\"\nsudo = true\n", "agent.toml:3:1: unknown key `sudo`"),
        (
            "name = \"local:plain\"\nversion = \"0.1.0\"\n\n[wants.llm]\nmodels = \"*\"\nwhy = \"x\"\n",
            "agent.toml:5:10: `models` is not a list of texts",
        ),
        ("version = \"0.1.0\"\n", "the file has no `name`"),
        ("name = \"Plain\"\nversion = \"0.1.0\"\n", "`name`"),
        ("name = \"local:plain\"\nversion = \"0.1.0\"\n[wants.llm]\nmodels = [\"*\"]\nwhy = \"\"\n", "wants.llm"),
    ] {
        let stage = Stage::new();
        end(&mut build(&bare(&stage, manifest))).with(2).complains(of);
        assert!(!stage.path("plain.wasm").exists(), "{manifest}");
    }
    let stage = Stage::new();
    let file = bare(&stage, MANIFEST);
    fs::remove_file(stage.path("agent.toml")).expect("it was there");
    end(&mut build(&file)).with(2).complains("agent.toml");
    end(&mut build(&stage.path("nothing"))).with(2).complains("there is no ");
}

#[test]
fn what_was_built_already_is_not_built_again() {
    let stage = Stage::new();
    let file = bare(&stage, MANIFEST);
    end(build(&file).arg("--pure")).with(2).complains("is built already");
    end(build(&file).arg("--sbom").arg(stage.path("bom.json"))).with(2).complains("is built already");
    end(build(&file).arg("--examples").arg("--out").arg(stage.path("out"))).with(2).complains("is built already");
}

#[test]
fn each_example_of_a_crate_is_an_agent_with_a_name_of_its_own() {
    // `cargo xtask guests` builds these with `--examples`.
    for name in ["echo", "busy_poll"] {
        let inspected = end(agentry().arg("inspect").arg(guest(name)).arg("--json")).with(0).json();
        assert_eq!(inspected["manifest"]["name"], format!("test:{}", name.replace('_', "-")));
    }
}

#[test]
fn a_world_is_narrowed_to_what_the_manifest_wants() {
    let stage = Stage::new();
    let wants = format!("{MANIFEST}[wants.llm]\nmodels = [\"*\"]\nwhy = \"Asks.\"\n");
    let file = bare(&stage, &wants);
    let out = stage.path("wit");
    end(build(&file).arg("--world").arg(&out)).with(0);
    let world = fs::read_to_string(out.join("world.wit")).expect("a world");
    let imports: Vec<&str> = world.lines().filter_map(|line| line.trim().strip_prefix("import ")).collect();
    assert_eq!(imports, ["types;", "llm;", "timers;", "budget;", "log;"]);
    assert!(out.join("llm.wit").exists());
    assert!(!stage.path("plain.wasm").exists(), "it only writes the table");
    end(build(&file).arg("--world").arg(&out).arg("--pure")).with(2);
    let taken = stage.write("taken", "a file");
    end(build(&file).arg("--world").arg(taken)).with(2);
}
