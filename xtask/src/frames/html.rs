//! The page: every CPU's frames, crossings and registers in one file that needs nothing else.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};
use stackgate_arch::frame::Layout;
use stackgate_arch::lineage::{Lineage, NO_COUNTERPART, Then};

use super::{
    CPUS, Described,
    answers::{answers, flatten, nested},
    on, one_line, paragraphs, saved_by,
    story::{STORIES, Story},
    svg::{self, escape},
};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The whole page.
pub fn page() -> Result<String> {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>stackgate: frames of six CPUs</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#columns\">to the frames</a>\n{}\n<header>\n<div class=\"top\">\n\
         <h1>stackgate: frames of six CPUs</h1>\n<fieldset><legend>theme</legend>",
        svg::TIP
    );
    for theme in ["system", "light", "dark"] {
        _ = write!(
            html,
            "<button type=\"button\" id=\"theme-{theme}\" aria-pressed=\"false\">{theme}</button>"
        );
    }
    html += "</fieldset>\n</div>\n<p>How the stacks lie when managed code calls C and C calls back. Generated from the \
             declarations that the assembly itself uses.</p>\n\
             <form class=\"find\" role=\"search\" onsubmit=\"return false\">\n<label for=\"register\">Where is a register?</label>\
             <input type=\"search\" id=\"register\" autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\" \
             placeholder=\"rbx, x19, r14 ...\" aria-describedby=\"hint\">\
             <span class=\"hint\" id=\"hint\">its name, on any CPU; the key / comes here</span>\n\
             <p id=\"status\" role=\"status\" class=\"where\"></p>\n<div id=\"answers\"></div>\n</form>\n\
             <div class=\"bar\"><fieldset><legend>CPU</legend>";
    for cpu in CPUS {
        let name = cpu.name;
        _ = write!(html, "<button type=\"button\" id=\"pick-{name}\" aria-pressed=\"false\">{name}</button>");
    }
    html += "</fieldset>\n<label>beside it <select id=\"beside\"><option value=\"\">none</option>";
    for cpu in CPUS {
        _ = write!(html, "<option value=\"{0}\">{0}</option>", cpu.name);
    }
    html += "</select></label></div>\n</header>\n<main id=\"columns\" class=\"columns\" tabindex=\"-1\">\n";
    for cpu in CPUS {
        section(&mut html, cpu);
    }
    let index: Vec<Value> = CPUS.iter().map(register_index).collect();
    // Inside a script element no text may end that element.
    let index = serde_json::to_string(&index)?.replace("</", "<\\/");
    _ = write!(
        html,
        "</main>\n<footer>Offsets are in bytes from the lowest address of a frame. Pictures have high addresses up. \
         \"Seed\" is the commit of Go's runtime, of April 2016, that this machinery comes from.</footer>\n\
         <script type=\"application/json\" id=\"index\">{index}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    );
    Ok(html)
}

/// What the search knows of a CPU.
fn register_index(cpu: &Described) -> Value {
    let registers: Vec<Value> = cpu
        .registers
        .iter()
        .map(|register| {
            let answers: Vec<Value> = answers(cpu, *register)
                .iter()
                .map(|a| {
                    let place = a.place.as_ref();
                    json!({
                        "when": a.situation, "how": a.how,
                        "frame": place.map(|(frame, _)| *frame),
                        "field": place.map(|(_, flat)| flat.path.clone()),
                        "writer": place.map_or(String::new(), |(_, flat)| plain(flat.writer)),
                        "reader": place.map_or(String::new(), |(_, flat)| plain(flat.reader)),
                    })
                })
                .collect();
            json!({
                "name": register.name, "dwarf": register.dwarf, "role": register.role,
                "saved": saved_by(register.saved_by), "answers": answers,
            })
        })
        .collect();
    json!({ "name": cpu.name, "registers": registers })
}

/// Without the marks of code, for text that a script sets.
fn plain(text: &str) -> String {
    one_line(text).replace('`', "")
}

/// Text with `code`.
fn inline(text: &str) -> String {
    let mut html = String::new();
    for (i, part) in one_line(text).split('`').enumerate() {
        _ = if i % 2 == 1 {
            write!(html, "<code>{}</code>", escape(part))
        } else {
            write!(html, "{}", escape(part))
        };
    }
    html
}

