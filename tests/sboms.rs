//! Under which terms a package is offered and what it is made of: its author's words as such, and a file that was signed with it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::installing::{Market, package};
use crate::stage::{agentry, end};

const BOM: &str = "{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.5\", \"components\": []}\n";

#[test]
fn a_licence_is_an_expression_of_spdx_and_shown_as_its_authors_word() {
    let market = Market::new();
    let stage = &market.stage;
    let file = package(stage, "1.wasm", "echo", |manifest| manifest["licence"] = "MIT OR Apache-2.0".into());
    market.publish(&file);
    let shown = end(stage.agentry("info").arg("acme:keeper")).with(0).stdout;
    assert!(shown.contains("it says that its licence is MIT OR Apache-2.0"), "{shown}");
    let told = end(stage.agentry("info").args(["acme:keeper", "--json"])).with(0).json();
    assert_eq!((&told["licence"], &told["sbom"]), (&json!("MIT OR Apache-2.0"), &Value::Null));
    assert!(end(agentry().arg("inspect").arg(&file)).with(0).stdout.contains("licence: MIT OR Apache-2.0"));
    let site = stage.path("site");
    end(market.author("index build").arg(stage.path("index")).args(["--key", "index", "--out"]).arg(&site)).with(0);
    let page = fs::read_to_string(site.join("acme/keeper/index.html")).expect("a page");
    assert!(page.contains("<p>It says that its licence is MIT OR Apache-2.0.</p>"), "{page}");
    for bad in ["MIT/Apache-2.0", "free for all\u{1b}[2J", ""] {
        let file = package(stage, "bad.wasm", "echo", |manifest| manifest["licence"] = bad.into());
        end(agentry().arg("inspect").arg(file)).with(2).complains("`licence` is no expression of SPDX");
    }
}

#[test]
fn a_bill_of_materials_is_signed_with_a_package_and_no_other_file_passes_for_it() {
    let market = Market::new();
    let stage = &market.stage;
    let file = package(stage, "keeper.wasm", "echo", |_| {});
    let bom = stage.write("bom.json", BOM);
    let held = |named: &Path, bom: &Path| end(stage.agentry("verify").arg(named).arg("--sbom").arg(bom));
    let publish = |arguments: &[&str]| end(market.author("publish").arg(&file).args(arguments)).with(0);
    publish(&[]);
    held(&file, &bom).with(3).complains("nobody here knows the publisher `acme`");
    end(stage.agentry("key trust").args(["acme", &market.key])).with(0);
    let none = held(&file, &bom).with(1).stdout;
    assert!(none.contains("its publisher signed no bill of materials") && none.contains("hint: "), "{none}");
    // What is no bill of materials is signed by nobody.
    let prose = stage.write("prose.json", "It is made of love.");
    let large = stage.write("large.json", &" ".repeat(17 << 20));
    let odd = stage.write("odd.json", "{\"bomFormat\": \"acme\"}");
    for (other, of) in [(&prose, "is no object of JSON"), (&large, "has more than"), (&odd, "neither CycloneDX nor")] {
        end(market.author("publish").arg(&file).arg("--sbom").arg(other)).with(2).complains(of);
        held(&file, other).with(2).complains(of);
    }
    end(market.author("publish").arg(&file).args(["--sbom", "/nowhere.json"]))
        .with(2)
        .complains("there is no /nowhere");
    // What was signed before without one is signed anew with it, and goes on with it.
    let shown = bom.display().to_string();
    let signed = publish(&["--sbom", &shown, "--json"]).json();
    let digest = signed["sbom"].as_str().expect("a digest").to_owned();
    assert!(publish(&[]).stderr.contains(&format!("with the bill of materials sha256:{digest}")));
    market.publish(&file);
    let info = end(stage.agentry("info").arg("acme:keeper")).with(0).stdout;
    assert!(info.contains(&format!("bill of materials: sha256 {digest}")), "{info}");
    assert_eq!(end(stage.agentry("info").args(["acme:keeper", "--json"])).with(0).json()["sbom"], json!(digest));
    let good = held(&file, &bom).with(0).stdout;
    assert!(good.contains("acme:keeper 1.0.0: this CycloneDX file is its bill of materials"), "{good}");
    // And so it is once it is installed, whatever lies beside its file by then.
    end(&mut market.install("acme:keeper")).with(0);
    held(Path::new("keeper"), &bom).with(0);
    let other = stage.write("other.json", &BOM.replace("[]", "[ ]"));
    let told = end(stage.agentry("verify").args(["keeper", "--json", "--sbom"]).arg(&other)).with(1).json();
    assert!(told["trouble"].as_str().is_some_and(|told| told.contains("another bill of materials")), "{told}");
    assert_eq!(told["sbom"], json!(digest));
    held(&file, &other).with(1);
    end(&mut stage.agentry("verify")).with(0);
    // It is about one package.
    end(stage.agentry("verify").arg("--sbom").arg(&bom)).with(2);
    end(stage.agentry("verify").args(["keeper", "keeper", "--sbom"]).arg(&bom)).with(2).complains("about one package");
    end(stage.agentry("verify").args(["nobody", "--sbom"]).arg(&bom)).with(2).complains("no agent `nobody`");
    // A signature of another file is not this one's.
    let changed = package(stage, "keeper.wasm", "echo", |manifest| manifest["description"] = "Another one.".into());
    held(&changed, &bom).with(3).complains("the signature is for another file");
}
