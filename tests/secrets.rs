//! Secrets that a package asks for: shown in plain words, given one by one by a person, and by nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::installing::{Market, package, text};
use crate::stage::{Stage, agentry, end};
use crate::web::Site;

/// A package that asks one host, and this of the home's secrets.
fn asking(market: &Market, version: &str, seq: u32, to: &str, secrets: Value) {
    market.publish(&package(&market.stage, &format!("{seq}.wasm"), "http", |manifest| {
        manifest["version"] = version.into();
        manifest["seq"] = seq.into();
        manifest["wants"] = json!({"http": {"hosts": [to], "why": "It asks."}});
        if secrets != json!([]) {
            manifest["wants"]["secrets"] = secrets;
        }
    }));
}

fn crm(to: &str) -> Value {
    json!({"handle": "crm", "only_to": to, "why": "It knows the customers."})
}

/// The home has the secret `crm`, for these.
fn has_crm(stage: &Stage, only_to: &str) {
    let file = stage.write("key", "sk-test-9f-very-secret");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let value = file.display();
    stage.write(
        "home/agentry.toml",
        &format!("format = 1\n[secrets.crm]\nvalue = {{ file = \"{value}\" }}\nonly_to = [\"{only_to}\"]\n"),
    );
}

fn grant(market: &Market) -> String {
    fs::read_to_string(market.stage.path("home/policies/50-keeper.toml")).expect("a grant")
}

#[test]
fn a_secret_that_a_package_asks_for_is_given_by_a_persons_yes_and_goes_to_its_host() {
    let (market, site) = (Market::new(), Site::echo());
    let (stage, to) = (&market.stage, site.url(""));
    asking(&market, "1.0.0", 1, &to, json!([crm(&to)]));
    let shown = end(stage.agentry("info").arg("acme:keeper")).with(0).stdout;
    let sends = format!("sends the secret `crm` of this home to {to}");
    assert!(shown.contains(&sends) && shown.contains("it says: It knows the customers."), "{shown}");
    assert!(shown.contains("to install exactly this: agentry install acme:keeper --secret crm --consent "), "{shown}");
    let inspected = end(stage.agentry("inspect").arg(stage.path("1.wasm"))).with(0).stdout;
    assert!(inspected.contains(&format!("secrets  `crm` of the home, to {to}")), "{inspected}");
    // Where the home has none, the lines that give it one are said.
    let lacks = end(market.install("acme:keeper").args(["--secret", "crm"])).with(3);
    lacks.complains(&format!("acme:keeper 1.0.0 asks for what this home has not: the secret `crm` for {to}"));
    assert!(lacks.stderr.contains("format = 1\n\n[secrets.crm]\nvalue = { env = \"CRM\" }"), "{}", lacks.stderr);
    has_crm(stage, "https://api.example.org");
    let other = end(market.install("acme:keeper").args(["--secret", "crm"])).with(3);
    let both = format!("only_to = [\"https://api.example.org\", \"{to}\"]");
    assert!(other.stderr.contains(&both) && !other.stderr.contains("value ="), "{}", other.stderr);
    has_crm(stage, &to);
    // Somebody's yes to the package, and one to the secret.
    let nobody = end(stage.agentry("install").arg("acme:keeper")).with(3);
    let line = nobody.stderr.rsplit("then: agentry ").next().expect("a line").trim().to_owned();
    assert!(line.starts_with("install acme:keeper --secret crm --consent "), "{line}");
    end(&mut market.install("acme:keeper"))
        .with(2)
        .complains(&format!("nobody says whether acme:keeper 1.0.0 may have the secret `crm` for {to}"));
    end(market.install("acme:keeper").args(["--secret", "mail"])).with(2).complains("it asks for no secret `mail`");
    assert!(!stage.path("home/policies/50-keeper.toml").exists());
    end(agentry().args(line.split(' '))).with(0);
    assert!(
        grant(&market).contains(&format!("[[secrets]]\nhandle = \"crm\"\nonly_to = \"{to}\"\n")),
        "{}",
        grant(&market)
    );
    let again = end(market.install("acme:keeper").args(["--secret", "crm"])).with(0);
    assert!(text(&again).contains("is installed already"), "{}", text(&again));
    // The site is on this machine, which a grant says that nobody drafts.
    let file = stage.path("home/policies/50-keeper.toml");
    fs::write(&file, grant(&market).replace("methods = [\"GET\"]", "methods = [\"GET\"]\nprivate = true"))
        .expect("ours");
    let input = json!({"requests": [{"url": site.url("/a"), "secret": "crm"}]}).to_string();
    let told = end(stage.agentry("run").args(["keeper", "--json", "--input", &input])).with(0).json();
    assert_eq!(told["output"][0]["status"], 200, "{told}");
    assert_eq!(site.asked()[0].header("authorization"), Some("Bearer sk-test-9f-very-secret"));
    // A secret that is gone is told by whoever looks.
    end(&mut stage.agentry("verify")).with(0);
    stage.write("home/agentry.toml", "format = 1\n");
    let gone = end(stage.agentry("verify").arg("--json")).with(1).json();
    let trouble = gone[0]["trouble"].as_str().expect("it lacks something");
    assert!(trouble.contains("its grant gives it the secret `crm`"), "{trouble}");
    assert!(gone[0]["hint"].as_str().is_some_and(|hint| hint.contains("[secrets.crm]")), "{gone}");
}

