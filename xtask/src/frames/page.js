// Three things: which CPUs are shown, the theme, and the search for a register.
// Without this script every CPU is shown, and everything is there to be read.
"use strict";
const $ = (id) => document.getElementById(id);
const index = JSON.parse($("index").textContent);
const names = index.map((cpu) => cpu.name);

function remember(key, value) { try { localStorage.setItem("stackgate-" + key, value); } catch { /* none */ } }
function recall(key) { try { return localStorage.getItem("stackgate-" + key); } catch { return null; } }

// CPUs: one, or two side by side.
let shown = names[0], beside = "";
function show() {
  if (beside === shown) beside = "";
  for (const name of names) {
    const section = $("cpu-" + name);
    section.hidden = name !== shown && name !== beside;
    section.style.order = name === shown ? 0 : 1;
    $("pick-" + name).setAttribute("aria-pressed", String(name === shown));
    $("beside").querySelector(`option[value="${name}"]`).disabled = name === shown;
  }
  $("beside").value = beside;
  $("columns").classList.toggle("two", beside !== "");
  remember("cpu", shown);
}
for (const name of names) $("pick-" + name).addEventListener("click", () => { shown = name; show(); });
$("beside").addEventListener("change", (event) => { beside = event.target.value; show(); });

// A link to a frame shows the CPU that it belongs to.
function follow() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const section = target && target.closest(".cpu");
  if (!section) return;
  const name = section.dataset.cpu;
  if (name !== shown && name !== beside) { shown = name; show(); }
  target.scrollIntoView();
  target.focus({ preventScroll: true });
}
addEventListener("hashchange", follow);

// The theme: the system's, unless somebody says otherwise.
const themes = ["system", "light", "dark"];
function theme(which) {
  if (which === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = which;
  for (const name of themes) $("theme-" + name).setAttribute("aria-pressed", String(name === which));
  remember("theme", which);
}
for (const name of themes) $("theme-" + name).addEventListener("click", () => theme(name));

// The search. Each row is an answer to "where is it".
function element(tag, text, attributes = {}) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
const heads = ["when", "where", "how to get there", "written by", "read by"];
function answer(cpu, register) {
  const box = element("section", "", { class: "answer", "data-cpu": cpu.name, "data-register": register.name });
  box.append(element("h3", `${register.name} on ${cpu.name}`));
  box.append(element("p", `DWARF ${register.dwarf}; ${register.role}; ${register.saved}.`));
  const table = element("table", "", { class: "stack" });
  const head = element("tr");
  for (const name of heads) head.append(element("th", name, { scope: "col" }));
  table.append(element("thead"));
  table.tHead.append(head);
  const body = table.createTBody();
  for (const place of register.answers) {
    const row = body.insertRow();
    row.append(element("th", place.when, { scope: "row" }));
    const where = element("td", "", { "data-name": "where" });
    if (place.frame) {
      where.append(element("a", `${place.frame}.${place.field}`, { href: `#${cpu.name}-${place.frame}`, class: "mono" }));
    }
    row.append(where);
    for (const [i, key] of ["how", "writer", "reader"].entries()) {
      row.append(element("td", place[key], { "data-name": heads[i + 2] }));
    }
  }
  const scroll = element("div", "", { class: "scroll" });
  scroll.append(table);
  box.append(scroll);
  return box;
}
function search() {
  const wanted = $("register").value.trim().toLowerCase().replace(/^[%$]/, "");
  for (const row of document.querySelectorAll("tr.hit")) row.classList.remove("hit");
  const found = [];
  if (wanted) {
    for (const cpu of index) {
      for (const register of cpu.registers) if (register.name === wanted) found.push([cpu, register]);
    }
    for (const row of document.querySelectorAll("tr[data-register]")) {
      row.classList.toggle("hit", row.dataset.register === wanted);
    }
  }
  // A register of other CPUs alone: one of those is what somebody wants to look at.
  if (found.length && !found.some(([cpu]) => cpu.name === shown || cpu.name === beside)) {
    shown = found[0][0].name;
    show();
  }
  // The CPU that is shown comes first.
  found.sort(([a], [b]) => (b.name === shown) - (a.name === shown));
  $("answers").replaceChildren(...found.map(([cpu, register]) => answer(cpu, register)));
  const on = found.map(([cpu]) => cpu.name).join(", ");
  $("status").textContent = !wanted ? "" : on ? `${wanted}: ${on}` : `no CPU has a register called ${wanted}`;
}
$("register").addEventListener("input", search);
$("register").addEventListener("keydown", (event) => {
  if (event.key === "Escape") { event.target.value = ""; search(); }
});
// "/" goes to the search box, as elsewhere.
addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    $("register").focus();
  }
});

const before = recall("cpu");
if (names.includes(before)) shown = before;
const worn = recall("theme");
theme(themes.includes(worn) ? worn : "system");
show();
follow();
search();
