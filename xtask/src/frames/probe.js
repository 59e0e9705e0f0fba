// Put into the page by `cargo xtask frames --browser-test`: does what a person does, and reports.
{
  const cases = /* CASES */[];
  const failures = [], answers = [];
  let typed = 0;
  const fail = (text) => failures.push(text);
  addEventListener("error", (event) => fail("script: " + event.message));
  const type = (text) => {
    const box = $("register");
    box.focus();
    box.value = "";
    for (const key of text) {
      // As the browser's own editing does it: the text, and an event of input.
      if (!document.execCommand("insertText", false, key)) fail("nothing can be typed");
    }
    if (box.value !== text) fail(`typed ${text}, and the box has ${box.value}`);
  };
  for (const { cpu, register } of cases) {
    typed += 1;
    $("pick-" + cpu).click();
    if ($("cpu-" + cpu).hidden) fail(`${cpu}: its section is hidden`);
    type(register);
    const box = document.querySelector(`#answers section[data-cpu="${cpu}"][data-register="${register}"]`);
    if (!box) { fail(`${cpu}: no answer for ${register}`); continue; }
    if (box !== $("answers").firstElementChild) fail(`${cpu}: its answer does not come first`);
    const rows = [...box.querySelectorAll("tbody tr")];
    const row = rows.find((r) => r.cells[0].textContent === "while a callback runs" && r.cells[1].textContent.startsWith("Crosscall2Frame."));
    if (!row) { fail(`${cpu}: no row says where ${register} is while a callback runs`); continue; }
    answers.push(`${cpu}: ${register} ${row.cells[0].textContent}: ${row.cells[1].textContent}, ${row.cells[2].textContent}`);
    const seen = row.getBoundingClientRect();
    if (seen.width === 0 || seen.height === 0) fail(`${cpu}: the row of ${register} is not to be seen`);
    const link = row.querySelector("a");
    const target = link && document.getElementById(link.hash.slice(1));
    if (!target || target.closest(".cpu").dataset.cpu !== cpu) fail(`${cpu}: the row of ${register} leads nowhere`);
    const hits = document.querySelectorAll(`#cpu-${cpu} tr.hit[data-register="${register}"]`);
    if (hits.length < 2) fail(`${cpu}: ${register} is not marked in the frames`);
  }
  // A register that another CPU has shows that CPU.
  $("pick-" + cases[0].cpu).click();
  type("x19");
  if ($("cpu-arm64").hidden) fail("x19 does not show arm64");
  type("nosuch");
  if ($("answers").children.length || !$("status").textContent.includes("no CPU")) fail("an unknown register is not said to be one");
  // Two side by side, any two.
  for (const first of names) {
    for (const second of names.filter((name) => name !== first)) {
      $("beside").value = "";
      $("pick-" + first).click();
      $("beside").value = second;
      $("beside").dispatchEvent(new Event("change", { bubbles: true }));
      const open = [...document.querySelectorAll(".cpu")].filter((s) => !s.hidden).map((s) => s.dataset.cpu).sort();
      if (open.join() !== [first, second].sort().join()) fail(`${first} beside ${second} shows ${open}`);
    }
  }
  $("beside").value = "";
  $("beside").dispatchEvent(new Event("change", { bubbles: true }));
  // Links lead somewhere; names are given once; what is looked at has a name; nothing sticks out of the page.
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    if (!document.getElementById(link.hash.slice(1))) fail("a link leads nowhere: " + link.hash);
  }
  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  for (const id of ids.filter((id, at) => ids.indexOf(id) !== at)) fail("two elements are called " + id);
  for (const node of document.querySelectorAll("svg[role=img]")) if (!node.getAttribute("aria-label")) fail("a picture without words");
  for (const node of document.querySelectorAll("input, select")) if (!node.labels || !node.labels.length) fail("a field without a label: " + node.id);
  for (const name of names) {
    $("pick-" + name).click();
    const page = document.documentElement;
    if (page.scrollWidth > page.clientWidth) fail(`${name}: the page is ${page.scrollWidth} wide in a window of ${page.clientWidth}`);
  }
  // Text can be read in both themes: contrast of at least 4.5, as WCAG 2.1 asks at 1.4.3.
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (css) => { const [r, g, b] = css.match(/[\d.]+/g).map(Number).map(channel); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const probe = document.body.appendChild(document.createElement("i"));
  const colour = (name) => { probe.style.color = `var(--${name})`; return light(getComputedStyle(probe).color); };
  for (const which of ["light", "dark"]) {
    theme(which);
    const pairs = [["ink", "paper"], ["ink", "panel"], ["soft", "paper"], ["soft", "panel"], ["accent", "paper"], ["accent", "panel"], ["mark", "panel"], ["ink", "managed"], ["ink", "system"], ["ink", "memory"], ["ink", "code"], ["ink", "hit"], ["rule", "paper"]];
    for (const [front, back] of pairs) {
      const [a, b] = [colour(front), colour(back)].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < 4.5) fail(`${which}: ${front} on ${back} has a contrast of ${ratio.toFixed(2)}`);
    }
  }
  probe.remove();
  parent.postMessage(JSON.stringify({ typed, failures, answers }), "*");
}