#[test]
fn a_secret_that_a_package_works_without_is_left_out_unless_a_person_says_yes() {
    let market = Market::new();
    let stage = &market.stage;
    let mut want = crm("https://api.example.org");
    want["optional"] = true.into();
    asking(&market, "1.0.0", 1, "https://*.example.org", json!([want]));
    // The home has none: it goes without, and whoever names it is told what lacks.
    end(market.install("acme:keeper").args(["--secret", "crm"])).with(3).complains("asks for what this home has not");
    let without = end(&mut market.install("acme:keeper")).with(0);
    assert!(without.stderr.contains("acme:keeper 1.0.0 goes without the secret `crm`"), "{}", without.stderr);
    assert!(without.stderr.contains("[secrets.crm]"), "{}", without.stderr);
    assert!(!grant(&market).contains("[[secrets]]"), "{}", grant(&market));
    end(&mut stage.agentry("verify")).with(0);
    // What is granted by now is its admin's to change.
    has_crm(stage, "https://api.example.org");
    let later = end(stage.agentry("install").args(["acme:keeper", "--secret", "crm"])).with(3);
    later.complains("the grant of `keeper` does not give it the secret `crm`");
    assert!(later.stderr.contains("50-keeper.toml") && later.stderr.contains("[[secrets]]"), "{}", later.stderr);
    // At a terminal it is asked for by itself.
    let typed = |lines: &str| {
        end(stage.agentry("uninstall").arg("keeper"));
        stage.at_a_terminal(stage.agentry("install").arg("acme:keeper"), lines)
    };
    let no = typed("n\ny\n").with(0);
    assert!(
        no.stdout.contains("May it send the secret `crm` of this home to https://api.example.org?"),
        "{}",
        no.stdout
    );
    assert!(!grant(&market).contains("[[secrets]]"), "{}", grant(&market));
    typed("y\ny\n").with(0);
    assert!(grant(&market).contains("[[secrets]]\nhandle = \"crm\""), "{}", grant(&market));
    // One that it needs is part of the whole: a no to it is a no.
    asking(&market, "1.1.0", 2, "https://api.example.org", json!([crm("https://api.example.org")]));
    let no = typed("n\n");
    assert!(no.code == 3 && no.stdout.contains("nobody said yes to the secret `crm`"), "{}", no.stdout);
    assert_eq!(market.version("keeper"), None);
}

