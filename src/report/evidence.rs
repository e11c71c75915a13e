//! Images and what speaks for them, as people read it.

use std::fmt::Write as _;

use super::text::{bytes, table};
use crate::{
    delivery::record::{Origin, Source},
    ops::images::{Comparison, Found, ImageLine, ImagesOutcome, WhyOutcome},
};

/// Origins of one image that the table shows.
const SHOWN: usize = 1;

/// A table of images, what may be one below it, and what only a switch brings.
pub fn images(outcome: &ImagesOutcome) -> String {
    let (guesses, proven): (Vec<&ImageLine>, Vec<&ImageLine>) = outcome.images.iter().partition(|line| line.guess);
    let (tried, guesses): (Vec<&ImageLine>, Vec<&ImageLine>) = guesses.into_iter().partition(|line| line.with.is_some());
    let mut out = String::new();
    if outcome.images.is_empty() {
        out.push_str("no images\n");
    }
    let resolved = outcome.images.iter().any(|line| line.size.is_some());
    if !proven.is_empty() {
        let mut heads = vec!["IMAGE", "DIGEST", "NAMED BY"];
        if resolved {
            heads.splice(2..2, ["SIZE", "PLATFORMS"]);
        }
        out.push_str(&table(&heads, &proven.iter().map(|line| row(line, resolved)).collect::<Vec<_>>()));
    }
    if !tried.is_empty() {
        let _ =
            writeln!(out, "{}{} that the charts use with other values; `images: {{guesses: take|leave}}` of an app decides:", gap(&out), count(tried.len()));
        let rows: Vec<Vec<String>> = tried.iter().map(|line| vec![line.reference.to_string(), line.with.clone().unwrap_or_default()]).collect();
        out.push_str(&table(&["IMAGE", "WITH"], &rows));
    }
    if !guesses.is_empty() {
        let _ = writeln!(out, "{}{} that may be needed; `images: {{guesses: take|leave}}` of an app decides:", gap(&out), count(guesses.len()));
        let rows: Vec<Vec<String>> = guesses.iter().map(|line| vec![line.reference.to_string(), line.reason.clone().unwrap_or_default()]).collect();
        out.push_str(&table(&["MAYBE", "WHY"], &rows));
    }
    if !outcome.dropped.is_empty() {
        let _ = writeln!(out, "{}{} that looked like it and that no registry has:", gap(&out), count(outcome.dropped.len()));
        let rows: Vec<Vec<String>> = outcome.dropped.iter().map(|guess| vec![guess.reference.to_string(), guess.reason.clone()]).collect();
        out.push_str(&table(&["DROPPED", "WHY"], &rows));
    }
    if !outcome.explored.is_empty() {
        let _ = writeln!(out, "{}{} that only other values bring:", gap(&out), count(outcome.explored.len()));
        let rows: Vec<Vec<String>> =
            outcome.explored.iter().map(|one| vec![one.reference.to_string(), one.app.clone(), one.switches.first().cloned().unwrap_or_default()]).collect();
        out.push_str(&table(&["IMAGE", "APP", "WITH"], &rows));
    }
    out
}

fn gap(before: &str) -> &'static str {
    if before.is_empty() { "" } else { "\n" }
}

fn count(n: usize) -> String {
    if n == 1 { "1 image".to_owned() } else { format!("{n} images") }
}

fn row(line: &ImageLine, resolved: bool) -> Vec<String> {
    let mut named = line.origins.iter().take(SHOWN).map(place).collect::<Vec<_>>().join(", ");
    if line.origins.len() > SHOWN {
        let _ = write!(named, " and {} more", line.origins.len() - SHOWN);
    }
    let digest = line.digest.as_ref().map_or_else(|| "-".to_owned(), |digest| digest.short().to_owned());
    let mut cells = vec![line.reference.to_string(), digest, named];
    if resolved {
        let platforms = line.platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        cells.splice(2..2, [line.size.map_or_else(|| "-".to_owned(), bytes), platforms]);
    }
    cells
}

/// Who named it, in a few words.
fn place(origin: &Origin) -> String {
    let mut words: Vec<String> = origin.app.iter().cloned().collect();
    words.extend(origin.profile.iter().map(|profile| format!("({profile})")));
    words.extend(origin.cluster.iter().map(|cluster| format!("({cluster})")));
    match (origin.source, &origin.object) {
        (Source::Delivery, _) => words.push(format!("delivery.yaml {}", origin.path)),
        (_, Some(object)) => words.push(object.clone()),
        (_, None) => words.extend([origin.template.clone().unwrap_or_default(), origin.path.clone()]),
    }
    words.join(" ")
}

/// Every line that names an image.
pub fn why(outcome: &WhyOutcome) -> String {
    let mut out = String::new();
    for image in &outcome.images {
        let _ = writeln!(out, "{}{}", gap(&out), image.reference);
        if let Some(reason) = &image.reason {
            let _ = writeln!(out, "  a guess: {reason}");
        }
        for line in &image.lines {
            let number = line.line.map_or_else(String::new, |number| format!(":{number}"));
            let _ = writeln!(out, "  {}{number}", line.file.as_deref().or(line.origin.template.as_deref()).unwrap_or(&line.origin.path));
            if let Some(text) = &line.text {
                let _ = writeln!(out, "      {text}");
            }
            let _ = writeln!(out, "    {} {}", place(&line.origin), if line.origin.object.is_some() { line.origin.path.as_str() } else { "" });
            if let Some(rendered) = line.rendered.as_ref().filter(|rendered| Some(*rendered) != line.text.as_ref()) {
                let _ = writeln!(out, "      {rendered}");
            }
        }
    }
    out.lines().map(str::trim_end).fold(String::new(), |text, line| text + line + "\n")
}

/// What runs, what was missed, what is in excess.
pub fn comparison(outcome: &Comparison) -> String {
    let mut out = String::new();
    let rows: Vec<Vec<String>> = outcome
        .running
        .iter()
        .map(|one| {
            let found = match one.found {
                Found::Proven => "yes",
                Found::Guess => "as a guess",
                Found::Missed => "NO",
            };
            vec![one.image.clone(), found.to_owned(), one.containers.join(", ")]
        })
        .collect();
    out.push_str(&table(&["RUNNING", "FOUND", "CONTAINERS"], &rows));
    if !outcome.excess.is_empty() {
        let _ = writeln!(out, "\n{} found and not running in {}:", count(outcome.excess.len()), outcome.namespace);
        outcome.excess.iter().for_each(|image| {
            let _ = writeln!(out, "{image}");
        });
    }
    let _ = writeln!(out, "\n{} run, {} missed, {} in excess", outcome.running.len(), outcome.missed(), outcome.excess.len());
    out
}
