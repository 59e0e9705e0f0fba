//! Pictures: a frame as it lies in memory, and the two stacks at a moment. High addresses are up.

use std::fmt::Write as _;

use stackgate_arch::frame::{Layout, On};

use super::{
    Described,
    story::{Panel, Part, What},
};

/// Colours that a page does not set itself: those of a picture that stands alone.
const ALONE: &str = "<style>svg{--ink:#1b1f24;--rule:#8a929c;--managed:#dcebd7;--system:#d9e6f5;--memory:#ece7dc;\
--code:#f3f4f6;--mark:#a3330f}@media(prefers-color-scheme:dark){svg{--ink:#e8eaed;--rule:#7f8791;--managed:#29402a;\
--system:#22384f;--memory:#403a2d;--code:#25282c;--mark:#ff9d76}}text{font-family:ui-monospace,monospace;\
font-size:13px}</style>";

/// `&`, `<` and quotes as SVG and HTML want them.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const fn colour(on: On) -> &'static str {
    match on {
        On::System => "var(--system)",
        On::Managed => "var(--managed)",
        On::Either | On::Memory => "var(--memory)",
    }
}

/// Height of a line of text.
const LINE: usize = 22;
/// Width of a character of the fixed-width font at 13 pixels.
const CHARACTER: usize = 8;

/// One layout. `alone`: as a file of its own.
pub fn frame(cpu: &Described, layout: &Layout, alone: bool) -> String {
    let label = |f: &stackgate_arch::frame::Field| match f.register {
        Some(r) if r.name != f.name => format!("{} ({})", f.name, r.name),
        _ => f.name.to_string(),
    };
    let widest = layout.fields.iter().map(|f| label(f).len()).max().unwrap_or(8).max(layout.name.len() / 2);
    let (left, inner) = (5 * CHARACTER, widest * CHARACTER + 16);
    let width = left + inner + 9 * CHARACTER;
    let height = (layout.fields.len() + 1) * LINE + 8;
    let title = format!("{} of {}, {} bytes, high addresses up", layout.name, cpu.name, layout.size);
    let mut svg = open(width, height, &title, alone);
    let middle = |y: usize| y + LINE * 2 / 3;
    for (i, field) in layout.fields.iter().rev().enumerate() {
        let y = 4 + i * LINE;
        _ = write!(
            svg,
            "<rect x=\"{left}\" y=\"{y}\" width=\"{inner}\" height=\"{LINE}\" fill=\"{}\" stroke=\"var(--rule)\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"var(--ink)\">{}</text>\
             <text x=\"{}\" y=\"{}\" fill=\"var(--ink)\">{}</text>",
            colour(layout.on),
            left - 6,
            middle(y),
            field.offset,
            left + 8,
            middle(y),
            escape(&label(field)),
        );
        if field.size != cpu.word {
            _ = write!(
                svg,
                "<text x=\"{}\" y=\"{}\" fill=\"var(--rule)\">{} B</text>",
                left + inner + 6,
                middle(y),
                field.size
            );
        }
    }
    let foot = 4 + layout.fields.len() * LINE;
    _ = write!(
        svg,
        "<text x=\"{left}\" y=\"{}\" fill=\"var(--rule)\">size {}</text>",
        foot + LINE * 2 / 3,
        layout.size
    );
    svg + "</svg>"
}

fn open(width: usize, height: usize, title: &str, alone: bool) -> String {
    let title = escape(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>{}",
        if alone { ALONE } else { "" }
    )
}

/// What stands in a box: of a frame its size, and the field that designates the other stack.
pub fn label(cpu: &Described, part: &Part, left: bool) -> Vec<String> {
    match part.what {
        What::Code(what) => wrap(what, 20),
        What::Frame(name) => {
            let size = cpu.layouts.iter().find(|l| l.name == name).map_or(0, |l| l.size);
            let size = match part.link {
                Some((field, _)) if left => format!("{size} bytes, {field} ->"),
                Some((field, _)) => format!("<- {field}, {size} bytes"),
                None => format!("{size} bytes"),
            };
            vec![name.to_owned(), size]
        }
    }
}

/// Lines of at most `width` characters, where words allow it.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

const BOX_WIDTH: usize = 176;
const BOX_HEIGHT: usize = 44;
const GAP: usize = 64;
const SIDE: usize = 12;

/// Height of the strip below a box that says what points there.
const MARK: usize = 20;

