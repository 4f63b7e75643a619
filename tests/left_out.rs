//! What is wrong with one index, publisher or package hides nothing of the others, and is told beside what is shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::installing::{Market, package};
use crate::stage::end;
use crate::web::{Site, say};

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
    // Whoever only looks is shown what the other lists; whoever takes it into the home names the one that is to count.
    let digest = format!("sha256:{}", found.json()[0]["digest"].as_str().expect("it has one"));
    for package in ["acme:keeper", "acme:keeper@1.0.0", &digest] {
        let info = end(stage.agentry("info").args([package, "--json"])).with(0);
        assert_eq!(info.json()["version"], json!("1.0.0"), "{package}");
        assert!(info.stderr.contains("what an index lists is left out: index `gone`: "), "{}", info.stderr);
    }
    let told = end(stage.agentry("info").arg("acme:other"));
    assert!(told.code == 5 && told.stderr.contains("index `gone`: "), "{}", told.stderr);
    assert!(told.stderr.contains("or ask another index alone: --index main"), "{}", told.stderr);
    let told = end(&mut market.install("acme:keeper"));
    assert!(told.code != 0 && told.stderr.contains("index `gone`: "), "{}", told.stderr);
    assert!(told.stderr.contains("or ask another index alone: --index main"), "{}", told.stderr);
    end(market.install("acme:keeper").args(["--index", "main"])).with(0);
    market.configure("", "at = \"../nowhere\"\n");
    assert_ne!(end(&mut stage.agentry("search")).code, 0, "where there is no other, that is all that there is to say");
}

#[test]
fn an_index_that_is_silent_holds_up_no_other_and_is_asked_once() {
    let market = Market::new();
    let stage = &market.stage;
    for (name, file) in [("acme:keeper", "1.wasm"), ("acme:other", "2.wasm")] {
        market.publish(&package(stage, file, "echo", |manifest| manifest["name"] = name.into()));
        end(market.install(name).args(["--index", "main"])).with(0);
    }
    let silent = |of: &[&Site], seconds: u64| {
        let mut lines = "at = \"../index\"\n".to_owned();
        for (at, site) in of.iter().enumerate() {
            lines += &format!(
                "root = \"{}\"\n[indexes.silent-{at}]\nat = \"{}\"\nnetworks = [\"127.0.0.1\"]\nseconds = {seconds}\n",
                market.root,
                site.url("")
            );
        }
        market.configure("", &lines);
    };
    let sites = [0, 1, 2].map(|_| {
        Site::that(|_, _| {
            std::thread::sleep(Duration::from_secs(20));
            Ok(())
        })
    });
    silent(&sites.each_ref(), 4);
    let begun = Instant::now();
    let told = end(stage.agentry("info").arg("acme:keeper")).with(0).stderr;
    assert!(told.contains("index `silent-2`: ") && !told.contains("--index"), "{told}");
    assert!(begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
    let before = sites[0].asked().len();
    end(stage.agentry("update").arg("--dry-run")).with(5);
    assert_eq!(sites[0].asked().len() - before, 1, "not once for each of two agents");
    // A server that has no key says little, and late, as often as it is asked.
    let root = fs::read_to_string(stage.path("index/metadata/1.root.json")).expect("a root");
    let root: serde_json::Value = serde_json::from_str(&root).expect("JSON");
    let signed = root["signed"].clone();
    let chain = Site::that(move |asked, stream| {
        std::thread::sleep(Duration::from_millis(700));
        let version = asked.path().rsplit('/').next().and_then(|name| name.split('.').next()?.parse::<u64>().ok());
        let mut signed = signed.clone();
        signed["version"] = version.unwrap_or(1).into();
        say(stream, 200, &[], &json!({"signatures": [], "signed": signed}).to_string())
    });
    silent(&[&chain], 1);
    let begun = Instant::now();
    end(stage.agentry("info").args(["acme:keeper", "--index", "silent-0"]))
        .with(5)
        .complains("the roots of the index did not all come within 3s");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // Led on and on within itself, a file takes no longer than one that is not.
    let site = Site::that(|asked, stream| {
        std::thread::sleep(Duration::from_millis(600));
        say(stream, 302, &[("location", &format!("/x{}", asked.path()))], "")
    });
    silent(&[&site], 1);
    end(stage.agentry("info").args(["acme:keeper", "--index", "silent-0"])).with(5).complains("no whole answer in 1s");
    assert!(site.asked().len() <= 2, "{}", site.asked().len());
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
