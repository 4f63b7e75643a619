//! What is refused as a package, and in which words. The components here are made by hand, so that nothing but the checked thing is in them.

use agentry_kernel::manifest::{FORMAT, Manifest};
use wasm_encoder as enc;

use super::*;

/// A component that imports these interfaces, each with one function, and exports nothing.
fn component(imports: &[&str]) -> Vec<u8> {
    use enc::{ComponentBuilder, ComponentTypeRef, ComponentValType, InstanceType};

    let mut builder = ComponentBuilder::default();
    for import in imports {
        let mut instance = InstanceType::new();
        let none: [(&str, ComponentValType); 0] = [];
        instance.ty().function().params(none).result(None);
        instance.export("call", ComponentTypeRef::Func(0));
        let ty = builder.type_instance(None, &instance);
        builder.import(*import, ComponentTypeRef::Instance(ty));
    }
    builder.finish()
}

fn manifest() -> Manifest {
    let text = format!(r#"{{"format":{FORMAT},"name":"acme:clock","version":"1.0.0","wit":"{WIT_VERSION}"}}"#);
    serde_json::from_str(&text).unwrap()
}

#[track_caller]
fn check_refused(bytes: &[u8], message: &str) {
    let error = inspect(bytes).unwrap_err();
    assert_eq!(error.message, message);
    assert!(!error.hint.is_empty() && !error.message.contains('\n') && !error.hint.contains('\n'), "{error}");
}

#[test]
fn what_is_no_component_is_refused_in_one_line() {
    check_refused(b"", "the file is empty");
    check_refused(b"#!/bin/sh\n", "the file is not WebAssembly");
    check_refused(b"(component)", "the file is not WebAssembly");
    check_refused(b"\x7fELF\x02\x01\x01\x00\x00", "the file is not WebAssembly");
    check_refused(b"\0as", "the component is truncated");
    check_refused(&enc::Module::new().finish(), "the file is a core module, not a component");
}

#[test]
fn a_component_without_run_is_refused() {
    check_refused(&enc::Component::new().finish(), "the component does not export `run`");
    check_refused(&component(&["wasi:sockets/tcp@0.2.3"]), "the component does not export `run`");
}

#[test]
fn every_truncation_of_a_component_is_refused_and_none_panics() {
    let whole = component(&["wasi:io/poll@0.2.3"]);
    for length in 0..whole.len() {
        inspect(&whole[..length]).unwrap_err();
    }
}

#[test]
fn a_manifest_comes_back_as_it_was_put_in() {
    let manifest = manifest();
    let section = manifest::canonical(&manifest).unwrap();
    assert_eq!(manifest::parse(&section).unwrap(), manifest);
}

#[track_caller]
fn check_manifest_refused(text: &str, part: &str) {
    let error = manifest::parse(text.as_bytes()).unwrap_err();
    assert!(error.message.contains(part), "{error}");
}

#[test]
fn a_manifest_that_is_not_canonical_is_refused() {
    let text = String::from_utf8(manifest::canonical(&manifest()).unwrap()).unwrap();
    check_manifest_refused(&text.replace(':', ": "), "not canonical");
    check_manifest_refused(&format!("{text}\n"), "not canonical");
    check_manifest_refused(&text.replace("{\"format\":1,", "{\"format\":1,\"format\":1,"), "duplicate field");
    check_manifest_refused(&text.replace("{\"format\":1,", "{\"admin\":true,\"format\":1,"), "unknown field");
    check_manifest_refused(&text.replace("\"format\":1", "\"format\":2"), "format 2");
    check_manifest_refused(&text.replace("\"acme:clock\"", "\"acme:\\u0063lock\""), "not canonical");
    check_manifest_refused("[]", "damaged");
    check_manifest_refused(&"[".repeat(60_000), "damaged");
    check_manifest_refused(&" ".repeat(70_000), "more than 65536");
}

#[test]
fn a_repeated_budget_key_is_refused() {
    let mut manifest = manifest();
    manifest.budget.insert("tokens_run".into(), agentry_kernel::budget::words::Amount::Number(1));
    let text = String::from_utf8(manifest::canonical(&manifest).unwrap()).unwrap();
    check_manifest_refused(&text.replace("\"tokens_run\":1", "\"tokens_run\":9,\"tokens_run\":1"), "not canonical");
}

#[track_caller]
fn check_import_refused(interface: &str, part: &str) {
    let import = Import { interface: interface.to_owned(), functions: vec!["call".to_owned()] };
    let error = imports::check(&[import], &manifest()).unwrap_err();
    assert!(error.message.contains(part), "{error}");
}

#[test]
fn an_import_that_is_not_declared_is_refused() {
    check_import_refused("agentry:agent/llm@0.1.0", "which its manifest does not declare");
    check_import_refused("agentry:agent/shell@0.1.0", "which is not in the table");
    check_import_refused("agentry:agent/log@0.2.0", "built against agentry:agent 0.2.0, and this host speaks 0.1.0");
    check_import_refused("agentry:agent/log", "this host speaks 0.1.0");
    check_import_refused("wasi:sockets/tcp@0.3.0", "this host has WASI 0.2");
    check_import_refused("wasi:http/outgoing-handler@0.2.3", "which no agent is given");
    check_import_refused("wasi:cli/stdout@0.3.0", "this host has WASI 0.2");
    check_import_refused("evil:corp/backdoor@1.0.0", "which this host does not have");
}

#[test]
fn free_interfaces_need_no_declaration() {
    let names = [
        "agentry:agent/log@0.1.0",
        "agentry:agent/timers@0.1.0",
        "wasi:cli/stdout@0.2.6",
        // Runtimes of languages import them; they are refused when they are called.
        "wasi:sockets/tcp@0.2.3",
        "wasi:sockets/ip-name-lookup@0.2.9",
    ];
    let import = |name: &&str| Import { interface: (*name).to_owned(), functions: vec!["call".to_owned()] };
    let imports: Vec<_> = names.iter().map(import).collect();
    assert_eq!(imports::check(&imports, &manifest()), Ok(vec![]));
}

#[test]
fn a_file_of_200_megabytes_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.wasm");
    std::fs::File::create(&path).unwrap().set_len(200 << 20).unwrap();
    assert_eq!(read(&path).unwrap_err().message, "the component has 200 MiB, more than 64 MiB");
}