fn section(html: &mut String, cpu: &Described) {
    let name = cpu.name;
    _ = write!(
        html,
        "<section class=\"cpu\" id=\"cpu-{name}\" data-cpu=\"{name}\" aria-labelledby=\"head-{name}\">\n\
         <h2 id=\"head-{name}\">{name}</h2>\n<nav aria-label=\"{name}\"><ul>\
         <li><a href=\"#{name}-crossings\">Crossings</a></li><li><a href=\"#{name}-registers\">Registers</a></li>"
    );
    for layout in cpu.layouts {
        _ = write!(html, "<li><a href=\"#{name}-{0}\">{0}</a></li>", layout.name);
    }
    _ = write!(html, "</ul></nav>\n<h2 id=\"{name}-crossings\" tabindex=\"-1\">Crossings of {name}</h2>\n");
    for story in STORIES.iter().filter(|story| story.only.is_none_or(|only| only == name)) {
        tell(html, cpu, story);
    }
    _ = writeln!(html, "<h2>Frames of {name}</h2>");
    for layout in cpu.layouts {
        frame(html, cpu, layout);
    }
    registers(html, cpu);
    *html += "</section>\n";
}

fn tell(html: &mut String, cpu: &Described, story: &Story) {
    let covers: Vec<_> = story.covers.iter().map(|c| format!("<code>{c}</code>")).collect();
    _ = write!(
        html,
        "<h3>{}</h3>\n<p class=\"where\">{}</p>\n<div class=\"panels\">",
        story.name,
        covers.join(", ")
    );
    for panel in &story.panels {
        _ = write!(
            html,
            "<figure>{}<figcaption><b>{}; the current g: {}</b>{}</figcaption></figure>",
            svg::panel(cpu, panel),
            panel.title,
            panel.g,
            escape(panel.says)
        );
    }
    *html += "</div>\n";
}

fn frame(html: &mut String, cpu: &Described, layout: &Layout) {
    let name = layout.name;
    _ = writeln!(html, "<h3 id=\"{}-{name}\" tabindex=\"-1\">{name}</h3>", cpu.name);
    for paragraph in paragraphs(layout.doc) {
        _ = writeln!(html, "<p>{}</p>", inline(&paragraph));
    }
    _ = write!(
        html,
        "<p class=\"where\">Lies {}; {} bytes, aligned to {}.</p>\n<div class=\"picture\">{}<div class=\"scroll\" \
         tabindex=\"0\" role=\"region\" aria-label=\"fields of {name} of {}\"><table class=\"stack\"><thead><tr>\
         <th scope=\"col\">offset</th><th scope=\"col\">size</th><th scope=\"col\">field</th><th scope=\"col\">register</th>\
         <th scope=\"col\">DWARF</th><th scope=\"col\">written by</th><th scope=\"col\">read by</th><th scope=\"col\">what it is</th>\
         </tr></thead><tbody>",
        on(layout.on),
        layout.size,
        layout.align,
        svg::frame(cpu, layout, false),
        cpu.name,
    );
    for field in layout.fields {
        let (register, dwarf) = field
            .register
            .map_or((String::new(), String::new()), |r| (r.name.to_owned(), r.dwarf.to_string()));
        let hit = if register.is_empty() { String::new() } else { format!(" data-register=\"{register}\"") };
        let link = nested(cpu, field).map_or_else(
            || format!("<code>{}</code>", field.name),
            |inner| format!("<a href=\"#{}-{}\"><code>{}</code></a>", cpu.name, inner.name, field.name),
        );
        _ = write!(
            html,
            "<tr{hit}><td class=\"n\" data-name=\"offset\">{}</td><td class=\"n\" data-name=\"size\">{}</td>\
             <td data-name=\"field\">{link}</td><td data-name=\"register\" class=\"mono\">{register}</td><td class=\"n\" data-name=\"DWARF\">{dwarf}</td>\
             <td data-name=\"written by\">{}</td><td data-name=\"read by\">{}</td><td data-name=\"what it is\">{}</td></tr>",
            field.offset,
            field.size,
            inline(field.writer),
            inline(field.reader),
            inline(field.doc)
        );
    }
    *html += "</tbody></table></div></div>\n";
    let inner: Vec<_> = flatten(cpu, layout).into_iter().filter(|f| f.path.contains('.')).collect();
    if !inner.is_empty() {
        *html += "<details><summary>with the fields of the frames inside it</summary><div class=\"scroll\"><table><thead><tr>\
                  <th scope=\"col\">offset</th><th scope=\"col\">size</th><th scope=\"col\">field</th><th scope=\"col\">register</th>\
                  </tr></thead><tbody>";
        for flat in inner {
            let register = flat.register.map_or("", |r| r.name);
            let hit =
                if register.is_empty() { String::new() } else { format!(" data-register=\"{register}\"") };
            _ = write!(
                html,
                "<tr{hit}><td class=\"n\">{}</td><td class=\"n\">{}</td><td><code>{}</code></td><td class=\"mono\">{register}</td></tr>",
                flat.offset, flat.size, flat.path
            );
        }
        *html += "</tbody></table></div></details>\n";
    }
    if let Some(lineage) = cpu.lineage.iter().find(|l| l.ours == name) {
        ancestry(html, lineage);
    } else if let Some((_, what)) = NO_COUNTERPART.iter().find(|(ours, _)| *ours == name) {
        _ = write!(html, "<h4>In its place in Go</h4>\n<p>{}</p>\n", inline(what));
    }
}