#[test]
fn an_update_that_wants_a_secret_waits_shows_a_call_and_the_line_that_it_prints_installs_it() {
    let market = Market::new();
    let (stage, to) = (&market.stage, "https://api.example.org");
    asking(&market, "1.0.0", 1, to, json!([]));
    end(&mut market.install("acme:keeper")).with(0);
    asking(&market, "1.1.0", 2, to, json!([crm(to)]));
    // A home that lacks it keeps what it has, and it waits, as whatever needs a person does.
    end(stage.agentry("update").arg("--yes")).with(3).complains("asks for what this home has not");
    assert_eq!(end(stage.agentry("update").args(["--yes", "--json"])).with(3).json()[0]["outcome"], "waits");
    has_crm(stage, to);
    let waits = end(stage.agentry("update").args(["keeper", "--yes"])).with(3);
    waits.complains("it asks for more than the present version");
    assert!(waits.stdout.contains("may have secret `crm` sent to `https://api.example.org`"), "{}", waits.stdout);
    assert!(waits.stdout.contains("was deny, is allow"), "{}", waits.stdout);
    let line = waits.stderr.rsplit("then: agentry ").next().expect("a line").trim().to_owned();
    assert!(line.contains(" --secret crm --consent "), "{line}");
    end(agentry().args(line.replace("--secret crm ", "").split(' '))).with(2).complains("nobody says whether");
    end(stage.agentry("update").args(["--secret", "crm"])).with(2);
    end(stage.agentry("update").args(["keeper", "--secret", "mail"])).with(2).complains("it asks for no secret `mail`");
    assert_eq!(market.version("keeper").as_deref(), Some("1.0.0"));
    end(agentry().args(line.split(' '))).with(0);
    assert_eq!(market.version("keeper").as_deref(), Some("1.1.0"));
    // What was given once is not asked for again: of a wider version the yes is to what is new.
    let more = json!([crm(to), {"handle": "mail", "only_to": to, "why": "It writes.", "optional": true}]);
    asking(&market, "1.2.0", 3, to, more);
    end(stage.agentry("update").args(["keeper", "--consent", &market.code("acme:keeper")])).with(0);
    assert!(grant(&market).contains("\"crm\"") && !grant(&market).contains("\"mail\""), "{}", grant(&market));
    asking(&market, "1.3.0", 4, to, json!([crm(to)]));
    end(stage.agentry("update").arg("--yes")).with(0);
    assert_eq!(market.version("keeper").as_deref(), Some("1.3.0"));
    // Pages of an index tell the same of each version.
    let site = stage.path("site");
    end(market.author("index build").arg(stage.path("index")).args(["--key", "index", "--out"]).arg(&site)).with(0);
    let page = fs::read_to_string(site.join("acme/keeper/index.html")).expect("a page");
    let sends = |name: &str| format!("<li>sends the secret `{name}` of this home to https://api.example.org</li>");
    assert!(page.contains("<li>sends the secret `crm` of this home to https://api.example.org<p"), "{page}");
    assert!(page.contains(&format!("<p>It may, and 1.0.0 could not:</p>\n<ul>\n{}", sends("crm"))), "{page}");
    assert!(page.contains(&format!("<p>It may no longer, and 1.2.0 could:</p>\n<ul>\n{}", sends("mail"))), "{page}");
}

#[test]
fn a_package_asks_for_a_secret_by_its_name_for_a_host_of_its_own_or_is_none() {
    let market = Market::new();
    let stage = &market.stage;
    let to = "https://api.example.org";
    let refused = |file: &str, secret: Value, of: &str| {
        let file = package(stage, file, "http", |manifest| {
            manifest["wants"] = json!({"http": {"hosts": [to], "why": "It asks."}, "secrets": [secret]});
        });
        let said = |verb: &str, file: &Path| {
            let mut command = market.author(verb);
            end(command.arg(file)).with(2).complains(of);
        };
        said("inspect", &file);
        end(stage.agentry("key trust").args(["acme", &market.key])).with(0);
        end(stage.agentry("install").arg(&file).args(["--digest", &digest(&file)])).with(2).complains(of);
    };
    refused("1.wasm", crm("https://evil.example"), "is none of its hosts");
    refused("2.wasm", crm("https://*.example.org"), "is not one host");
    let mut escaped = crm(to);
    escaped["handle"] = "crm\u{1b}[2J".into();
    refused("3.wasm", escaped, "may have lowercase letters");
}

/// By which a file is named that nobody signed.
fn digest(file: &Path) -> String {
    let sum = end(Command::new("sha256sum").arg(file)).with(0).stdout;
    format!("sha256:{}", sum.split(' ').next().expect("a digest"))
}