#[test]
fn a_pipe_is_refused_and_nobody_waits_for_its_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe.wasm");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(read(&path).unwrap_err().message.ends_with("is not a regular file"));
}

#[test]
fn of_what_was_read_elsewhere_nothing_is_believed_that_can_be_checked() {
    let import = Import { interface: format!("agentry:agent/log@{WIT_VERSION}"), functions: vec!["write".to_owned()] };
    let unused = vec!["llm".to_owned()];
    let package = Package {
        digest: Digest([1; 32]),
        manifest: manifest(),
        imports: vec![import],
        unused,
        bytes: 9,
        parts: Parts::default(),
    };
    let back = Package::of_facts(&package.facts(), Digest([1; 32]), 9).unwrap();
    assert!(back.manifest == package.manifest && back.imports == package.imports && back.unused.is_empty());
    assert!(Package::of_facts(&package.facts(), Digest([2; 32]), 9).is_none(), "another component's");
    assert!(Package::of_facts(&package.facts(), Digest([1; 32]), 8).is_none(), "of another size");
    let mut more = package.clone();
    more.imports[0].interface = format!("agentry:agent/llm@{WIT_VERSION}");
    assert!(Package::of_facts(&more.facts(), Digest([1; 32]), 9).is_none(), "an import that is not declared");
    let mut other = package.clone();
    other.manifest.wit = "9.9.9".to_owned();
    assert!(Package::of_facts(&other.facts(), Digest([1; 32]), 9).is_none(), "a table of another version");
    assert!(Package::of_facts(b"{}", Digest([1; 32]), 9).is_none());
}

#[test]
fn what_unfolds_to_more_parts_than_a_run_may_have_is_refused_before_anything_is_compiled() {
    // Each component has two of the one before it.
    let doubling = |first: &str, times: usize| {
        let mut text = format!("(component (component $c0 {first})");
        for n in 1..=times {
            let before = n - 1;
            text.push_str(&format!(
                "(component $c{n} (instance (instantiate $c{before})) (instance (instantiate $c{before})))"
            ));
        }
        text.push_str(&format!("(instance (instantiate $c{times})))"));
        wat::parse_str(text).unwrap()
    };
    let module = "(core module $m) (core instance (instantiate $m))";
    let exceeds = "which exceeds the configured maximum of";
    check_refused(&doubling(module, 8), &format!("the component has 256 core module instances, {exceeds} 128"));
    check_refused(&doubling("", 9), &format!("the component has 1024 component instances, {exceeds} 1000"));
    let all = "the component has at least 4294967295 core module instances";
    check_refused(&doubling(module, 90), &format!("{all}, {exceeds} 128"));
    let error = inspect(&doubling(module, 6)).unwrap_err();
    assert!(error.message.contains("does not export `run`"), "{error}");
}