/// What Go has in this frame's place.
fn ancestry(html: &mut String, lineage: &Lineage) {
    _ = write!(
        html,
        "<h4>In its place in Go</h4>\n<p>{}{}{}</p>\n<div class=\"then\">",
        inline(lineage.why),
        if lineage.here.is_empty() { "" } else { " " },
        inline(lineage.here)
    );
    let intended: Vec<(isize, String)> =
        lineage.intended.fields.iter().map(|f| (f.offset as isize, one_line(f.doc))).collect();
    let what = if lineage.committed.is_some() {
        "the seed, as intended"
    } else {
        "the seed, as committed and intended"
    };
    let doc = one_line(lineage.intended.doc);
    if let Some(committed) = &lineage.committed {
        then(html, "the seed, as committed", committed);
    }
    slots(html, what, lineage.intended.size, &intended, &doc);
    then(html, "Go today", &lineage.today);
    *html += "</div>\n";
}

fn then(html: &mut String, title: &str, then: &Then) {
    let all: Vec<(isize, String)> = then.slots.iter().map(|(at, what)| (*at, (*what).to_owned())).collect();
    slots(html, title, then.size, &all, then.note);
}

fn slots(html: &mut String, title: &str, size: usize, slots: &[(isize, String)], note: &str) {
    _ = write!(
        html,
        "<div><table><caption>{title}, {size} bytes</caption><thead><tr><th scope=\"col\">offset</th><th scope=\"col\">what</th></tr></thead><tbody>"
    );
    for (at, what) in slots {
        _ = write!(html, "<tr><td class=\"n\">{at}</td><td>{}</td></tr>", inline(what));
    }
    _ = write!(html, "</tbody></table><p class=\"where\">{}</p></div>", inline(note));
}

fn registers(html: &mut String, cpu: &Described) {
    _ = write!(
        html,
        "<h2 id=\"{0}-registers\" tabindex=\"-1\">Registers of {0}</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" \
         aria-label=\"registers of {0}\"><table><thead><tr><th scope=\"col\">register</th><th scope=\"col\">DWARF</th>\
         <th scope=\"col\">role</th><th scope=\"col\">over a call</th></tr></thead><tbody>",
        cpu.name
    );
    for r in cpu.registers {
        _ = write!(
            html,
            "<tr data-register=\"{0}\"><th scope=\"row\" class=\"mono\">{0}</th><td class=\"n\">{1}</td><td>{2}</td><td>{3}</td></tr>",
            r.name,
            r.dwarf,
            inline(r.role),
            saved_by(r.saved_by)
        );
    }
    *html += "</tbody></table></div>\n";
}
