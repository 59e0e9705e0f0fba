//! The picture: for each operation a line for each who does it, on a scale of powers of two.

use std::fmt::Write as _;

use super::{Group, Line, OURS, PLAIN, Setting};

/// Height of a line of text, and of the room above an operation.
const LINE: usize = 20;
const GAP: usize = 10;
/// Where the scale begins and how wide it is; what stands to its left and right.
const LEFT: usize = 340;
const SCALE: usize = 440;
const RIGHT: usize = 228;
/// Where the numbers there end.
const RATIOS: usize = LEFT + SCALE + 112;
const TIMES: usize = LEFT + SCALE + 212;
/// Where the first operation begins.
const TOP: usize = 92;

/// Text and lines on the page's own ground; colours that can be told apart on both.
const STYLE: &str = "<style>\
svg{--ground:#fff;--ink:#1b1f24;--soft:#59636e;--rule:#d5dae0;--ours:#0b62c4;--psm:#b35900;--corosensei:#1a7f37;\
--boost:#8250df;--go:#0b7285;--mark:#c4320a}\
@media(prefers-color-scheme:dark){svg{--ground:#14171b;--ink:#e8eaed;--soft:#a3abb5;--rule:#333a42;--ours:#62aeff;\
--psm:#ffa657;--corosensei:#56d364;--boost:#c8a6ff;--go:#5fd3e6;--mark:#ff8a65}}\
text{font:13px system-ui,sans-serif;fill:var(--ink)}.h{font-weight:600}.t{font-weight:600;font-size:16px}\
.s{fill:var(--soft)}.n{font-variant-numeric:tabular-nums}</style>";

fn colour(who: &str) -> &'static str {
    match who {
        OURS => "var(--ours)",
        "psm" => "var(--psm)",
        "corosensei" => "var(--corosensei)",
        "boost" => "var(--boost)",
        "Go" => "var(--go)",
        _ => "var(--soft)",
    }
}

/// Where a ratio lies.
struct Scale {
    /// The powers of two at its ends.
    first: i32,
    last: i32,
}

impl Scale {
    fn of(groups: &[Group]) -> Self {
        let ratios = || groups.iter().flat_map(|g| &g.lines).flat_map(|l| [l.of_plain.low, l.of_plain.high]);
        let (least, most) = ratios().fold((1.0f64, 1.0f64), |(a, b), ratio| (a.min(ratio), b.max(ratio)));
        Self { first: least.log2().floor() as i32, last: (most.log2().ceil() as i32).max(1) }
    }

    fn x(&self, ratio: f64) -> f64 {
        let share = (ratio.log2() - f64::from(self.first)) / f64::from(self.last - self.first);
        LEFT as f64 + share * SCALE as f64
    }
}

