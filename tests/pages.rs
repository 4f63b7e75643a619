//! The pages of an index in a real browser, as wide as a phone and as a desk: nothing runs over, nothing is executed, and all can be read out.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::browser::Browser;
use crate::installing::{Market, package, steps};
use crate::stage::end;

/// A phone, and a window on a desk.
const WIDTHS: [u64; 2] = [390, 1280];

/// Words of somebody who means no good: a script, and an image that loads. Letters that nobody sees, or that turn a line, no manifest has.
const BAD: &str = "<script>document.title='mine'</script><img src=x onerror=\"document.title='mine'\">";

/// An index with packages of good and of bad words, as pages.
fn site() -> (Market, PathBuf) {
    let market = Market::new();
    let stage = &market.stage;
    market.publish(&package(stage, "1.wasm", "steps", |manifest| {
        manifest["description"] = "Keeps the books of a small company.".into();
        steps(manifest);
    }));
    market.publish(&package(stage, "2.wasm", "steps", |manifest| {
        (manifest["version"], manifest["seq"]) = ("1.1.0-rc.1+build.20261130123456".into(), 2.into());
        steps(manifest);
        manifest["description"] = "Keeps the books of a small company, and says on Fridays what is owed.".into();
        manifest["requires"] = json!([{"package": "acme:reader@^1", "why": "It reads what was scanned."}]);
    }));
    market.publish(&package(stage, "3.wasm", "echo", |manifest| {
        manifest["name"] = "acme:a-name-that-goes-on-and-on-and-does-not-end-for-a-while".into();
        manifest["description"] = format!("{BAD} {}", "x".repeat(300)).into();
    }));
    market.publish(&package(stage, "4.wasm", "ask", |manifest| {
        manifest["name"] = "acme:asker".into();
        manifest["wants"] = json!({"llm": {"models": ["*"], "max_tokens": 512, "why": BAD}});
    }));
    // What a publisher says when it takes a version back has passed no gate.
    let because = ["--because", "it loses <b>cents\u{202e}drow"];
    end(market.author("yank").arg("acme:keeper@1.0.0").args(because).arg("--index").arg(stage.path("index"))).with(0);
    end(market.author("index sign").arg(stage.path("index"))).with(0);
    let site = stage.path("site");
    end(market.author("index build").arg(stage.path("index")).arg("--out").arg(&site)).with(0);
    (market, site)
}

#[test]
fn pages_fit_a_phone_and_a_desk_and_execute_nothing_that_a_package_says() {
    let Some(mut browser) = Browser::open("pages_fit_a_phone_and_a_desk_and_execute_nothing_that_a_package_says")
    else {
        return;
    };
    let (_market, site) = site();
    let mut pages: Vec<PathBuf> = fs::read_dir(site.join("acme")).expect("pages").flatten().map(|e| e.path()).collect();
    pages.iter_mut().for_each(|page| page.push("index.html"));
    pages.push(site.join("index.html"));
    assert_eq!(pages.len(), 4, "{pages:?}");
    for page in &pages {
        for width in WIDTHS {
            let with = browser.page(page, width, true);
            assert!(
                with.widths.0 <= width && with.widths.1 == width,
                "{} at {width}: {:?}",
                page.display(),
                with.widths
            );
            assert_eq!(browser.value("document.scripts.length + document.images.length"), 0);
            assert_eq!(browser.value("document.documentElement.lang"), "en");
            // The same can be read where no script runs.
            assert_eq!(with.parts, browser.page(page, width, false).parts);
            assert!(with.all("RootWebArea")[0].ends_with("Packages"), "{:?}", with.all("RootWebArea"));
            assert_eq!((with.all("main").len(), with.all("heading").is_empty()), (1, false));
            let hidden =
                |letter: char| letter.is_control() && letter != '\n' || ('\u{202a}'..='\u{202e}').contains(&letter);
            assert!(!with.text().contains(hidden), "{}", with.text());
        }
    }
}

#[test]
fn what_stands_on_pages_is_read_out_as_what_it_is() {
    let Some(mut browser) = Browser::open("what_stands_on_pages_is_read_out_as_what_it_is") else { return };
    let (market, site) = site();
    let list = browser.page(&site.join("index.html"), 390, true);
    assert_eq!(list.all("heading"), ["Packages"]);
    assert_eq!(list.all("link").len(), 3);
    assert!(list.text().contains("<script>document.title='mine'</script><img src=x"), "{}", list.text());
    // What a link leads to is there, and leads back.
    assert_eq!(browser.value("[...document.links].every(link => link.protocol == 'file:')"), true);
    let keeper = browser.page(&site.join("acme/keeper/index.html"), 390, true);
    assert_eq!(keeper.all("RootWebArea"), ["acme:keeper – Packages"]);
    assert_eq!(keeper.all("navigation"), ["Pages"]);
    assert_eq!(
        keeper.all("heading"),
        ["acme:keeper", "What it may do", "What it requires", "What it may cost", "How to install it", "Versions"]
    );
    assert_eq!(keeper.all("table"), ["Versions"]);
    assert_eq!(keeper.all("columnheader"), ["version", "asks for", "digest"]);
    let text = keeper.text();
    for words in [
        "reads the folder you name for `documents`",
        "agentry install acme:keeper",
        "1.0.0",
        "acme:reader",
        &market.key,
        "taken back: it loses <b>cents\\u{202e}drow",
    ] {
        assert!(text.replace('\n', "").contains(words), "{words} in {text}");
    }
    let asker = browser.page(&site.join("acme/asker/index.html"), 390, true);
    assert!(asker.text().contains("It says: <script>document.title='mine'</script>"), "{}", asker.text());
}
