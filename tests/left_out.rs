//! What is wrong with one index, publisher or package hides nothing of the others, and is told beside what is shown.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::installing::{Market, package};
use crate::stage::end;

/// The files below this directory that end so.
fn files(directory: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path, end)),
            path if path.to_string_lossy().ends_with(end) => found.push(path),
            _ => {}
        }
    }
    found
}

#[test]
fn an_index_that_cannot_be_read_hides_nothing_that_another_one_lists() {
    let market = Market::new();
    let stage = &market.stage;
    market.publish(&package(stage, "1.wasm", "echo", |_| {}));
    let gone = format!("at = \"../index\"\nroot = \"{}\"\n[indexes.gone]\nat = \"../nowhere\"\n", market.root);
    market.configure("", &gone);
    let found = end(stage.agentry("search").arg("--json")).with(0);
    assert_eq!(found.json()[0]["name"], json!("acme:keeper"));
    assert!(found.stderr.contains("what an index lists is left out: index `gone`: "), "{}", found.stderr);
    // Whoever takes something into the home is told by whom it could have been listed as well.
    let info = end(stage.agentry("info").arg("acme:keeper"));
    assert!(info.code != 0 && info.stderr.contains("index `gone`: "), "{}", info.stderr);
    market.configure("", "at = \"../nowhere\"\n");
    assert_ne!(end(&mut stage.agentry("search")).code, 0, "where there is no other, that is all that there is to say");
}

#[test]
fn a_package_that_is_not_what_is_listed_hides_no_page_of_another() {
    let market = Market::new();
    let stage = &market.stage;
    market.publish(&package(stage, "1.wasm", "echo", |_| {}));
    let lost = files(&stage.path("index/targets"), ".wasm");
    market.publish(&package(stage, "2.wasm", "echo", |manifest| manifest["name"] = "acme:other".into()));
    assert_eq!(lost.len(), 1, "{lost:?}");
    fs::remove_file(&lost[0]).expect("it is ours");
    let build = || {
        end(market.author("index build").arg(stage.path("index")).arg("--out").arg(stage.path("site"))).with(0).stderr
    };
    let told = build();
    assert!(told.contains("a package is left out: acme:keeper 1.0.0: "), "{told}");
    assert!(stage.path("site/acme/other/index.html").exists() && !stage.path("site/acme/keeper").exists());
    fs::write(&lost[0], b"junk").expect("it is ours");
    assert!(build().contains("a package is left out: acme:keeper 1.0.0: "));
}