/// `&`, `<` and `>` as SVG wants them.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// All of it.
pub fn svg(groups: &[Group], setting: &Setting) -> String {
    let scale = Scale::of(groups);
    // The plain one is the scale's own line, and needs none of its own.
    let lines = |group: &Group| group.lines.iter().filter(|line| line.who != PLAIN).count();
    let body: usize = groups.iter().map(|group| GAP + LINE * (1 + lines(group))).sum();
    let (width, height) = (LEFT + SCALE + RIGHT, TOP + body + GAP + 3 * LINE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\"><title>Times of operations, in times a plain call</title>{STYLE}\
         <rect width=\"{width}\" height=\"{height}\" fill=\"var(--ground)\"/>"
    );
    let mut text = |x: f64, y: usize, attributes: &str, text: &str| {
        _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y}\" {attributes}>{}</text>", escape(text));
    };
    text(16.0, 28, "class=\"t\"", "What a crossing takes, in times a plain C call or callback");
    text(16.0, 48, "class=\"s\"", "Dots are medians of paired ratios, bars their quartiles. Less is better.");
    let end = TOP + body + GAP;
    for power in scale.first..=scale.last {
        let x = scale.x(f64::from(power).exp2());
        let label = if power < 0 { format!("1/{}", 1 << -power) } else { (1 << power).to_string() };
        text(x, TOP - 10, "class=\"s n\" text-anchor=\"middle\"", &label);
    }
    text(RATIOS as f64, TOP - 10, "class=\"s\" text-anchor=\"end\"", "times plain");
    text(TIMES as f64, TOP - 10, "class=\"s\" text-anchor=\"end\"", "nanoseconds");
    for power in scale.first..=scale.last {
        let x = scale.x(f64::from(power).exp2());
        let stroke = if power == 0 { "var(--soft)" } else { "var(--rule)" };
        _ = write!(svg, "<path d=\"M{x:.1} {TOP}V{end}\" stroke=\"{stroke}\"/>");
    }
    let mut y = TOP;
    for group in groups {
        y += GAP + LINE;
        let plain = group.lines.first().map_or("", |line| line.what.as_str());
        _ = write!(
            svg,
            "<text x=\"16\" y=\"{}\"><tspan class=\"h\">{}</tspan></text>",
            y - 6,
            escape(&group.name)
        );
        let ns = group.lines.first().map_or(0.0, |line| line.ns);
        numbers(&mut svg, y - 6, "class=\"s n\"", "1", ns);
        let label = format!("{plain} = 1");
        let x = scale.x(1.0) + 6.0;
        _ = write!(svg, "<text x=\"{x:.1}\" y=\"{}\" class=\"s\">{}</text>", y - 6, escape(&label));
        for line in group.lines.iter().filter(|line| line.who != PLAIN) {
            y += LINE;
            draw(&mut svg, &scale, y - LINE / 2, line);
        }
        if let Some(verdict) = group.lines.iter().find_map(|line| line.limit.as_ref()) {
            // Ours is the first line below the operation's name.
            let at = y - (lines(group) - 1) * LINE - LINE / 2;
            let x = scale.x(verdict.place);
            _ = write!(
                svg,
                "<path d=\"M{x:.1} {}V{}\" stroke=\"var(--mark)\" stroke-width=\"2\"/>",
                at - 8,
                at + 8
            );
        }
    }
    let foot = [format!("{}, Linux {}", setting.cpu, setting.kernel), setting.versions.clone()];
    for (number, line) in foot.iter().enumerate() {
        let y = end + (number + 1) * LINE;
        _ = write!(svg, "<text x=\"16\" y=\"{y}\" class=\"s\">{}</text>", escape(line));
    }
    _ = write!(
        svg,
        "<path d=\"M{0} 36v16\" stroke=\"var(--mark)\" stroke-width=\"2\"/>\
         <text x=\"{1}\" y=\"48\" class=\"s\">where ours may be at most</text></svg>",
        LEFT + SCALE,
        LEFT + SCALE + 8
    );
    svg.push('\n');
    svg
}

/// A ratio and nanoseconds to the right of the scale.
fn numbers(svg: &mut String, y: usize, attributes: &str, ratio: &str, ns: f64) {
    _ = write!(
        svg,
        "<text x=\"{}\" y=\"{y}\" {attributes} text-anchor=\"end\">{ratio}</text>\
         <text x=\"{}\" y=\"{y}\" {attributes} text-anchor=\"end\">{ns:.2}</text>",
        RATIOS, TIMES
    );
}

/// One who does it.
fn draw(svg: &mut String, scale: &Scale, middle: usize, line: &Line) {
    let (colour, spread) = (colour(&line.who), &line.of_plain);
    let [low, median, high] = [spread.low, spread.median, spread.high].map(|ratio| scale.x(ratio));
    let ours = line.who == OURS;
    let name = if ours { "class=\"h\"" } else { "" };
    _ = write!(
        svg,
        "<text x=\"32\" y=\"{base}\" {name} style=\"fill:{colour}\">{}</text>\
         <text x=\"124\" y=\"{base}\" class=\"s\">{}</text>\
         <path d=\"M{low:.1} {middle}H{high:.1}\" stroke=\"{colour}\" stroke-width=\"4\" stroke-opacity=\".45\" \
         stroke-linecap=\"round\"/>\
         <circle cx=\"{median:.1}\" cy=\"{middle}\" r=\"{}\" fill=\"{colour}\"/>",
        escape(&line.who),
        escape(&line.what),
        if ours { 6 } else { 5 },
        base = middle + 4,
    );
    let number = if ours { "class=\"h n\"" } else { "class=\"n\"" };
    numbers(svg, middle + 4, number, &format!("{:.2}", spread.median), line.ns);
}
