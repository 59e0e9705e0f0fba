//! The page in a real browser: Chromium without a window types registers into the search and reads the
//! answers, and looks for what a person would trip over; and it takes pictures for people to look at.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{CPUS, answers::sample, html};
use crate::{
    process::{Cmd, find_program},
    setup::BROWSER,
    ui,
};

/// Asks the page, and leaves what it answered in the document.
const PROBE: &str = include_str!("probe.js");

/// A browser that starts cold takes seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Widths and heights to look at: a desk's, and a phone's.
const SIZES: &[(&str, u32, u32)] = &[("desktop", 1400, 1800), ("phone", 390, 844)];

/// Tries the page. `directory` gets the page and the pictures.
pub fn test(directory: &Path) -> Result<()> {
    let (program, ..) = BROWSER;
    if find_program(program).is_none() {
        bail!("{program} is missing; install it: cargo xtask setup --browser");
    }
    fs::create_dir_all(directory)?;
    let page = html::page()?;
    fs::write(directory.join("index.html"), &page)?;

    // What is typed, and what has to be among the answers.
    let mut cases = Vec::new();
    for cpu in CPUS {
        let register = sample(cpu).with_context(|| format!("{} keeps no register", cpu.name))?;
        cases.push(serde_json::json!({ "cpu": cpu.name, "register": register.name }));
    }
    let cases = serde_json::to_string(&cases)?;
    let probe = PROBE.replace("/* CASES */[]", &cases);
    if probe == PROBE {
        bail!("the probe has no place for its cases");
    }
    let mut mistakes = Vec::new();
    for (size, width, height) in SIZES {
        let start = Instant::now();
        // A window has a least width, a frame inside it has none.
        let inner = directory.join("probed.html");
        fs::write(&inner, page.replace("</body>", &format!("<script>\n{probe}</script>\n</body>")))?;
        let frame = directory.join("frame.html");
        framed(&frame, "probed.html", *width, *height)?;
        let outcome = chromium(&frame, &["--dump-dom", "--allow-file-access-from-files"])?;
        let report: Value = report(&outcome)?;
        let failures = report["failures"].as_array().context("the probe reports its failures")?;
        let typed = report["typed"].as_u64().unwrap_or(0);
        if typed != CPUS.len() as u64 {
            mistakes.push(format!("{size}: {typed} registers were typed"));
        }
        mistakes.extend(failures.iter().map(|f| format!("{size}: {}", f.as_str().unwrap_or("?"))));
        for answer in report["answers"].as_array().into_iter().flatten().filter(|_| *size == "desktop") {
            ui::say(&format!("  {}", answer.as_str().unwrap_or("?")));
        }
        ui::say(&format!(
            "{size}: {typed} registers typed, {} failures, {}",
            failures.len(),
            ui::seconds(start)
        ));
        for theme in ["light", "dark"] {
            for (what, fragment) in [
                ("top", "#register=rbx"),
                ("crossings", "#x86_64-crossings"),
                ("frame", "#x86_64-CallbackFrame"),
            ] {
                let shown = directory.join("shown.html");
                let themed =
                    page.replace("<html lang=\"en\">", &format!("<html lang=\"en\" data-shown=\"{theme}\">"));
                fs::write(
                    &shown,
                    themed.replace("</body>", &format!("<script>{}</script></body>", pose(theme, fragment))),
                )?;
                framed(&frame, "shown.html", *width, *height)?;
                let picture = directory.join(format!("{size}-{theme}-{what}.png"));
                chromium(
                    &frame,
                    &[
                        &format!("--screenshot={}", picture.display()),
                        &format!("--window-size={},{height}", (*width).max(500)),
                    ],
                )?;
                if !picture.is_file() {
                    mistakes.push(format!("no picture: {}", picture.display()));
                }
            }
        }
    }
    for left in ["probed.html", "frame.html", "shown.html"] {
        let _ = fs::remove_file(directory.join(left));
    }
    if !mistakes.is_empty() {
        bail!("the page in a browser:\n  {}", mistakes.join("\n  "));
    }
    ui::say(&format!("pictures: {}", directory.display()));
    Ok(())
}

/// What a person would do before the picture is taken.
fn pose(theme: &str, fragment: &str) -> String {
    let fragment_or_search = match fragment.strip_prefix("#register=") {
        Some(register) => format!("$('register').value='{register}';search();"),
        None => format!("shown='x86_64';show();location.hash='{fragment}';"),
    };
    format!("theme('{theme}');{fragment_or_search}")
}

/// A page that shows another one at this size.
fn framed(path: &Path, shown: &str, width: u32, height: u32) -> Result<()> {
    let text = format!(
        "<!doctype html><title>frame</title><style>body{{margin:0}}iframe{{border:0;width:{width}px;\
         height:{height}px;display:block}}</style><iframe id=\"it\" src=\"{shown}\"></iframe><script>\
         addEventListener('message',e=>{{const p=document.createElement('pre');p.id='report';\
         p.textContent=e.data;document.body.append(p)}})</script>"
    );
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Runs the browser on a file, with a profile of its own.
fn chromium(page: &Path, more: &[&str]) -> Result<String> {
    let profile = tempfile::tempdir()?;
    let page = fs::canonicalize(page)?;
    let (program, ..) = BROWSER;
    let mut cmd = Cmd::new(program)
        .args([
            "--headless=new",
            "--disable-gpu",
            "--no-first-run",
            "--hide-scrollbars",
            "--disable-dev-shm-usage",
        ])
        .args(["--disable-background-networking", "--disable-component-update", "--virtual-time-budget=4000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(more);
    if rustix::process::geteuid().is_root() {
        // Chromium refuses to run its sandbox as root; the page is our own.
        cmd = cmd.arg("--no-sandbox");
    }
    let outcome = cmd.arg(format!("file://{}", page.display())).capture(Some(LIMIT))?;
    if !outcome.success() {
        bail!("{program} failed ({}): {}", outcome.ending(), outcome.stderr.trim());
    }
    Ok(outcome.stdout)
}

/// What the probe left in the document.
fn report(dom: &str) -> Result<Value> {
    let text = dom
        .split("<pre id=\"report\">")
        .nth(1)
        .and_then(|rest| rest.split("</pre>").next())
        .context("the browser ran no probe to its end")?;
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    serde_json::from_str(&text).with_context(|| format!("what the probe left: {text}"))
}