/// The tops of a stack's boxes, and where the last one ends.
fn tops(parts: &[Part]) -> Vec<usize> {
    let mut at = 30;
    let mut all = vec![at];
    for part in parts {
        at += BOX_HEIGHT + if part.marks.is_empty() { 0 } else { MARK };
        all.push(at);
    }
    all
}

/// The arrow's tip, which a page of panels defines once.
pub const TIP: &str = "<svg width=\"0\" height=\"0\" aria-hidden=\"true\" class=\"tip\"><defs><marker id=\"tip\" \
viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" \
fill=\"var(--mark)\"/></marker></defs></svg>";

/// The two stacks at a moment.
pub fn panel(cpu: &Described, panel: &Panel) -> String {
    let stacks = [("managed stack", panel.managed), ("system stack", panel.system)];
    let tops = stacks.map(|(_, parts)| tops(parts));
    let height = tops.iter().flatten().max().copied().unwrap_or(0) + 6;
    let columns = [SIDE, SIDE + BOX_WIDTH + GAP];
    let title = format!("{}: the two stacks of {}: {}", panel.title, cpu.name, spoken(cpu, panel));
    let mut svg = open(2 * BOX_WIDTH + GAP + 2 * SIDE, height, &title, false);
    let mut arrows = String::new();
    for (column, (name, parts)) in stacks.into_iter().enumerate() {
        let x = columns[column];
        _ = write!(
            svg,
            "<text x=\"{}\" y=\"18\" text-anchor=\"middle\" fill=\"var(--ink)\" font-weight=\"600\">{name}</text>",
            x + BOX_WIDTH / 2
        );
        if parts.is_empty() {
            _ = write!(
                svg,
                "<text x=\"{}\" y=\"56\" text-anchor=\"middle\" fill=\"var(--rule)\">not in play</text>",
                x + BOX_WIDTH / 2
            );
        }
        for (i, part) in parts.iter().enumerate() {
            let y = tops[column][i];
            let fill = match (part.what, column) {
                (What::Code(_), _) => "var(--code)",
                (What::Frame(_), 0) => "var(--managed)",
                (What::Frame(_), _) => "var(--system)",
            };
            _ = write!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" fill=\"{fill}\" \
                 stroke=\"var(--rule)\"/>"
            );
            let lines = label(cpu, part, column == 0);
            for (n, line) in lines.iter().enumerate() {
                let down = if lines.len() == 1 { 27 } else { 18 + n * 17 };
                _ = write!(
                    svg,
                    "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"var(--ink)\">{}</text>",
                    x + BOX_WIDTH / 2,
                    y + down,
                    escape(line)
                );
            }
            if !part.marks.is_empty() {
                let y = y + BOX_HEIGHT;
                _ = write!(
                    svg,
                    "<path d=\"M{x} {y}h{BOX_WIDTH}\" stroke=\"var(--mark)\" stroke-width=\"3\"/>\
                     <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"var(--mark)\">{}</text>",
                    x + BOX_WIDTH / 2,
                    y + 14,
                    part.marks.join(", ")
                );
            }
            if let Some((field, to)) = part.link {
                let (from_x, to_x) =
                    if column == 0 { (x + BOX_WIDTH, columns[1]) } else { (x, columns[0] + BOX_WIDTH) };
                // A stack pointer designates the lower end of what lies there; an address of a frame its middle.
                let down = if field == "sp" { BOX_HEIGHT - 3 } else { BOX_HEIGHT / 2 };
                let to_y = tops[1 - column][to] + down;
                let from_y = y + BOX_HEIGHT / 2;
                _ = write!(
                    arrows,
                    "<path d=\"M{from_x} {from_y}L{to_x} {to_y}\" stroke=\"var(--mark)\" stroke-width=\"1.5\" \
                     marker-end=\"url(#tip)\"/>"
                );
            }
        }
    }
    svg + &arrows + "</svg>"
}

/// A panel in words, for who does not see it.
pub fn spoken(cpu: &Described, panel: &Panel) -> String {
    let stack = |name: &str, parts: &[Part]| {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| {
                let mut text = label(cpu, part, true).join(" ").replace("->", "points across");
                if !part.marks.is_empty() {
                    text += &format!(" ({} here)", part.marks.join(" and "));
                }
                text
            })
            .collect();
        format!("{name} from above: {}", if parts.is_empty() { "nothing".into() } else { parts.join(", ") })
    };
    format!("{}; {}", stack("managed stack", panel.managed), stack("system stack", panel.system))
}
