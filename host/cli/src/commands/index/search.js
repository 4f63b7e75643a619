// The search of an index of packages: filters as one types, out of one file that lies beside this one. It asks nobody else, and what packages
// say becomes text and nothing else.
"use strict";

const SHOWN_MAX = 50;
const part = (id) => document.getElementById(id);
const [input, count, found, listed] = ["query", "count", "found", "listed"].map(part);
let packages = null;

async function load() {
  const answer = await fetch("packages.json");
  if (!answer.ok) throw new Error(String(answer.status));
  const rows = await answer.json();
  return rows.map((row) => ({ row, text: row.join(" ").toLowerCase() }));
}

function item([name, version, description]) {
  const link = document.createElement("a");
  link.href = name.replace(":", "/") + "/";
  link.textContent = name;
  const line = document.createElement("li");
  line.append(link, " " + version);
  if (description) {
    const said = document.createElement("p");
    said.className = "said";
    said.textContent = "It says: " + description;
    line.append(said);
  }
  return line;
}

function show(words) {
  const fits = packages.filter((one) => words.every((word) => one.text.includes(word)));
  // Whose name says it comes before those whose author does.
  const named = (one) => words.every((word) => one.row[0].includes(word));
  const sorted = [...fits.filter(named), ...fits.filter((one) => !named(one))];
  found.replaceChildren(...sorted.slice(0, SHOWN_MAX).map((one) => item(one.row)));
  const many = fits.length === 1 ? "1 package" : fits.length + " packages";
  count.textContent = fits.length > SHOWN_MAX ? many + ", the first " + SHOWN_MAX + " are shown" : many;
}

async function search() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  listed.hidden = words.length > 0;
  found.hidden = words.length === 0;
  if (words.length === 0) {
    count.textContent = "";
    return;
  }
  try {
    packages ??= load();
    packages = await packages;
  } catch {
    packages = null;
    listed.hidden = false;
    count.textContent = "The search cannot be loaded; the lists below have all packages";
    return;
  }
  // Somebody may have typed on meanwhile.
  if (words.join(" ") === input.value.toLowerCase().split(/\s+/).filter(Boolean).join(" ")) show(words);
}

function step(event) {
  const links = [...found.querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1 }[event.key];
  if (event.key === "Escape" && input.value) {
    input.value = "";
    input.focus();
    search();
  } else if (next === undefined || found.hidden) {
    return;
  } else {
    (links[Math.min(next, links.length - 1)] ?? input).focus();
  }
  event.preventDefault();
}

part("search").hidden = false;
input.addEventListener("input", search);
document.querySelector("main").addEventListener("keydown", step);
// A browser that comes back to the page fills in what stood there.
window.addEventListener("pageshow", search);
