//! The pages of an index in a real browser, as wide as a phone and as a desk: nothing runs over, nothing is executed, and all can be read out.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
        manifest["provides"] = json!(["books", "../<b>"]);
        manifest["wants"]["files"][0]["access"] = "rw".into();
        manifest["wants"]["http"] = json!({"hosts": ["https://bank.example.org"], "why": "It asks the bank."});
        manifest["wants"]["tools"][0]["tool"] = "notes.add".into();
        manifest["budget"]["usd_run"] = "0.10".into();
    }));
    // Another version and another reason are no right.
    market.publish(&package(stage, "5.wasm", "echo", |manifest| {
        manifest["name"] = "acme:same".into();
        manifest["wants"] = json!({"human": {"why": "It asks."}});
    }));
    market.publish(&package(stage, "6.wasm", "echo", |manifest| {
        (manifest["name"], manifest["version"], manifest["seq"]) = ("acme:same".into(), "2.0.0".into(), 2.into());
        manifest["wants"] = json!({"human": {"why": "It asks people."}});
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
    assert_eq!(pages.len(), 4, "{pages:?}");
    let lists = fs::read_dir(&site).expect("pages").flatten().map(|entry| entry.path());
    pages.extend(lists.filter(|path| path.extension().is_some_and(|ending| ending == "html")));
    for list in ["index", "letters", "letters.a", "letters.k", "letters.s", "publishers", "publishers.acme", "provides"]
    {
        assert!(pages.contains(&site.join(format!("{list}.html"))), "{list}: {pages:?}");
    }
    // And three words, one of which is no name of a file.
    assert_eq!(pages.len(), 4 + 8 + 3, "{pages:?}");
    for page in &pages {
        for width in WIDTHS {
            let with = browser.page(page, width, true);
            assert!(
                with.widths.0 <= width && with.widths.1 == width,
                "{} at {width}: {:?}",
                page.display(),
                with.widths
            );
            // One script of ours where something is searched, and none else.
            let searches = page.ends_with("site/index.html");
            let scripts = if searches { "search.js" } else { "" };
            let of_ours = "[...document.scripts].map(script => script.getAttribute('src')).join()";
            assert_eq!(browser.value(of_ours), scripts, "{}", page.display());
            assert_eq!(browser.value("document.images.length"), 0);
            if width == WIDTHS[0] || searches {
                let name = page.strip_prefix(&site).expect("a page").display().to_string().replace('/', "-");
                browser.picture(&format!("{name}-{width}"));
            }
            assert_eq!(browser.value("document.documentElement.lang"), "en");
            // The same can be read where no script runs, and no box stands there that does nothing.
            let without = browser.page(page, width, false);
            if searches {
                assert_eq!((with.all("searchbox").len(), without.all("searchbox").len()), (1, 0));
            } else {
                assert_eq!(with.parts, without.parts);
            }
            assert!(without.widths.0 <= width, "{}: {:?}", page.display(), without.widths);
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
    assert_eq!(list.all("link").len(), 4 + 4, "four packages, and four ways through the lists");
    assert_eq!(list.all("navigation"), ["Lists"]);
    assert!(list.text().contains("<script>document.title='mine'</script><img src=x"), "{}", list.text());
    // What a link leads to is there, and leads back.
    assert_eq!(browser.value("[...document.links].every(link => link.protocol == 'file:')"), true);
    let keeper = browser.page(&site.join("acme/keeper/index.html"), 390, true);
    assert_eq!(keeper.all("RootWebArea"), ["acme:keeper – Packages"]);
    assert_eq!(keeper.all("navigation"), ["Pages"]);
    assert_eq!(
        keeper.all("heading"),
        [
            "acme:keeper",
            "What it may do",
            "What it requires",
            "What it may cost",
            "How to install it",
            "Versions",
            "1.1.0-rc.1+build.20261130123456",
            "1.0.0"
        ]
    );
    let text = keeper.text();
    for words in [
        "reads, writes and deletes in the folder you name for `documents`",
        "agentry install acme:keeper",
        "1.0.0",
        "acme:reader",
        &market.key,
        "The first that is listed. It asks for: memory, tools, files, agents.",
        "Taken back: it loses <b>cents\\u{202e}drow",
    ] {
        assert!(text.replace('\n', "").contains(words), "{words} in {text}");
    }
    let asker = browser.page(&site.join("acme/asker/index.html"), 390, true);
    assert!(asker.text().contains("It says: <script>document.title='mine'</script>"), "{}", asker.text());
}

#[test]
fn each_version_says_what_it_may_do_that_the_one_before_could_not_and_the_other_way_round() {
    let (_market, site) = site();
    let read = |page: &str| fs::read_to_string(site.join(page)).expect("a page");
    let keeper = read("acme/keeper/index.html");
    for part in [
        "<p>It may, and 1.0.0 could not:</p>\n<ul>\n<li>reads, writes and deletes in the folder you name for `documents`</li>\n\
         <li>reaches https://bank.example.org on the internet</li>\n<li>requires acme:reader@^1</li>\n\
         <li>may use 0.10 USD in a run</li>\n</ul>",
        "<p>It may no longer, and 1.0.0 could:</p>\n<ul>\n<li>uses the tool notes.*, with any arguments</li>\n</ul>",
        "<p>What it may cost is now: at most 0.10 USD a run,",
    ] {
        assert!(keeper.contains(part), "no `{part}` in\n{keeper}");
    }
    assert!(read("acme/same/index.html").contains("<p>Asks for the same as 1.0.0.</p>"));
}

#[test]
fn a_search_filters_as_one_types_asks_nobody_else_and_shows_text_as_text() {
    let test = "a_search_filters_as_one_types_asks_nobody_else_and_shows_text_as_text";
    let Some(mut browser) = Browser::open(test) else { return };
    let (_market, site) = site();
    let server = Server::of(&site);
    for width in WIDTHS {
        let begun = server.asked.lock().expect("a list").len();
        browser.visit(&server.address, width, true);
        let asked = |server: &Server| server.asked.lock().expect("a list")[begun..].join(" ");
        // What it searches is loaded when somebody does.
        assert!(!asked(&server).contains("packages.json"), "{}", asked(&server));
        browser.value("document.getElementById('query').focus()");
        browser.types("BOOKS fridays");
        browser.until("document.getElementById('count').textContent == '1 package'");
        browser.picture(&format!("search-{width}"));
        let page = browser.looked_at();
        assert!(page.widths.0 <= width, "{:?}", page.widths);
        assert_eq!(page.all("searchbox"), ["Search by name, publisher, words and what they provide"]);
        assert!(page.all("status").len() == 1 && page.text().contains("1 package"), "{}", page.text());
        assert_eq!(page.all("link").iter().filter(|link| link.contains(':')).collect::<Vec<_>>(), [&"acme:keeper"]);
        // By the keys alone: down to what was found, up to the box, and out.
        browser.presses("ArrowDown");
        assert_eq!(browser.value("new URL(document.activeElement.href).pathname"), "/acme/keeper/");
        browser.presses("ArrowUp");
        assert_eq!(browser.value("document.activeElement.id"), "query");
        browser.presses("Escape");
        browser.until("document.getElementById('count').textContent == ''");
        assert_eq!(browser.value("document.getElementById('listed').hidden"), false);
        browser.types("onerror");
        browser.until("document.getElementById('count').textContent == '1 package'");
        let shown = browser.value("document.getElementById('found').textContent");
        assert!(shown.as_str().is_some_and(|shown| shown.contains("<img src=x onerror=")), "{shown}");
        assert_eq!(browser.value("document.images.length + document.scripts.length"), 1);
        assert_eq!(browser.value("document.title"), "Packages");
        browser.types(" whales");
        browser.until("document.getElementById('count').textContent == '0 packages'");
        // Neither the page nor a word on it can bring in another script.
        let name = |act: &str| format!("(() => {{ try {{ {act} }} catch (error) {{ return error.name; }} }})()");
        assert_eq!(browser.value(&name("return eval('1')")), "EvalError");
        let inline =
            "const by = document.createElement('script'); by.text = 'document.title = 1'; document.head.append(by);";
        assert_eq!(browser.value(&name(inline)), "TypeError");
        assert_eq!(browser.value(&name("document.body.innerHTML = '<b>'")), "TypeError");
        assert_eq!(browser.value("document.title"), "Packages");
        let known = ["/", "/search.js", "/packages.json", "/favicon.ico"];
        assert!(asked(&server).split(' ').all(|path| known.contains(&path)), "{}", asked(&server));
    }
    // Where the file is not to be had, the lists are.
    fs::remove_file(site.join("packages.json")).expect("it is there");
    browser.visit(&server.address, WIDTHS[0], true);
    browser.value("document.getElementById('query').focus()");
    browser.types("books");
    browser.until("document.getElementById('count').textContent.startsWith('The search cannot be loaded')");
    assert_eq!(browser.value("document.getElementById('listed').hidden"), false);
}

/// Offers a directory as any static server does.
struct Server {
    address: String,
    /// What was asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn of(site: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}/", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (site, heard) = (site.to_owned(), Arc::clone(&asked));
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(&site, &heard, stream)));
        Self { address, asked }
    }
}

/// One request of one connection, which may be one that a browser opened to have it.
fn answer(site: &Path, asked: &Mutex<Vec<String>>, mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut lines = BufReader::new(&stream).lines();
    let Some(Ok(line)) = lines.next() else { return };
    while lines.next().and_then(Result::ok).is_some_and(|line| !line.is_empty()) {}
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let file = site.join(path.trim_start_matches('/'));
    let file = if path.ends_with('/') { file.join("index.html") } else { file };
    asked.lock().expect("a list").push(path);
    let kind = match file.extension().and_then(|ending| ending.to_str()) {
        Some("js") => "text/javascript",
        Some("json") => "application/json",
        _ => "text/html",
    };
    let (status, body) = fs::read(file).map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}
